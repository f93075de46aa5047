"""`train.rungs = "auto"`: the fastest settings that train the same and fit the memory, and a sentence saying which."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate import PartialState

from harness.errors import ConfigError
from harness.model.load import Loaded, is_tied
from harness.throughput.cost import ModelShape, shape_of
from harness.trainer.lean import check_lean
from harness.trainer.settings import TrainSettings

MEMORY_SHARE = 0.85
"""Of the memory that is free, what a training is planned to take."""
COMPILE_FROM_TOKENS = 3_000_000
"""Trained tokens from which a minute of compiling is won back."""
NF4_BYTES = 0.516
"""Bytes a weight, double quantised: 4.13 bit."""


def resolve(settings: TrainSettings, loaded: Loaded, tokens: float) -> tuple[TrainSettings, str]:
    """Return the settings to train by and a sentence on what was chosen; empty where nothing was asked for.

    `tokens`: trained tokens of the whole training, for whether compiling pays.
    """
    if settings.rungs != "auto":
        return settings, ""
    shape = shape_of(loaded.model.config)
    free = _free_bytes(loaded.device)
    if shape is None:
        return settings, "auto: nothing is known of this kind of model, so it trains as written."
    for changes in _candidates(settings, loaded, tokens):
        chosen = dataclasses.replace(settings, **changes)
        needed = memory_needed(shape, chosen, loaded)
        if free is None or needed <= MEMORY_SHARE * free:
            return chosen, f"auto: {_words(changes)}; about {needed / 2**30:.1f} GiB{_of(free)}."
    return settings, f"auto: no faster way fits{_of(free)}, so it trains as written."


def memory_needed(shape: ModelShape, settings: TrainSettings, loaded: Loaded) -> float:
    """Return about how many bytes a training takes, base included.

    Activations by what an H100 held for gemma-3-1b's shape (2.2 to 2.4 MB a token without checkpointing).
    """
    width = 4 if loaded.facts["compute_dtype"] == "fp32" else 2
    held = NF4_BYTES if loaded.facts["precision"] == "nf4" and not settings.dequantize_base else width
    embedding = shape.head_parameters * width * (1 if is_tied(loaded.model) else 2)
    saved = len(settings.modules_to_save)
    one = settings.ensure_weight_tying and is_tied(loaded.model)
    whole = shape.head_parameters * (min(saved, 1) if one else saved)
    trained = whole + shape.lora_parameters(settings.lora_r)
    state = trained * 4 * (2 if width == 2 and settings.trainable_dtype != "fp32" else 4)
    head = shape.head_parameters * (4 + 2 * width) if saved else 0
    queries = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    layer = (10 * shape.hidden + 8 * queries + 3 * shape.mlp) * width
    kept = layer + shape.layers * shape.hidden * width if settings.gradient_checkpointing else layer * shape.layers
    positions = settings.batch_size * settings.max_length
    columns = shape.vocabulary if settings.head_kernel == "once" else min(2 * 32768, shape.vocabulary)
    tile = min(positions, 4096) * columns * width
    return shape.linear_parameters * held + embedding + state + head + positions * kept + tile


def _candidates(settings: TrainSettings, loaded: Loaded, tokens: float) -> Iterator[dict[str, Any]]:
    """Yield changes, the fastest first; each trains the same."""
    rows = settings.batch_size * settings.accumulation
    nf4 = loaded.facts["precision"] == "nf4"
    plain = loaded.facts["compute_dtype"] != "fp16"  # its loss scaling goes with neither graph nor head
    best: dict[str, Any] = {"attention": "packed"}
    if _lean(loaded):
        best |= {"device_metrics": True}
        if loaded.device.type == "cuda" and plain:
            best |= {"fixed_length": True, "cuda_graph": True, "compile_layers": tokens >= COMPILE_FROM_TOKENS}
            best |= {"lora_kernel": "fused", "head_kernel": "once"}
    for dequantize in (True, False) if nf4 else (False,):
        for batch in (size for size in range(rows, 0, -1) if rows % size == 0):
            step = {"batch_size": batch, "accumulation": rows // batch, "dequantize_base": dequantize}
            held = best if dequantize or not nf4 else best | {"lora_kernel": "peft"}
            yield step | held | {"gradient_checkpointing": False}
        for batch in (size for size in range(rows, 0, -1) if rows % size == 0):
            step = {"batch_size": batch, "accumulation": rows // batch, "dequantize_base": dequantize}
            yield step | {"attention": "packed", "gradient_checkpointing": True}


def _lean(loaded: Loaded) -> bool:
    if PartialState().num_processes > 1:
        return False
    try:
        check_lean(loaded.model)
    except ConfigError:
        return False
    return hasattr(loaded.model.base_model, "layers")


def _free_bytes(device: torch.device) -> float | None:
    """Bytes that this process can still take, what the loaded base holds counted in; None on a CPU."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return float(free + torch.cuda.memory_reserved(device))


def _words(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={str(value).lower()}" for name, value in changes.items())


def _of(free: float | None) -> str:
    return "" if free is None else f" of {free / 2**30:.1f} GiB free"
