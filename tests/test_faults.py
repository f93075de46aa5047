"""What goes wrong outside: killed processes, full and read-only disks, clocks, damaged files, two at once."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness import benchmark as benchmarks
from harness.config import ScoreChoice, load_experiment
from harness.errors import StoreError
from harness.evaluate import run as running
from harness.evaluate.predictions import read_predictions
from harness.evaluate.run import Evaluation, Hooks
from harness.evaluate.scored import Scored, score_predictions
from harness.evaluate.subjects import Subject
from harness.records import Generation
from harness.store import RunFolder, load_items, read_run
from harness.store.lock import held
from harness.throughput.peaks import Peaks

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL);"
COUNT = 8


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory) -> Path:
    """Questions, predictions, and what scoring them gives undisturbed, in a cache of its own."""
    folder = tmp_path_factory.mktemp("faults")
    rows = [
        {"id": n, "sql_prompt": f"Q{n}?", "sql_context": SCRIPT, "sql": f"SELECT a FROM t WHERE a <> {n}"}
        for n in range(COUNT)
    ]
    lines(folder / "bench.jsonl", rows)
    lines(folder / "p.jsonl", [{"id": n, "sql": f"SELECT a FROM t WHERE a != {n % 3}"} for n in range(COUNT)])
    scored(folder, folder / "calm", str(folder / "cache"))
    return folder


def scored(place: Path, out: Path | None, cache: str = "") -> Scored:
    benchmark = benchmarks.load(str(place / "bench.jsonl"))
    predictions = read_predictions(place / "p.jsonl", (item.id for item in benchmark.stream()))
    choice = ScoreChoice(workers=1, suite=False, cache_dir=cache, reuse_verdicts=False)
    return score_predictions(benchmark, predictions, choice, source=place / "p.jsonl", out=out)


def rows_of(run: Path) -> list[dict]:
    return [{**row, "execute_seconds": 0.0} for row in load_items(read_run(run)).to_pylist()]


# -- kill -9


@pytest.mark.parametrize("seed", [1, 2])
def test_a_scoring_killed_at_a_seeded_moment_ends_with_the_same_rows(place, tmp_path, seed):
    command = [sys.executable, "-m", "harness", "score", str(place / "bench.jsonl"), str(place / "p.jsonl")]
    command += ["--out", str(tmp_path / "out"), "score.workers=1", "score.suite=false", "score.cache_dir="]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "out" / ".items.parquet.part").exists() and process.poll() is None:
        time.sleep(0.001)
    time.sleep(random.Random(seed).uniform(0.0, 0.3))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not (tmp_path / "out" / "run.json").exists()
    with pytest.raises(StoreError, match=r"unfinished run|holds no run"):
        read_run(tmp_path / "out")
    scored(place, tmp_path / "out")
    assert rows_of(tmp_path / "out") == rows_of(place / "calm")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["items.parquet", "run.json"]


# -- disks


def test_answers_kept_on_a_disk_that_fills_up_are_whole_and_the_rest_is_asked_again(tmp_path):
    code = (
        "import resource, signal, sys; from harness.records import Generation; from harness.store import RunFolder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "with RunFolder(sys.argv[1]) as folder:\n"
        "    folder.resume('x')\n"
        "    for number in range(100): folder.keep(Generation(str(number), 'SELECT ' + 'y' * 50))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "StoreError" in done.stderr
    assert "what was generated so far is kept" in done.stderr
    with RunFolder(tmp_path) as folder:
        kept = folder.resume("x")
        assert 10 < len(kept) < 100
        assert [answer.id for answer in kept.values()] == [str(number) for number in range(len(kept))]
        folder.keep(Generation("more", "SELECT 1"))
    with RunFolder(tmp_path) as folder:
        assert len(folder.resume("x")) == len(kept) + 1


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="/proc is the read-only folder that root cannot write either"
)
def test_a_read_only_folder_is_one_sentence_and_a_read_only_cache_costs_no_verdict(place):
    with pytest.raises(StoreError, match="cannot be written"):
        scored(place, Path("/proc/harness-run"))
    with pytest.raises(StoreError, match="cannot be written"), held(Path("/proc/harness-adapter"), "trained"):
        pass
    assert scored(place, None, "/proc/harness-cache").totals == read_run(place / "calm").facts["totals"]


# -- clocks


def test_a_clock_that_goes_backwards_changes_no_verdict_and_no_duration(place, tmp_path, monkeypatch):
    ticks = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))
    found = scored(place, tmp_path)
    assert found.seconds > 0
    assert rows_of(tmp_path) == rows_of(place / "calm")
    assert all(seconds >= 0 for seconds in read_run(tmp_path).facts["timings"]["phases"].values())


# -- two at once


def test_two_trainings_in_one_folder_are_refused_and_a_dead_one_holds_nothing(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from harness.store.lock import held\n"
        "with held(Path(sys.argv[1]), 'trained'): print('held', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path / "adapter")]
    other = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    told = rf"is trained by another process \(id {other.pid}\); wait for it"
    with pytest.raises(StoreError, match=told), held(tmp_path / "adapter", "trained"):
        pass
    other.kill()
    other.wait()
    with held(tmp_path / "adapter", "trained"):
        pass


# -- damaged files


def spoil(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0xFF
    path.write_bytes(bytes(data))


class Parrot:
    """Answers every question with the same text."""

    facts = {"backend": "parrot"}  # noqa: RUF012

    def generate(self, requests, decoding, progress=None):
        for request in requests:
            yield Generation(request.id, "SELECT a FROM t", 10, 5)

    def speed(self):
        return None


@contextmanager
def no_bar(label: str):
    yield lambda done, total: None


def test_a_damaged_run_is_told_by_its_digest_and_made_again(place, tmp_path, monkeypatch):
    (tmp_path / "trial.toml").write_text(
        f'[benchmark]\nname = "{place}/bench.jsonl"\n[model]\nbase = "x"\n[score]\nworkers = 1\nsuite = false\n'
        f'cache_dir = ""\n[eval]\nmodels = ["base"]\nruns = "{tmp_path}/runs"\n'
    )
    monkeypatch.setattr(running, "open_generator", lambda *_: Parrot())
    monkeypatch.setattr(running, "model_facts", lambda *_: {"model": "m"})
    monkeypatch.setattr(running, "device_peaks", lambda *_: Peaks())
    said: list[str] = []
    evaluation = Evaluation(load_experiment(tmp_path / "trial.toml"), Hooks(said.append, no_bar))
    first = evaluation.one(Subject("base", "base"))
    rows = rows_of(Path(first.run.path))
    spoil(Path(first.run.path) / "items.parquet")
    again = evaluation.one(Subject("base", "base"))
    assert again.reused is False
    assert any("damaged and is made again" in line for line in said)
    assert rows_of(Path(again.run.path)) == rows
    assert evaluation.one(Subject("base", "base")).reused is True


def test_a_damaged_gold_answer_is_told_made_again_and_changes_no_verdict(place, tmp_path, caplog):
    cache = tmp_path / "cache"
    scored(place, tmp_path / "one", str(cache))
    with sqlite3.connect(cache / "golds.sqlite") as file:
        assert file.execute("UPDATE entry SET data = zeroblob(length(data))").rowcount == COUNT
    scored(place, tmp_path / "two", str(cache))
    assert "was not what had been written; it is made again" in caplog.text
    (cache / "golds.sqlite").write_bytes(b"no database " * 100)
    for file in cache.glob("golds.sqlite-*"):
        file.unlink()
    caplog.clear()
    scored(place, tmp_path / "three", str(cache))
    assert "was no database any more" in caplog.text
    assert rows_of(tmp_path / "two") == rows_of(tmp_path / "three") == rows_of(place / "calm")


def test_no_byte_of_a_stored_run_can_change_unseen(place):
    """Every changed byte of the items is told by the digest, before anything reads them."""
    whole = (place / "calm" / "items.parquet").read_bytes()
    path = place / "calm" / "items.parquet"
    try:
        for at in random.Random(0).sample(range(len(whole)), 20):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(StoreError, match="is not the file"):
                load_items(read_run(place / "calm"))
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StoreError, match="is not the file"):
            load_items(read_run(place / "calm"))
    finally:
        path.write_bytes(whole)
    assert pq.read_metadata(path).num_rows == COUNT


def test_a_logged_stretch_ends_with_each_checkpoint_so_that_a_resumed_training_logs_the_same():
    from transformers import TrainerControl, TrainerState

    from harness.trainer.session import Watch
    from harness.trainer.settings import TrainSettings

    watch = Watch(TrainSettings(save_every_steps=2), {}, None)
    asked = []
    for step in (1, 2, 3, 4):
        control = TrainerControl()
        watch.on_step_end(None, TrainerState(global_step=step, max_steps=9), control)
        asked.append((control.should_log, control.should_save))
    assert asked == [(False, False), (True, True)] * 2


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_training_with_the_setting_to_change(loss):
    from transformers import TrainerControl, TrainerState

    from harness.trainer.session import DivergedError, Watch
    from harness.trainer.settings import TrainSettings

    watch = Watch(TrainSettings(learning_rate=0.5), {}, None)
    state = TrainerState(global_step=7, max_steps=9)
    with pytest.raises(DivergedError, match=r"at step 7; lower train.learning_rate \(it is 0.5\)"):
        watch.on_log(None, state, TrainerControl(), {"loss": loss})


def test_every_test_that_the_fault_table_and_the_threat_model_name_exists():
    tests = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py")}
    for page in ("reports/faults.md", "docs/threat-model.md"):
        named = set(re.findall(r"`(test_\w+(?:\.py)?)`", (ROOT / page).read_text(encoding="utf-8")))
        assert len(named) > 5
        missing = {name for name in named if name not in tests and not any(f"def {name}(" in t for t in tests.values())}
        assert not missing, page
