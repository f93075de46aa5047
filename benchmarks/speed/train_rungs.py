"""The rungs of the training ladder: what each one changes in the experiment file's `train` section."""

from __future__ import annotations

from typing import Any

LOSS_TOLERANCE = 1e-3
"""Largest relative difference of a loss to the guide's that still counts as the same (bf16 has 3 digits)."""
NORM_TOLERANCE = 2e-2
"""The same for a gradient norm."""

GUIDE: dict[str, Any] = {
    "packing": "bfd",
    "max_length": 512,
    "loss_on": "all",
    "batch_size": 1,
    "accumulation": 4,
    "gradient_checkpointing": True,
    "lora_dropout": 0.0,
    "ensure_weight_tying": False,
    "save_each_epoch": False,
    "logging_steps": 1,
    "report_to": (),
}
"""The guide: NF4 double quantised, batch 1 x 4, checkpointing, head and embedding trained apart."""
ONE = {"batch_size": 4, "accumulation": 1}
PLAIN = ONE | {"gradient_checkpointing": False}
CACHED = PLAIN | {"dequantize_base": True}
PACKED = CACHED | {"attention": "packed"}
FIXED = PACKED | {"device_metrics": True, "fixed_length": True}
COMPILED = FIXED | {"compile_layers": True}
GRAPHED = FIXED | {"cuda_graph": True}
BEST = COMPILED | {"cuda_graph": True}
FUSED = BEST | {"lora_kernel": "fused"}
ONCE = FUSED | {"head_kernel": "once"}
LORA = {"modules_to_save": ()}

RUNGS: dict[str, dict[str, Any]] = {
    "guide": {"train": {}, "steps": 3, "needs_seconds": 45},
    "batch 4 x 1": {"train": ONE, "steps": 6},
    "no checkpointing": {"train": PLAIN, "steps": 8},
    "cached base": {"train": CACHED, "steps": 10},
    "packed attention": {"train": PACKED, "steps": 10},
    "device metrics": {"train": FIXED, "steps": 12},
    "cuda graph": {"train": GRAPHED, "steps": 20},
    "compiled layers": {"train": COMPILED, "steps": 20, "needs_seconds": 60},
    "compiled + graph": {"train": BEST, "steps": 20},
    "compiled + graph + fused lora": {"train": FUSED, "steps": 20, "needs_seconds": 40},
    "and logits once": {"train": ONCE, "steps": 20, "needs_seconds": 15},
    "the same with dropout 0.05": {"train": ONCE | {"lora_dropout": 0.05}, "steps": 20, "changed": "dropout on"},
    "tied head": {"train": ONCE | {"ensure_weight_tying": True}, "steps": 20, "changed": "head and embedding are one"},
    "lora only": {"train": ONCE | LORA, "steps": 20, "changed": "head and embedding frozen"},
    "lora only batch 32": {
        "train": ONCE | LORA | {"batch_size": 32},
        "steps": 10,
        "needs_seconds": 40,
        "changed": "and 16,384 tokens a step",
    },
    "lora only batch 64": {
        "train": ONCE | LORA | {"batch_size": 64},
        "steps": 8,
        "needs_seconds": 40,
        "changed": "and 32,768 tokens a step",
    },
}
"""`train`: what differs from GUIDE; `steps`: timed ones; `changed`: why a rung is no longer the guide's training."""
MOST_STEPS = max(rung["steps"] for rung in RUNGS.values())
TRACED = 8
"""First steps whose losses and gradient norms are compared."""
SETTLING = 2
"""Steps after these before the clock starts."""


def select(asked: str) -> list[str]:
    """The rungs of a list of names or numbers (from 0), in the ladder's order; all for an empty one."""
    names = list(RUNGS)
    if not asked:
        return names
    wanted = [part.strip() for part in asked.split(",")]
    chosen = {names[int(part)] if part.isdigit() else part for part in wanted}
    return [name for name in names if name in chosen]
