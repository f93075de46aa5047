"""How many operations the host starts for one decode step: what a small model's step is bound by."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Count(TorchDispatchMode):
    """Counts operations that compute; views and shapes start nothing on the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view and func._schema.name not in _FREE:
            self.count += 1
        return func(*args, **(kwargs or {}))


_FREE = {"aten::detach", "aten::_unsafe_view", "aten::sym_size", "aten::empty", "aten::empty_strided", "prim::device"}


def launches_per_step(model: Any) -> int | None:
    """Return the operations of one decode step of a transformers model; None where it cannot be told."""
    try:
        with torch.inference_mode():
            ids = torch.ones((1, 4), dtype=torch.long, device=model.device)
            past = model(input_ids=ids, use_cache=True).past_key_values
            with _Count() as counted:
                model(input_ids=ids[:, :1], past_key_values=past, use_cache=True)
        return counted.count
    except Exception:  # a model of another kind; the count is a fact beside the answers, not one of them
        return None
