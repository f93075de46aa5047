"""How fast QLoRA trains, rung by rung: the guide's batch of 1 x 4 with checkpointing, then what makes it faster.

    harness bench train --experiment benchmarks/pocket/pocket.toml
    pytest benchmarks/speed/bench_train.py --benchmark-enable

All rungs see the same rows and tokens an optimiser step; `exact` says that a rung's losses and gradient norms are those
of the first. The whole ladder at a published model's shape, on random weights, is `train_ladder.py`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness import benchmark as benchmarks
from harness.config import Experiment, load_experiment
from harness.evaluate.settings import model_settings, train_settings
from harness.prompt import example
from harness.throughput import sync_timer
from harness.trainer.result import TrainResult
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

EXPERIMENT = Path(__file__).resolve().parents[1] / "pocket" / "pocket.toml"
SETTLING = 2
"""Steps before the clock counts: kernels load, memory is taken, layers are compiled."""
ROWS = 256
_ALIKE = {"loss": 2e-3, "grad_norm": 2e-2}
"""Largest relative differences to the first rung that still count as the same training (bf16 has 3 digits)."""

GUIDE: dict[str, Any] = {"batch_size": 1, "accumulation": 4, "gradient_checkpointing": True, "dequantize_base": False}
PLAIN = {"gradient_checkpointing": False}
ONE = PLAIN | {"batch_size": 4, "accumulation": 1}
RUNGS: dict[str, dict[str, Any]] = {
    "guide: 1 x 4, checkpointing": {},
    "no checkpointing": PLAIN,
    "4 x 1": ONE,
    "base dequantised": ONE | {"dequantize_base": True},
    "auto": {"rungs": "auto"},
}
QUICK = ("guide: 1 x 4, checkpointing", "auto")


def rows(experiment: Experiment, count: int = ROWS) -> list[Example]:
    """The first rows of the training split as chats."""
    items = benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings).items("train")[:count]
    chats = [example(item, experiment.prompt) for item in items]
    return [Example(tuple(shown), answer) for shown, answer in chats]


def rung(experiment: Experiment, changes: dict[str, Any], steps: int) -> tuple[TrainResult, list[float]]:
    """Optimiser steps with the guide's settings and these changes, in a folder that is thrown away; seconds of each."""
    settings: TrainSettings = dataclasses.replace(
        train_settings(experiment.train),
        **{**GUIDE, **changes},
        max_steps=steps,
        lora_dropout=0.0,  # drawn per micro-step, so it would hide that two rungs are the same
        group_by_length=False,
        logging_steps=1,
        save_each_epoch=False,
        save_every_steps=0,
        report_to=(),
        push_to_hub=False,
    )
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            rows(experiment),
            model_settings(experiment.model),
            settings,
            Path(folder) / "adapter",
            progress=lambda done, total, words: ends.append(sync_timer()),
        )
    return result, [after - before for before, after in pairwise(ends)]


def figures(experiment: Experiment, repeats: int = 5, quick: bool = False) -> list[dict[str, Any]]:
    """Trained tokens a second of each rung, a repeat a step; loading, first steps and saving left out."""
    found: list[dict[str, Any]] = []
    first: TrainResult | None = None
    for name, changes in RUNGS.items():
        if quick and name not in QUICK:
            continue
        result, seconds = rung(experiment, changes, SETTLING + repeats)
        first = first or result
        tokens = result.trained_tokens / result.steps
        speed = result.facts["throughput"]
        found.append(
            {
                "name": f"train: {name}",
                "unit": "tok/s",
                "values": [tokens / spent for spent in seconds[SETTLING:]],
                "tokens_per_step": tokens,
                "peak_memory_bytes": result.peak_memory_bytes,
                "exact": alike(result, first),
                "note": result.facts["rungs"] if "rungs" in changes else "",
                "flops_per_token": speed["flops_per_token"],
                "phases": speed["phases"],
            }
        )
    return found


def alike(result: TrainResult, first: TrainResult) -> bool:
    """Whether losses and gradient norms agree step by step."""
    pairs = list(zip(result.losses, first.losses, strict=False))
    return len(result.losses) == len(first.losses) and all(
        abs(a[name] - b[name]) <= most * abs(b[name]) for a, b in pairs for name, most in _ALIKE.items() if name in b
    )


@pytest.mark.parametrize("name", RUNGS)
def test_train(benchmark, name):
    """A few steps of one rung, loading included."""
    experiment = load_experiment(EXPERIMENT)
    benchmark.pedantic(rung, args=(experiment, RUNGS[name], 4), rounds=1)
