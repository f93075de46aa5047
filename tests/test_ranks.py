"""Two processes that do one evaluation or training, started by accelerate on CPU (gloo); one of them killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import forks
import pytest
import tiny_model

from harness.config import load_experiment
from harness.evaluate.run import Evaluation, Hooks
from harness.evaluate.stored import stored_rows
from harness.evaluate.subjects import Subject
from harness.generate.share import Share, smaller
from harness.ranks import ALONE, ranks
from harness.records import Generation
from harness.store import RunFolder, read_run

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "CREATE TABLE orders (id INT, customer TEXT); INSERT INTO orders VALUES (1, 'a'), (2, 'b');"
COUNT = 10


def rows(first: int, last: int) -> str:
    """Questions whose lengths differ, so that batches are padded."""
    asked = [
        {
            "id": number,
            "sql_prompt": f"How many orders has customer {'x' * (number * 7 % 31)} {number}?",
            "sql_context": SCRIPT,
            "sql": f"SELECT count(*) FROM orders WHERE id = {number}",
        }
        for number in range(first, last)
    ]
    return "".join(json.dumps(row) + "\n" for row in asked)


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    tiny_model.build(folder / "tiny")
    (folder / "bench").mkdir()
    (folder / "bench" / "benchmark.toml").write_text('name = "toy"\ntrain = "train.jsonl"\ntest = "test.jsonl"\n')
    (folder / "bench" / "train.jsonl").write_text(rows(100, 108))
    (folder / "bench" / "test.jsonl").write_text(rows(0, COUNT))
    (folder / "toy.toml").write_text(
        '[benchmark]\nname = "bench"\n[model]\nbase = "tiny"\ndevice = "cpu"\n'
        "[train]\nepochs = 2\nmax_length = 512\nbatch_size = 1\naccumulation = 1\npacking = 'none'\nreport_to = []\n"
        "gradient_checkpointing = false\n"
        "[generate]\nmax_new_tokens = 12\nbatch_size = 4\nsamples = 2\ntemperature = 1.0\n"
        "[score]\nworkers = 1\nsuite = false\ncache_dir = ''\n[eval]\nmodels = [\"base\"]\nreport = false\n"
    )
    return folder


def launch(place: Path, *arguments: str) -> forks.Running:
    """Two processes on CPU, with gloo between them: `accelerate launch ... -m harness ARGUMENTS`."""
    how = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    how += ["--dynamo_backend", "no", "--main_process_port", "0"]
    environment = {"HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true", "PYTHON_EXEC": str(stand_in(place))}
    return forks.start([*how, "-m", "harness", *arguments], place, environment, module="accelerate.commands.launch")


def stand_in(place: Path) -> Path:
    """A program that torchrun takes for Python: its ranks then need not import everything again."""
    script = place / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{forks.__file__}" "$@"\n')
    script.chmod(0o755)
    return script


def ended(running: forks.Running) -> dict:
    done = running.wait()
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children(int(child))]
    return found


def ranks_of(running: forks.Running) -> dict[int, int]:
    """Rank -> process id."""
    found: dict[int, int] = {}
    for pid in children(running.pid):
        try:
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        rank = next((int(word.removeprefix(b"RANK=")) for word in words if word.startswith(b"RANK=")), None)
        if rank is not None and "harness" in Path(f"/proc/{pid}/cmdline").read_text():
            found.setdefault(rank, pid)
    return found


def kill_when(running: forks.Running, seen: Callable[[], bool], rank: int) -> None:
    """Kill one rank as soon as something is seen on disk; the launcher must then end all, and not in peace."""
    end = time.monotonic() + 200
    while not seen() and running.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(ranks_of(running)[rank], signal.SIGKILL)
    assert running.wait(200).returncode != 0


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


# -- without processes


def test_one_process_needs_nobody():
    assert ranks({}, "cpu") is ALONE
    assert ranks({"WORLD_SIZE": "1"}, "auto") is ALONE
    assert (ALONE.first, ALONE.agree("x")) == (True, "x")


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
