"""Each setting of speed trains the same: losses and gradient norms of the guide's recipe, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_model import build

from harness.model.settings import ModelSettings
from harness.trainer import assemble
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

EXAMPLES = [
    Example(
        ({"role": "user", "content": f"how many orders has {'each ' * (n % 5)}customer {n}?"},),
        f"SELECT SUM(total) FROM orders WHERE id = {n}",
    )
    for n in range(40)
]
GUIDE = TrainSettings(
    packing="bfd", max_length=160, max_steps=3, logging_steps=1, lora_dropout=0.0, save_each_epoch=False, report_to=()
)
"""Batch 1 x 4 with checkpointing, as the guide writes it; dropout off, for it is drawn anew at each micro-step."""
FAST = {"batch_size": 4, "accumulation": 1, "gradient_checkpointing": False, "dequantize_base": True}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> ModelSettings:
    return ModelSettings(str(build(tmp_path_factory.mktemp("base") / "tiny")), device="cpu")


def trace(settings, base, folder):
    result = train(EXAMPLES, base, settings, folder)
    return result, [(entry["loss"], entry["grad_norm"]) for entry in result.losses]


@pytest.fixture(scope="module")
def guide(base, tmp_path_factory):
    return {
        packing: trace(replace(GUIDE, packing=packing), base, tmp_path_factory.mktemp(packing) / "a")
        for packing in ("bfd", "wrapped", "none")
    }


@pytest.mark.parametrize(
    ("changes", "packing"),
    [
        ({"batch_size": 4, "accumulation": 1}, "bfd"),
        ({"batch_size": 2, "accumulation": 2, "gradient_checkpointing": False}, "bfd"),
        ({"attention": "packed"}, "bfd"),
        (FAST | {"attention": "packed"}, "bfd"),
        (FAST | {"attention": "packed", "device_metrics": True}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True, "lora_kernel": "fused", "loss_columns": 64}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True, "compile_layers": True}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True, "compile_layers": True, "lora_kernel": "fused"}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True}, "wrapped"),
        (FAST | {"attention": "packed", "device_metrics": True}, "none"),
        (FAST | {"attention": "packed", "fixed_length": True}, "none"),
        (FAST | {"device_metrics": True}, "none"),
    ],
    ids=str,
)
def test_a_rung_has_the_losses_and_gradients_of_the_guide(guide, base, tmp_path, monkeypatch, changes, packing):
    monkeypatch.setattr(assemble, "BACKEND", "aot_eager")  # the graphs without a compiler's minutes
    told, wanted = guide[packing]
    result, found = trace(replace(GUIDE, packing=packing, **changes), base, tmp_path / "a")
    assert len(found) == GUIDE.max_steps
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-5)
    assert (result.trained_tokens, result.loss_tokens) == (told.trained_tokens, told.loss_tokens)
