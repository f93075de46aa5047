"""The guide's way through a micro-step, for a trainer whose settings of speed lead another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch.utils.checkpoint import checkpoint

from harness.trainer.attention import attend_as_loaded, attend_packed
from harness.trainer.batches import LEAN_KEYS
from harness.trainer.lora_kernel import FusedLinear
from harness.trainer.settings import TrainSettings

PLAIN: Mapping[str, Any] = {
    "compile_layers": False,
    "cuda_graph": False,
    "lora_kernel": "peft",
    "head_kernel": "trl",
    "attention": "model",
    "device_metrics": False,
    "fixed_length": False,
}
"""Settings that lead another way through the same arithmetic, and the guide's way."""


def other_ways(settings: TrainSettings) -> tuple[str, ...]:
    """Names of the settings that lead another way than the guide's."""
    return tuple(name for name, plain in PLAIN.items() if getattr(settings, name) != plain)


def with_only(settings: TrainSettings, names: Sequence[str] = ()) -> TrainSettings:
    """`settings`, the guide's way in all but these."""
    return dataclasses.replace(settings, **{name: plain for name, plain in PLAIN.items() if name not in names})


def switch(base: Any, before: TrainSettings, after: TrainSettings) -> ExitStack:
    """Let `base`, prepared for `before`, compute by `after`, which takes no way that `before` does not.

    Closing what is returned goes back, to compiled code that was kept; leaving it open stays.
    """
    back = ExitStack()
    if before.compile_layers and not after.compile_layers:
        layers = list(base.base_model.layers)
        compiled = [layer._compiled_call_impl for layer in layers]
        _set_compiled(layers, [None] * len(layers))
        back.callback(_set_compiled, layers, compiled)
    if before.lora_kernel != after.lora_kernel:
        turned = [module for module in base.modules() if type(module) is FusedLinear]
        _set_class(turned, Linear)
        back.callback(_set_class, turned, FusedLinear)
    if before.attention != after.attention:
        attend_as_loaded(base)
        back.callback(attend_packed, base)
    return back


@contextmanager
def recomputed(base: Any) -> Iterator[None]:
    """Keep each decoder layer's input alone and compute the rest again in backward, so that little memory is needed."""
    layers = list(getattr(base.base_model, "layers", ()))
    own = [layer.__dict__.get("forward") for layer in layers]
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer, before in zip(layers, own, strict=True):
            if before is None:
                del layer.forward  # its class's is back
            else:
                layer.forward = before


@contextmanager
def without_dropout(model: Any) -> Iterator[bool]:
    """Let nothing be dropped in the block; whether anything would be."""
    active = [module for module in model.modules() if isinstance(module, torch.nn.Dropout) and module.training]
    for module in active:
        module.eval()
    try:
        yield any(module.p > 0 for module in active)
    finally:
        for module in active:
            module.train()


def plain_loss(model: Any, batch: Mapping[str, Any], items: torch.Tensor | int | None) -> torch.Tensor:
    """Return trl's loss [] of a batch over `items` tokens (None: its own) without what trl counts beside it."""
    inputs = {name: value for name, value in batch.items() if name not in LEAN_KEYS}
    out = model(**inputs, use_cache=False, fused_lm_head=True)
    total = out.label_mask.sum() if items is None else torch.as_tensor(items, device=out.log_probs.device)
    return -out.log_probs.sum() / total.clamp(min=1)


def _set_compiled(layers: Sequence[Any], calls: Sequence[Any]) -> None:
    for layer, call in zip(layers, calls, strict=True):
        layer._compiled_call_impl = call


def _set_class(modules: Sequence[Any], kind: type) -> None:
    for module in modules:
        module.__class__ = kind
