"""`train.report_to`: what a tracker is told is what the record holds."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import ClassVar

import pytest
import tiny_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerCallback
from transformers.integrations import INTEGRATION_TO_CALLBACK

from harness.errors import ConfigError
from harness.model.settings import ModelSettings
from harness.trainer.result import find_result
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

SETTINGS = TrainSettings(
    max_steps=4, packing="none", max_length=128, batch_size=2, accumulation=1, gradient_checkpointing=False,
    modules_to_save=(), logging_steps=1, save_each_epoch=False,
)  # fmt: skip
EXAMPLES = [Example(({"role": "user", "content": f"customer {n}?"},), f"SELECT {n}") for n in range(8)]


@pytest.fixture(name="base", scope="module")
def _base(tmp_path_factory) -> ModelSettings:
    return ModelSettings(str(tiny_model.build(tmp_path_factory.mktemp("base") / "tiny")), device="cpu")


class Notebook(TrainerCallback):
    """A tracker as transformers knows them."""

    told: ClassVar[list[dict]] = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.told.append({"step": state.global_step, **logs})


def test_tensorboard_and_any_other_tracker_get_the_loss_curve(base, tmp_path, monkeypatch):
    monkeypatch.setitem(INTEGRATION_TO_CALLBACK, "notebook", Notebook)
    settings = replace(SETTINGS, report_to=("tensorboard", "notebook"))
    result = train(EXAMPLES, base, settings, tmp_path / "adapter")
    curve = {int(entry["step"]): entry["loss"] for entry in result.losses}
    assert sorted(curve) == [1, 2, 3, 4]
    (file,) = (tmp_path / "adapter").rglob("events.out.tfevents*")
    events = EventAccumulator(str(file.parent)).Reload()
    assert {event.step: pytest.approx(event.value) for event in events.Scalars("train/loss")} == curve
    assert {"train/learning_rate", "train/grad_norm"} <= set(events.Tags()["scalars"])
    assert {entry["step"]: entry["loss"] for entry in Notebook.told if "loss" in entry} == curve


@pytest.mark.parametrize(
    ("name", "told"),
    [("tensorbord", r"does not know; it knows .*tensorboard"), ("wandb", r"names wandb: .*wandb.* to be installed")],
)
def test_a_tracker_that_is_not_there_is_told_before_anything_is_trained(base, tmp_path, name, told):
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed here")
    with pytest.raises(ConfigError, match=rf"train\.report_to .*{told}"):
        train(EXAMPLES, base, replace(SETTINGS, report_to=(name,)), tmp_path / "adapter")
    assert find_result(tmp_path / "adapter") is None
