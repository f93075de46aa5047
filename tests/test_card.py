"""Model cards, their results, and the way to the hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_model
from fake_hub import TOKEN, fake_hub
from huggingface_hub import ModelCard, constants

from harness import benchmark as benchmarks
from harness.config import load_experiment
from harness.errors import HarnessError, StoreError
from harness.evaluate.cards import card_of_merged, data_facts, push_cards, refresh_cards
from harness.evaluate.subjects import Subject, subjects
from harness.model.adapter import merge
from harness.model.files import digest
from harness.model.settings import ModelSettings
from harness.records import Run
from harness.trainer.card import write_card
from harness.trainer.hub import push
from harness.trainer.measured import RESULTS, Measurement, add_measurements, read_measurements
from harness.trainer.result import RECORD, find_result
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = TrainSettings(
    max_steps=4, epochs=2, packing="none", max_length=128, batch_size=2, accumulation=1, gradient_checkpointing=False,
    logging_steps=1, save_every_steps=2, modules_to_save=(), report_to=(),
)  # fmt: skip
EXAMPLES = [
    Example(({"role": "user", "content": f"how many orders has customer {n}?"},), f"SELECT {n} FROM orders")
    for n in range(4)
]
SCRIPT = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1);"


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory) -> Path:
    """A trained adapter on a tiny base, and the experiment that it belongs to."""
    place = tmp_path_factory.mktemp("cards")
    base = tiny_model.build(place / "tiny")
    rows = [{"id": n, "sql_prompt": "All a?", "sql_context": SCRIPT, "sql": "SELECT a FROM t"} for n in range(3)]
    (place / "toy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "toy.toml").write_text(
        f'[benchmark]\nname = "{place}/toy.jsonl"\n[model]\nbase = "{base}"\ndevice = "cpu"\n'
        f'[train]\noutput = "{place}/adapter"\n[eval]\nmodels = ["base", "checkpoints", "final"]\n'
    )
    data = {"benchmark": "toy", "hub": "owner/toy", "revision": "abc", "split": "train", "digest": "d" * 64}
    train(EXAMPLES, ModelSettings(str(base), device="cpu"), SETTINGS, place / "adapter", data=data)
    return place


@pytest.fixture(name="trial")
def _trial(place: Path, tmp_path: Path):
    """The same as a copy to change: (experiment, benchmark)."""
    shutil.copytree(place / "adapter", tmp_path / "adapter")
    experiment = load_experiment(place / "toy.toml", [f"train.output={tmp_path}/adapter"])
    return experiment, benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings)


def run_of(subject: Subject, experiment, benchmark, accuracy: float, limit: int | None = None) -> Run:
    result = find_result(Path(experiment.adapter_folder))
    adapter = "" if subject.kind == "base" else digest(subject.folder)
    base = result.facts["model"]["digest"]
    facts = {
        "digests": {"adapter": adapter, "model": base, "benchmark": benchmark.digest()},
        "totals": {
            "n": 3,
            "scored": 3,
            "execution_accuracy": accuracy,
            "execution_accuracy_ci": [accuracy / 2, (1 + accuracy) / 2],
            "exact_match": accuracy / 4,
            "suite": {"accuracy": accuracy / 8},
        },
        "experiment": {"eval": {"limit": limit}},
    }
    return Run(f"toy-{subject.name}-{accuracy}", subject.name, facts, "")


def refresh_all(experiment, benchmark, accuracies) -> None:
    for subject, accuracy in zip(subjects(experiment), accuracies, strict=True):
        refresh_cards(experiment, benchmark, subject, run_of(subject, experiment, benchmark, accuracy), print)


# --- what stands on a card


def test_a_fresh_card_is_the_hubs_own_with_recipe_and_curve(place):
    adapter = place / "adapter"
    card = ModelCard.load(adapter / "README.md")
    assert card.data.library_name == "peft"
    assert card.data.pipeline_tag == "text-generation"
    assert card.data.datasets == ["owner/toy"]
    assert card.data.eval_results is None
    assert card.data.base_model is None, "a local base has no name elsewhere"
    assert str(place) not in card.content
    assert "| learning rate | 0.0002 |" in card.text
    assert "| data set | toy (split train, owner/toy at abc, digest dddddddddddd) |" in card.text
    losses = find_result(adapter).losses
    assert all(f"| {entry['step']} | {entry['epoch']:.2f} | {entry['loss']:.4f} |" in card.text for entry in losses)
    assert (adapter / "training_curve.png").read_bytes().startswith(b"\x89PNG")
    checkpoint = ModelCard.load(adapter / "checkpoints" / "checkpoint-2" / "README.md")
    assert "Saved after optimizer step 2" in checkpoint.text
    assert str(place) not in checkpoint.content


def test_a_hub_base_is_named_where_the_hub_looks_for_it(place, tmp_path):
    result = find_result(place / "adapter")
    facts = {**result.facts, "model": {**result.facts["model"], "source": "google/gemma-3-1b-pt"}}
    write_card(tmp_path, replace(result, facts=facts))
    assert ModelCard.load(tmp_path / "README.md").data.base_model == "google/gemma-3-1b-pt"


def test_an_evaluation_puts_its_results_on_every_card(trial):
    experiment, benchmark = trial
    refresh_all(experiment, benchmark, [0.0, 0.25, 0.5, 0.5])
    out = Path(experiment.adapter_folder)
    card = ModelCard.load(out / "README.md")
    found = {result.metric_type: result for result in card.data.eval_results}
    assert len(card.data.eval_results) == 3
    assert {name: result.metric_value for name, result in found.items()} == {
        "execution_accuracy": 0.5,
        "exact_match": 0.125,
        "suite_accuracy": 0.0625,
    }, "of the final weights alone, though a checkpoint has the same"
    one = found["execution_accuracy"]
    assert (one.dataset_name, one.dataset_type, one.dataset_split) == ("toy", "toy", "all")
    assert one.dataset_revision == benchmark.digest()
    assert one.dataset_args == {"digest": benchmark.digest(), "questions": 3, "scored": 3}
    assert one.metric_args == {"interval_95": [0.25, 0.75], "rule": "default"}
    assert card.data.metrics == ["exact_match", "execution_accuracy", "suite_accuracy"]
    for told in ("| base | toy, all,", "0.0 % [0.0, 50.0] n=3", "| checkpoint-2 |", "25.0 % [12.5, 62.5] n=3"):
        assert told in card.text
    assert "| 2 | 1.00 |" in card.text
    curve = next(line for line in card.text.splitlines() if line.startswith("| 2 | 1.00 |"))
    assert "25.0 % [12.5, 62.5]" in curve, "the accuracy stands beside the loss of its step"
    assert "| 0 |  |  | 0.0 % [0.0, 50.0] n=3 |" in card.text, "the base is where training began"
    half = ModelCard.load(out / "checkpoints" / "checkpoint-2" / "README.md")
    assert {result.metric_value for result in half.data.eval_results} == {0.25, 0.0625, 0.03125}


def test_a_later_result_takes_the_place_of_an_earlier_one_and_a_trial_run_never_does(trial):
    experiment, benchmark = trial
    final = subjects(experiment)[-1]
    out = Path(experiment.adapter_folder)
    for accuracy, limit, shown in ((0.1, 2, 0.1), (0.2, None, 0.2), (0.9, 2, 0.2), (0.3, None, 0.3)):
        run = run_of(final, experiment, benchmark, accuracy, limit)
        refresh_cards(experiment, benchmark, final, run, print)
        assert [entry.execution_accuracy for entry in read_measurements(out)] == [shown]
        assert ("first 3 questions only" in (out / "README.md").read_text()) == (shown == 0.1)


def test_the_same_results_give_the_same_files(trial):
    experiment, benchmark = trial
    out = Path(experiment.adapter_folder)
    checkpoint, seen = subjects(experiment)[1], []
    for _ in range(2):
        refresh_cards(experiment, benchmark, checkpoint, run_of(checkpoint, experiment, benchmark, 0.25), print)
        seen.append({name: (out / name).read_bytes() for name in ("README.md", RESULTS, "training_curve.png")})
    assert seen[0] == seen[1]


def test_a_server_a_strange_folder_and_another_base_change_no_card(trial, tmp_path):
    experiment, benchmark = trial
    out = Path(experiment.adapter_folder)
    base, *_, final = subjects(experiment)
    served = load_experiment(ROOT / "benchmarks/pocket/pocket.toml", [f"train.output={out}", "generate.backend=server"])
    refresh_cards(served, benchmark, final, run_of(final, experiment, benchmark, 0.5), print)
    other = run_of(base, experiment, benchmark, 0.5)
    other.facts["digests"]["model"] = "another"
    refresh_cards(experiment, benchmark, base, other, print)
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "adapter_config.json").write_text("{}")
    mine = Subject("strange", "adapter", strange)
    refresh_cards(experiment, benchmark, mine, run_of(mine, experiment, benchmark, 0.5), print)
    assert not (out / RESULTS).exists()
    assert [file.name for file in strange.iterdir()] == ["adapter_config.json"]


def test_a_card_that_cannot_be_written_is_said_and_loses_no_run(trial):
    experiment, benchmark = trial
    final, said = subjects(experiment)[-1], []
    (Path(experiment.adapter_folder) / RESULTS).write_text("{")
    refresh_cards(experiment, benchmark, final, run_of(final, experiment, benchmark, 0.5), said.append)
    assert len(said) == 1
    assert "final: the card is not refreshed" in said[0]
    with pytest.raises(StoreError, match="delete it and evaluate again"):
        read_measurements(Path(experiment.adapter_folder))


def test_a_merged_model_has_the_recipe_of_its_adapter_and_results_of_its_own(trial, place, tmp_path):
    experiment, benchmark = trial
    out = tmp_path / "merged"
    merge(Path(experiment.adapter_folder), out, settings=ModelSettings(str(place / "tiny"), device="cpu"))
    card_of_merged(out)
    fresh = ModelCard.load(out / "README.md")
    assert fresh.data.library_name == "transformers"
    assert fresh.data.datasets == ["owner/toy"]
    assert "| LoRA r | 16 |" in fresh.text
    subject = Subject("merged", "whole", out)
    refresh_cards(experiment, benchmark, subject, run_of(subject, experiment, benchmark, 0.5), print)
    card = ModelCard.load(out / "README.md")
    assert [result.metric_value for result in card.data.eval_results] == [0.5, 0.125, 0.0625]
    assert str(place) not in card.content


def test_nothing_scored_leaves_no_number():
    nothing = Measurement("r", "final", "w", "b", "b", "test", "d", "d", 3, 0, None, None, None, None)
    from harness.trainer.card import eval_results

    assert eval_results([nothing]) == []


# --- the hub


@pytest.fixture(name="hub")
def _hub(monkeypatch):
    with fake_hub() as hub:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub


def check_that_the_token_was_only_in_headers(hub, folder: Path, *logs: str) -> None:
    assert {key for method, _, key, _ in hub.calls if method == "POST"} == {f"Bearer {TOKEN}"}
    assert all(TOKEN not in path and TOKEN.encode() not in body for _, path, _, body in hub.calls)
    assert all(TOKEN.encode() not in data for data in hub.files.values())
    assert all(TOKEN.encode() not in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert all(TOKEN not in log for log in logs)


def test_a_training_pushes_its_adapter_with_card_and_record(place, tmp_path, hub, capfd):
    settings = replace(SETTINGS, max_steps=1, push_to_hub=True, hub_model_id="me/toy-adapter")
    base = ModelSettings(str(place / "tiny"), device="cpu")
    result = train(EXAMPLES, base, settings, tmp_path / "adapter")
    assert hub.repositories["me/toy-adapter"]["visibility"] == "private"
    local = {file.name for file in result.adapter.iterdir() if file.is_file()}
    assert set(hub.files) == local
    assert {"README.md", "adapter_model.safetensors", "adapter_config.json", RECORD, "tokenizer.json"} <= local
    changed = {RECORD, "adapter_config.json"}
    assert all(hub.files[name] == (result.adapter / name).read_bytes() for name in local - changed)
    record = json.loads(hub.files[RECORD])
    assert record["facts"]["settings_digest"] == result.facts["settings_digest"]
    assert all(str(place).encode() not in hub.files[name] for name in changed), "no folder of this machine"
    check_that_the_token_was_only_in_headers(hub, tmp_path, *capfd.readouterr())


def test_the_hub_is_found_by_the_environment_alone(place, tmp_path):
    with fake_hub() as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        adapter = str(place / "adapter")
        code = f"from pathlib import Path; from harness.trainer.hub import push; push(Path({adapter!r}), 'x')"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert hub.commits == ["Adapter trained with harness"]
        assert list(hub.repositories) == ["me/x"]
        assert "adapter_model.safetensors" in hub.files
        check_that_the_token_was_only_in_headers(hub, tmp_path, done.stdout, done.stderr)


def test_an_evaluation_pushes_the_refreshed_card_where_the_adapter_is_pushed(trial, hub):
    experiment, benchmark = trial
    said = []
    push_cards(experiment, said.append)
    assert hub.calls == []
    pushing = experiment.model_copy(update={"train": experiment.train.model_copy(update={"push_to_hub": True})})
    final = subjects(pushing)[-1]
    refresh_cards(pushing, benchmark, final, run_of(final, pushing, benchmark, 0.5), said.append)
    push_cards(pushing, said.append)
    assert set(hub.files) == {"README.md", "training_curve.png", RESULTS}
    assert ModelCard(hub.files["README.md"].decode()).data.eval_results[0].metric_value == 0.5
    hub.refuse = True
    push_cards(pushing, said.append)
    assert len(said) == 1
    assert "hf auth login" in said[0]


def test_a_hub_that_refuses_is_told_without_the_token(place, hub):
    hub.refuse = True
    with pytest.raises(HarnessError, match=r"is trained and lies in .*train\.hub_model_id") as caught:
        push(place / "adapter", "me/x")
    assert TOKEN not in str(caught.value)


def test_where_questions_are_from_is_told_by_hub_and_digest(trial):
    facts = data_facts(trial[1], "train", "abc")
    assert facts == {"benchmark": "toy", "hub": "", "revision": "", "split": "train", "digest": "abc"}


def test_measurements_keep_an_order_of_their_own(tmp_path):
    def one(model: str, step: int | None) -> Measurement:
        return Measurement("r", model, "w", "b", "b", "test", "d", "d", 3, 3, 0.5, 0.1, 0.9, 0.5, step=step)

    added = add_measurements(tmp_path, [one("final", 20), one("checkpoint-10", 10), one("base", None), one("x", None)])
    assert [entry.model for entry in added] == ["base", "x", "checkpoint-10", "final"]
