"""The loss of a micro-step without one wait for the device: trl's fused head on places that the host has counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from trl.kernels.chunked_logprob import ChunkedLogProbFunction
from trl.trainer import utils as trl_utils

from harness.errors import ConfigError
from harness.trainer.batches import LEAN_KEYS

OUTPUTS = ("log_probs", "entropy", "is_top1")
"""What trl's SFTTrainer asks of its fused head."""
_SCALES = ("logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


@dataclass(frozen=True, slots=True)
class Lean:
    """Loss of one micro-step and what is logged beside it, all on the device."""

    loss: torch.Tensor
    """Sum of the places' losses over the tokens of the whole optimiser step; [] float32."""
    counts: torch.Tensor
    """Loss tokens, entropy summed, tokens predicted rightly; [3] float32."""


def check_lean(model: Any) -> None:
    """Raise ConfigError for a model whose head does more than a product and a soft cap."""
    config = model.config.get_text_config()
    scaled = [name for name in _SCALES if getattr(config, name, None) not in (None, 1, 1.0)]
    if scaled:
        raise ConfigError(f"This model scales its logits ({scaled[0]}); set train.device_metrics=false.")


def lean_loss(
    model: Any, batch: Mapping[str, Any], items: torch.Tensor | int | None, columns: int = 0, mask: bool = True
) -> Lean:
    """Return loss and counts of `batch` (from LeanCollator) for a causal language model, adapter and all.

    `items`: loss tokens of the optimiser step (None: of this batch); `columns`: of the vocabulary at once, 0 as trl;
    `mask`: whether the attention wants the batch's padding mask.
    """
    left_out = {"labels", *LEAN_KEYS} | (set() if mask else {"attention_mask"})
    inputs = {name: value for name, value in batch.items() if name not in left_out}
    hidden = model.base_model(**inputs, use_cache=False).last_hidden_state
    head = model.get_output_embeddings()
    logprobs, entropy, _, _, right = ChunkedLogProbFunction.apply(
        hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch["loss_index"]),
        head.weight,
        head.bias,
        batch["loss_targets"],
        1.0,
        columns or trl_utils._CHUNKED_LOGPROB_CHUNK_SIZE,
        getattr(model.config.get_text_config(), "final_logit_softcapping", None),
        1.0,
        OUTPUTS,
    )
    weight = batch["loss_weight"]
    counted = weight.sum()
    total = counted if items is None else torch.as_tensor(items, device=weight.device)
    loss = -(logprobs * weight).sum() / total.clamp(min=1)
    counts = torch.stack([counted, (entropy.detach() * weight).sum(), (right * weight).sum()])
    return Lean(loss, counts)
