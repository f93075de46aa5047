"""How fast QLoRA trains, rung by rung: the guide's batch of 1 x 4 with checkpointing, then what makes it faster.

    harness bench train --experiment benchmarks/pocket/pocket.toml
    pytest benchmarks/speed/bench_train.py --benchmark-enable

All rungs see the same rows and tokens an optimiser step; `exact` says that a rung's losses are those of the first.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness import benchmark as benchmarks
from harness.config import Experiment, load_experiment
from harness.evaluate.settings import model_settings, train_settings
from harness.prompt import example
from harness.trainer.result import TrainResult
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

EXPERIMENT = Path(__file__).resolve().parents[1] / "pocket" / "pocket.toml"
STEPS = 6
ROWS = 256
_ALIKE = 2e-3
"""Largest relative difference of two losses that still count as the same training."""

GUIDE: dict[str, Any] = {"batch_size": 1, "accumulation": 4, "gradient_checkpointing": True, "dequantize_base": False}
RUNGS: dict[str, dict[str, Any]] = {
    "guide: 1 x 4, checkpointing": {},
    "no checkpointing": {"gradient_checkpointing": False},
    "4 x 1": {"gradient_checkpointing": False, "batch_size": 4, "accumulation": 1},
    "base dequantised": {
        "gradient_checkpointing": False,
        "batch_size": 4,
        "accumulation": 1,
        "dequantize_base": True,
    },
}


def rows(experiment: Experiment) -> list[Example]:
    """The first rows of the training split as chats."""
    items = benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings).items("train")[:ROWS]
    chats = [example(item, experiment.prompt) for item in items]
    return [Example(tuple(shown), answer) for shown, answer in chats]


def rung(experiment: Experiment, changes: dict[str, Any]) -> TrainResult:
    """A few optimiser steps with the guide's settings and these changes, in a folder that is thrown away."""
    settings: TrainSettings = dataclasses.replace(
        train_settings(experiment.train),
        **{**GUIDE, **changes},
        max_steps=STEPS,
        lora_dropout=0.0,  # drawn per micro-step, so it would hide that two rungs are the same
        logging_steps=1,
        save_each_epoch=False,
        report_to=(),
        push_to_hub=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        return train(rows(experiment), model_settings(experiment.model), settings, Path(folder) / "adapter")


def figures(experiment: Experiment) -> list[dict[str, Any]]:
    """Trained tokens a second of each rung, loading left out."""
    found: list[dict[str, Any]] = []
    first: list[float] = []
    for name, changes in RUNGS.items():
        result = rung(experiment, changes)
        losses = [entry["loss"] for entry in result.losses if "loss" in entry]
        first = first or losses
        found.append(
            {
                "name": f"train: {name}",
                "value": result.train_tokens_per_second,
                "unit": "tok/s",
                "trained_tokens": result.trained_tokens,
                "seconds": round(result.step_seconds, 3),
                "peak_memory_bytes": result.peak_memory_bytes,
                "exact": len(losses) == len(first)
                and all(abs(a - b) <= _ALIKE * abs(b) for a, b in zip(losses, first, strict=True)),
            }
        )
    return found


@pytest.mark.parametrize("name", RUNGS)
def test_train(benchmark, name):
    """A few steps of one rung, loading included."""
    experiment = load_experiment(EXPERIMENT)
    benchmark.pedantic(rung, args=(experiment, RUNGS[name]), rounds=1)
