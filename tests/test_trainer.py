from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import forks
import pytest
import torch
from safetensors.torch import load_file
from tiny_model import build

from harness.errors import ConfigError, DataError, DeviceError, HarnessError, StoreError
from harness.model.adapter import base_of, load_adapter
from harness.model.load import is_tied, load_base
from harness.model.settings import ModelSettings
from harness.trainer.recipe import trainable_dtype
from harness.trainer.result import RECORD, WEIGHTS, find_checkpoints, find_result, read_record
from harness.trainer.rows import IGNORED, encode_rows
from harness.trainer.session import CountingTrainer, DivergedError
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

TESTS = Path(__file__).resolve().parent
EXAMPLES = [
    Example(
        ({"role": "user", "content": f"how many orders has customer {n}?"},),
        f"SELECT SUM(total) FROM orders WHERE id = {n}",
    )
    for n in range(8)
]
QUICK = TrainSettings(
    epochs=2, packing="none", max_length=128, batch_size=2, accumulation=1, gradient_checkpointing=False, report_to=()
)
"""Eight rows by two: four steps an epoch."""


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> ModelSettings:
    return ModelSettings(str(build(tmp_path_factory.mktemp("base") / "tiny")), device="cpu")


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    told = []
    out = tmp_path_factory.mktemp("out") / "adapter"
    return train(EXAMPLES, base, QUICK, out, progress=lambda *step: told.append(step)), told


# --- the recipe


def test_training_lowers_the_loss_and_keeps_a_checkpoint_an_epoch(trained):
    result, told = trained
    assert result.steps == 8
    assert [(c.name, c.step, c.epoch) for c in result.checkpoints] == [
        ("checkpoint-4", 4, 1.0),
        ("checkpoint-8", 8, 2.0),
    ]
    assert result.checkpoints[1].loss < result.checkpoints[0].loss
    assert result.loss == result.checkpoints[1].loss == result.losses[-1]["loss"]
    assert [step for step, _, _ in told] == list(range(9))
    assert {total for _, total, _ in told} == {8}
    assert (result.reused, result.resumed_from) == (False, 0)
    assert result.peak_memory_bytes > 2**20


def test_tokens_of_training_are_counted_by_kind(trained, base):
    result, _ = trained
    rows = encode_rows(EXAMPLES, load_base(base).tokenizer, QUICK)
    assert result.trained_tokens == 2 * rows.tokens
    assert result.loss_tokens == 2 * rows.loss_tokens
    assert result.train_tokens_per_second == pytest.approx(result.trained_tokens / result.step_seconds)
    assert 0 < result.step_seconds < result.seconds


def test_a_trained_adapter_belongs_to_its_base_and_moves_it(trained, base):
    result, _ = trained
    ids = torch.tensor([[2, 10, 20, 30]])
    with torch.inference_mode():
        before = load_base(base).model(ids).logits
        adapted = load_adapter(load_base(base), result.adapter, "adapter")
        after = adapted.model(ids).logits
    assert not torch.allclose(before, after, atol=1e-3)
    assert is_tied(adapted.model.get_base_model()) or adapted.model.get_input_embeddings().weight.equal(
        adapted.model.get_output_embeddings().weight
    )
    assert load_adapter(load_base(base), result.checkpoints[0].path).facts["tied"]
    assert base_of(result.adapter) == base


def test_record_and_card_say_how_it_was_made(trained, base):
    result, _ = trained
    record = json.loads((result.adapter / RECORD).read_text())
    facts = record["facts"]
    assert facts["train"]["lora_r"] == 16
    assert facts["train"]["modules_to_save"] == ["lm_head", "embed_tokens"]
    assert facts["model"]["precision"] == "nf4"
    assert facts["trainable_dtypes"] == ["fp32"]
    assert record["train_tokens_per_second"] == result.train_tokens_per_second
    card = (result.adapter / "README.md").read_text()
    assert f"# Text-to-SQL adapter for {Path(base.base).name}" in card
    assert "| learning rate | 0.0002 |" in card
    assert f"| training loss at the end | {result.loss:.4f} |" in card
    assert not list(result.adapter.glob("*.bin"))
    assert (result.adapter / "tokenizer.json").is_file()


def test_the_same_training_is_reused_and_another_is_set_aside(trained, base, monkeypatch):
    result, _ = trained
    assert find_result(result.adapter) == result
    with monkeypatch.context() as patch:
        patch.setattr(CountingTrainer, "train", lambda *a, **k: pytest.fail("trained again"))
        again = train(EXAMPLES, base, replace(QUICK, report_to=("tensorboard",)), result.adapter)
    assert again == result
    assert again.reused
    kept = Path(shutil.copytree(result.adapter, result.adapter.parent / "kept"))
    other = train(EXAMPLES[:2], base, replace(QUICK, epochs=1), kept)
    assert (other.steps, other.reused) == (1, False)
    aside = [f for f in kept.parent.iterdir() if f.name.startswith("kept-")]
    assert len(aside) == 1
    assert find_result(aside[0]).loss == result.loss


def test_a_folder_of_something_else_is_left_alone(base, tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(StoreError, match="is not empty and holds no training"):
        train(EXAMPLES, base, QUICK, tmp_path)
    assert (tmp_path / "note").read_text() == "mine"


@pytest.mark.parametrize("packing", ["bfd", "wrapped"])
def test_packed_rows_train_with_checkpointing_and_tensorboard(base, tmp_path, packing):
    settings = replace(
        QUICK,
        packing=packing,
        gradient_checkpointing=True,
        batch_size=1,
        accumulation=2,
        epochs=1,
        report_to=("tensorboard",),
    )
    result = train(EXAMPLES, base, settings, tmp_path / "a")
    rows = encode_rows(EXAMPLES, load_base(base).tokenizer, settings)
    assert result.trained_tokens == rows.tokens
    assert result.facts["padded_tokens"] == 0
    assert list((tmp_path / "a").rglob("events.out.tfevents*"))


def test_the_dequantised_base_trains_to_the_same_adapter(trained, base, tmp_path):
    exact = train(EXAMPLES, base, replace(QUICK, dequantize_base=True, group_by_length=False), tmp_path / "a")
    for a, b in zip(trained[0].losses, exact.losses, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)
    assert exact.facts["model"]["precision"] == "nf4"
    with pytest.raises(ConfigError, match=r"model\.precision=nf4"):
        train(EXAMPLES, replace(base, precision="fp32"), replace(QUICK, dequantize_base=True), tmp_path / "b")


def test_lora_alone_trains_less(base, tmp_path):
    settings = replace(QUICK, modules_to_save=(), max_steps=1, group_by_length=True, save_each_epoch=False)
    result = train(EXAMPLES, base, settings, tmp_path / "a")
    names = list(load_file(result.adapter / WEIGHTS))
    assert names
    assert all("lora_" in name for name in names)
    assert [c.step for c in result.checkpoints] == [1]


def test_a_t4_trains_fp32_beside_fp16_and_newer_gpus_bf16(base):
    loaded = load_base(base)
    for compute, expected in (("fp16", torch.float32), ("bf16", torch.bfloat16), ("fp32", torch.float32)):
        known = replace(loaded, facts={**loaded.facts, "compute_dtype": compute})
        assert trainable_dtype(QUICK, known) == expected
    assert trainable_dtype(replace(QUICK, trainable_dtype="bf16"), loaded) == torch.bfloat16


# --- rows


def test_the_loss_is_taken_over_what_was_asked_for(base):
    tokenizer = load_base(base).tokenizer
    rows = encode_rows(EXAMPLES, tokenizer, QUICK)
    for ids, labels, example in zip(rows.input_ids, rows.labels, EXAMPLES, strict=True):
        assert [label for label in labels if label != IGNORED] == ids[labels.count(IGNORED) :]
        assert (
            tokenizer.decode([label for label in labels if label != IGNORED]) == example.completion + "<end_of_turn>\n"
        )
    everything = encode_rows(EXAMPLES, tokenizer, replace(QUICK, loss_on="all"))
    assert everything.labels == everything.input_ids


def test_over_long_rows_are_counted(base):
    tokenizer = load_base(base).tokenizer
    lengths = sorted(len(row) for row in encode_rows(EXAMPLES, tokenizer, QUICK).input_ids)
    long = [*EXAMPLES, Example(({"role": "user", "content": "many " * 200},), "SELECT 1")]
    cut = encode_rows(long, tokenizer, replace(QUICK, max_length=lengths[-1] - 1))
    assert (cut.over_long, cut.dropped) == (1 + lengths.count(lengths[-1]), 1)
    dropped = encode_rows(long, tokenizer, replace(QUICK, max_length=lengths[-1], over_long="drop"))
    assert (dropped.over_long, dropped.dropped, len(dropped.input_ids)) == (1, 1, len(EXAMPLES))
    whole = encode_rows(long, tokenizer, replace(QUICK, packing="wrapped", max_length=16))
    assert (whole.over_long, len(whole.input_ids)) == (0, len(long))
    with pytest.raises(DataError, match=r"fits train\.max_length=4"):
        encode_rows(EXAMPLES, tokenizer, replace(QUICK, max_length=4))
    with pytest.raises(DataError, match="no training rows"):
        encode_rows([], tokenizer, QUICK)


# --- what goes wrong


def main():
    """A slow training as a process of its own (`forks`): BASE OUT."""
    base, out = sys.argv[1:]
    settings = replace(QUICK, save_every_steps=1)
    train(EXAMPLES, ModelSettings(base, device="cpu"), settings, Path(out), progress=lambda *_: time.sleep(0.3))


def test_a_killed_training_resumes_and_ends_where_an_unbroken_one_does(trained, base, tmp_path):
    out = tmp_path / "adapter"
    child = forks.start([base.base, str(out)], TESTS.parent, module="test_trainer")
    deadline = time.monotonic() + 120
    while len(find_checkpoints(out)) < 3 and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.02)
    child.kill()
    assert child.wait().returncode == -signal.SIGKILL
    assert find_result(out) is None
    last = find_checkpoints(out)[-1]
    half = last.path.with_name("checkpoint-7")  # as if killed while writing it
    shutil.copytree(last.path, half, dirs_exist_ok=True)
    (half / RECORD).unlink()
    result = train(EXAMPLES, base, replace(QUICK, save_every_steps=1), out)
    assert 3 <= result.resumed_from == last.step < 8
    assert result.steps == 8
    assert result.trained_tokens < trained[0].trained_tokens
    ours, unbroken = load_file(out / WEIGHTS), load_file(trained[0].adapter / WEIGHTS)
    assert all(torch.allclose(ours[name], unbroken[name], atol=1e-6) for name in unbroken)
    assert [c.step for c in result.checkpoints] == list(range(1, 9))


def test_ctrl_c_ends_after_the_step_with_a_checkpoint(base, tmp_path):
    def interrupt(done, total, text):
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    settings = replace(QUICK, epochs=1)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(EXAMPLES, base, settings, tmp_path / "a", progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    reached = find_checkpoints(tmp_path / "a")[-1]
    assert reached.step in (2, 3)
    assert read_record(reached.path)["interrupted"]
    result = train(EXAMPLES, base, settings, tmp_path / "a")
    assert (result.resumed_from, result.steps) == (reached.step, 4)
    assert [c.step for c in result.checkpoints] == [4]


def test_a_loss_that_is_no_number_stops_training(base, tmp_path):
    settings = replace(QUICK, learning_rate=1e30, max_grad_norm=0.0, logging_steps=1)
    with pytest.raises(DivergedError, match=r"lower train\.learning_rate \(it is 1e\+30\)"):
        train(EXAMPLES, base, settings, tmp_path / "a")


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (QUICK, r"train\.batch_size below 2"),
        (replace(QUICK, batch_size=1), r"train\.gradient_checkpointing=true"),
        (replace(QUICK, batch_size=1, gradient_checkpointing=True), r"train\.max_length"),
    ],
)
def test_too_little_memory_names_the_setting_to_change(base, tmp_path, monkeypatch, settings, remedy):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(CountingTrainer, "train", full)
    with pytest.raises(DeviceError, match=remedy):
        train(EXAMPLES, base, settings, tmp_path / "a")


def test_a_full_disk_is_told_and_other_faults_are_not_hidden(base, tmp_path, monkeypatch):
    fault: Exception = OSError(errno.ENOSPC, "No space left on device")

    def fail(*args, **kwargs):
        raise fault

    monkeypatch.setattr(CountingTrainer, "train", fail)
    with pytest.raises(StoreError, match=r"disk under .* is full"):
        train(EXAMPLES, base, QUICK, tmp_path / "a")
    fault = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError):
        train(EXAMPLES, base, QUICK, tmp_path / "a")


def test_a_layer_that_is_not_there_is_told(base, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.target_modules"):
        train(EXAMPLES, base, replace(QUICK, target_modules=("no_such_proj",)), tmp_path / "a")


def test_a_hub_that_does_not_take_the_adapter_loses_nothing(base, tmp_path, monkeypatch):
    import huggingface_hub

    def offline(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", offline)
    settings = replace(QUICK, max_steps=1, push_to_hub=True)
    with pytest.raises(HarnessError, match=r"is trained and lies in .*no route.*train\.hub_model_id"):
        train(EXAMPLES, base, settings, tmp_path / "a")
    assert find_result(tmp_path / "a").steps == 1


def test_a_record_of_another_version_is_told(trained, base, tmp_path):
    own = Path(shutil.copytree(trained[0].adapter, tmp_path / "own"))
    (own / RECORD).write_text('{"format": 99}')
    with pytest.raises(StoreError, match="another version"):
        train(EXAMPLES, base, QUICK, own)
