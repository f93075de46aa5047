"""Two processes that do one evaluation or training, started by accelerate on CPU (gloo); one of them killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import forks
import pytest
from launched import COUNT, ended, furnish, kill_when, launch, launch_machine, ranks_of, wait_until
from transformers import TrainerState

from harness.config import load_experiment
from harness.evaluate.run import Evaluation, Hooks
from harness.evaluate.stored import stored_rows
from harness.evaluate.subjects import Subject
from harness.generate.share import Share, smaller
from harness.ranks import ALONE, Ranks, ranks
from harness.records import Generation
from harness.store import RunFolder, read_run
from harness.trainer.result import find_checkpoints
from harness.trainer.session import Watch
from harness.trainer.settings import TrainSettings


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory) -> Path:
    return furnish(tmp_path_factory.mktemp("ranks"))


@contextmanager
def no_bar(label: str):
    yield lambda done, total: None


def content(run: Path) -> tuple[list[dict], dict]:
    record = read_run(run)
    facts = {key: value for key, value in record.facts.items() if key not in ("timings", "machine")}
    facts["digests"] = {key: value for key, value in facts["digests"].items() if key != "items"}
    return [{**row, "execute_seconds": 0.0} for row in stored_rows(record)], facts


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks in /proc")
def test_two_ranks_of_which_one_is_killed_give_the_bits_of_one_process(place, monkeypatch):
    def answers() -> bool:
        parts = (place / "reports" / "runs").glob("*/generations-1.part")
        return any(part.read_bytes().count(b"\n") >= 4 for part in parts)

    kill_when(launch(place, "eval", "toy.toml"), answers, rank=1)
    (run,) = (place / "reports" / "runs").iterdir()
    assert not (run / "run.json").exists()
    document = ended(launch(place, "eval", "toy.toml"))
    (entry,) = document["runs"]
    facts = read_run(place / entry["path"]).facts
    assert facts["timings"]["answers_kept"] >= 2
    assert len(facts["timings"]["ranks"]) == 2
    assert sorted(path.name for path in run.iterdir()) == ["items.parquet", "run.json"]

    monkeypatch.chdir(place)
    experiment = load_experiment("toy.toml", ["eval.runs=alone"])
    alone = Evaluation(experiment, Hooks(lambda text: None, no_bar)).one(Subject("base", "base"))
    mine, theirs = content(place / entry["path"]), content(Path(alone.run.path))
    assert mine[0] == theirs[0]
    assert len(mine[0]) == 2 * COUNT
    assert len({row["completion"] for row in mine[0]}) > COUNT, "answers that are all alike would prove nothing"
    for facts in (mine[1], theirs[1]):
        facts["experiment"]["eval"].pop("runs")
    assert mine[1] == theirs[1]


@pytest.mark.slow
def test_two_machines_answer_by_the_engine_with_the_bits_of_one_process(place, monkeypatch):
    """Started as `examples/accelerate_4_nodes.yaml` says, on one host; four blocks, two of them each."""
    greedy = ["generate.backend=engine", "generate.temperature=0", "generate.samples=1", "generate.batch_size=2"]
    greedy += ["generate.block=3"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first, second = (
        launch_machine(place, rank, port, "eval", "toy.toml", *greedy, "eval.runs=nodes") for rank in (0, 1)
    )
    (entry,) = ended(first)["runs"]
    assert second.wait().returncode == 0
    record = read_run(place / entry["path"])
    shares = [part["speed"]["prompt_tokens"] for part in record.facts["timings"]["ranks"]]
    assert len(shares) == 2
    assert min(shares) > 0, "both have answered"
    assert record.facts["generator"]["backend"] == "engine"
    monkeypatch.chdir(place)
    experiment = load_experiment("toy.toml", [*greedy, "eval.runs=one-machine"])
    alone = Evaluation(experiment, Hooks(lambda text: None, no_bar)).one(Subject("base", "base"))
    mine, theirs = content(Path(record.path))[0], content(Path(alone.run.path))[0]
    assert mine == theirs
    assert len({row["completion"] for row in mine}) > 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks in /proc")
def test_two_ranks_train_one_adapter_and_go_on_where_one_was_killed(place):
    """The losses of two ranks are, up to rounding, those of one process with a batch of twice the size."""
    adapter = place / "reports" / "adapters" / "toy"
    first = adapter / "checkpoints" / "checkpoint-4" / "harness.json"
    kill_when(launch(place, "train", "toy.toml"), first.is_file, rank=1)
    document = ended(launch(place, "train", "toy.toml"))
    assert (document["steps"], document["reused"], len(document["checkpoints"])) == (8, False, 2)
    record = json.loads((adapter / "harness.json").read_text())
    assert (record["status"], record["resumed_from"]) == ("finished", 4)
    alone = ["train.batch_size=2", "train.output=by-one"]
    done = forks.run(["train", "toy.toml", *alone], cwd=place)
    assert done.returncode == 0, done.stderr
    other = json.loads((place / "by-one" / "harness.json").read_text())
    assert record["loss"] == pytest.approx(other["loss"], rel=1e-3)
    assert 0 <= record["facts"]["padded_tokens"] <= other["facts"]["padded_tokens"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks in /proc")
def test_an_interrupt_that_reaches_one_rank_ends_all_after_one_step_with_a_checkpoint(place):
    """Ctrl-C reaches the ranks one by one, so that some are a step ahead; none may wait for one that has stopped."""
    output = place / "interrupted"
    more = ["train.output=interrupted", "train.epochs=50", "train.save_every_steps=1", "train.save_each_epoch=false"]
    running = launch(place, "train", "toy.toml", *more)
    wait_until((output / "checkpoints" / "checkpoint-2" / "harness.json").is_file, running)
    os.kill(ranks_of(running)[1], signal.SIGINT)
    assert running.wait(60).returncode != 0
    last = max(find_checkpoints(output), key=lambda checkpoint: checkpoint.step)
    assert json.loads((last.path / "harness.json").read_text())["interrupted"]
    assert last.step < 200, "it ran to its end"


# -- without processes


def test_one_process_needs_nobody():
    assert ranks({}, "cpu") is ALONE
    assert ranks({"WORLD_SIZE": "1"}, "auto") is ALONE
    assert (ALONE.first, ALONE.agree("x"), ALONE.any(False)) == (True, "x", False)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [1, 3, 64])
def test_shares_hold_every_batch_once_and_cut_them_alike(count, size):
    prompts = [Generation(str(number), "") for number in range(20)]
    whole = Share().batches(prompts, size)
    parts = [batch for index in range(count) for batch in Share(index, count).batches(prompts, size)]
    assert sorted(parts, key=lambda part: part[0]) == whole
    stretches = [one for index in range(count) for one in Share(index, count, {"3", "19"}).items(prompts)]
    assert [one.id for one in stretches] == [str(number) for number in range(20) if number not in (3, 19)]


def test_a_batch_is_left_out_only_when_all_its_answers_are_kept():
    prompts = [Generation(str(number), "") for number in range(6)]
    left = Share(kept={"0", "1", "2", "4"}).batches(prompts, 2)
    assert [(at, [one.id for one in batch]) for at, batch in left] == [(2, ["2", "3"]), (4, ["4", "5"])]
    assert [(at, len(batch)) for at, batch in smaller(left, 1)] == [(2, 1), (3, 1), (4, 1), (5, 1)]


def test_the_members_of_a_run_keep_their_answers_side_by_side(tmp_path):
    with RunFolder(tmp_path) as first, RunFolder(tmp_path, member=1) as second:
        assert first.resume("x") == second.resume("x") == {}
        first.keep(Generation("a", "1"))
        second.keep(Generation("b", "2"))
    with (tmp_path / "generations-1.part").open("ab") as part:
        part.write(b"torn")
    with RunFolder(tmp_path) as alone:
        kept = alone.resume("x")
        assert {key: answer.completion for key, answer in kept.items()} == {("a", 0): "1", ("b", 0): "2"}
        assert alone.kept("other inputs") == {}
        alone.write_items([])
        alone.finish({})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.parquet", "run.json"]


def test_a_checkpoint_is_marked_as_whole_when_every_rank_has_written_its_part(tmp_path):
    """Else one is resumed from that lacks a rank's random state, for that rank was killed while it wrote."""
    waited = []

    class Second(Ranks):
        def wait(self) -> None:
            waited.append((tmp_path / "checkpoint-4" / "harness.json").exists())

    watch = Watch(TrainSettings(), {}, None, Second())
    state = TrainerState(global_step=4, epoch=1.0, is_world_process_zero=True)
    watch.on_save(SimpleNamespace(output_dir=tmp_path), state, None)
    assert waited == [False]
    assert (tmp_path / "checkpoint-4" / "harness.json").exists()
