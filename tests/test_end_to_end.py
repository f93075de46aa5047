"""The whole way on a tiny random model: train, kill, resume, eval, kill, resume, merge, ask; and every bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forks
import pytest
import tiny_model
from huggingface_hub import ModelCard

from harness.store import load_items, read_run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "CREATE TABLE orders (id INT, customer TEXT); INSERT INTO orders VALUES (1, 'a'), (2, 'b');"


def rows(first: int, last: int) -> str:
    return "".join(
        json.dumps(
            {
                "id": number,
                "sql_prompt": f"How many orders has customer {number}?",
                "sql_context": SCRIPT,
                "sql": f"SELECT count(*) FROM orders WHERE id = {number}",
            }
        )
        + "\n"
        for number in range(first, last)
    )


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory) -> Path:
    """A folder with a tiny model, a benchmark of six rows and an experiment file."""
    folder = tmp_path_factory.mktemp("whole")
    tiny_model.build(folder / "tiny")
    (folder / "bench").mkdir()
    (folder / "bench" / "benchmark.toml").write_text('name = "toy"\ntrain = "train.jsonl"\ntest = "test.jsonl"\n')
    (folder / "bench" / "train.jsonl").write_text(rows(0, 6))
    (folder / "bench" / "test.jsonl").write_text(rows(6, 12))
    (folder / "toy.toml").write_text(
        '[benchmark]\nname = "bench"\n[model]\nbase = "tiny"\ndevice = "cpu"\n'
        "[train]\nepochs = 4\nmax_length = 512\nbatch_size = 2\naccumulation = 1\npacking = 'none'\nreport_to = []\n"
        "[generate]\nmax_new_tokens = 6\nbatch_size = 1\n[score]\nworkers = 1\ncache_dir = ''\n"
        '[eval]\nmodels = ["base", "checkpoint-3", "final"]\n'
    )
    return folder


def harness(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forks.run(arguments, cwd=place)


def document(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def killed_when(place: Path, seen: Callable[[], bool], *arguments: str) -> None:
    """Start a command and kill it, without a word, as soon as something is seen on disk."""
    running = forks.start(arguments, cwd=place)
    end = time.monotonic() + 200
    while not seen() and running.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    running.kill()
    assert running.wait().returncode == -signal.SIGKILL, "it ended before it could be killed"


@pytest.fixture(scope="module", name="adapter")
def _adapter(place: Path) -> Path:
    """The adapter of a training that was killed once and run again."""
    adapter = place / "reports" / "adapters" / "toy"
    first = adapter / "checkpoints" / "checkpoint-3" / "harness.json"
    killed_when(place, first.is_file, "train", "toy.toml")
    assert not (adapter / "README.md").exists()
    assert document(harness(place, "train", "toy.toml"))["reused"] is False
    return adapter


def test_a_killed_training_resumes_and_a_finished_one_is_reused(place, adapter):
    assert json.loads((adapter / "harness.json").read_text())["resumed_from"] >= 3
    trained = document(harness(place, "train", "toy.toml"))
    assert {"adapter", "checkpoints", "train_tokens_per_second", "peak_memory_bytes", "loss"} <= set(trained)
    names = [Path(path).name for path in trained["checkpoints"]]
    assert names == ["checkpoint-3", "checkpoint-6", "checkpoint-9", "checkpoint-12"]
    assert trained["loss"] > 0
    assert trained["reused"] is True


def test_a_killed_evaluation_continues_and_a_finished_one_is_reused(place, adapter):
    def answers() -> bool:
        parts = (place / "reports" / "runs").glob("*/generations.part")
        return any(part.read_bytes().count(b"\n") >= 4 for part in parts)

    command = ["eval", "toy.toml", "generate.max_new_tokens=24"]
    killed_when(place, answers, *command)
    found = harness(place, *command)
    runs = document(found)["runs"]
    assert "answers are kept" in found.stderr
    assert [run["model"] for run in runs] == ["base", "checkpoint-3", "final"]
    keys = {"run", "model", "n", "scored", "execution_accuracy", "exact_match", "output_tokens_per_second"}
    assert all(keys <= set(run) for run in runs)
    assert all((run["n"], run["scored"]) == (6, 6) for run in runs)
    assert (place / "reports" / "page" / "index.html").is_file()

    stored = read_run(place / runs[0]["path"])
    assert stored.facts["timings"]["answers_kept"] >= 2
    assert stored.facts["digests"]["model"]
    items = load_items(stored).to_pylist()
    assert [item["id"] for item in items] == [str(number) for number in range(6, 12)]
    assert all(item["prompt_tokens"] > 50 and item["output_tokens"] > 0 for item in items)

    results = ModelCard.load(adapter / "README.md").data.eval_results
    assert {result.metric_value for result in results if result.metric_type == "execution_accuracy"} == {
        runs[2]["execution_accuracy"]
    }

    again = document(harness(place, *command))
    assert [run["run"] for run in again["runs"]] == [run["run"] for run in runs]
    assert all(run["reused"] for run in again["runs"])


def test_an_adapter_is_merged_and_asked(place, adapter):
    merged = document(harness(place, "merge", str(adapter), "--out", "merged"))
    assert merged["base_precision"] == "nf4-dequantised"
    assert (place / "merged" / "model.safetensors").is_file()
    assert ModelCard.load(place / "merged" / "README.md").data.library_name == "transformers"
    (place / "schema.sql").write_text(SCRIPT)
    asked = harness(
        place, "ask", "How many?", "--schema", "schema.sql", "--experiment", "toy.toml", "--model", "merged"
    )
    assert {"sql", "rows"} <= set(document(asked))


@pytest.fixture(name="copy")
def _copy(place: Path, tmp_path: Path) -> Path:
    """A copy of the place to spoil."""
    for name in ("tiny", "bench"):
        shutil.copytree(place / name, tmp_path / name)
    shutil.copy(place / "toy.toml", tmp_path / "toy.toml")
    return tmp_path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 5])


def pickled(folder: Path) -> None:
    (folder / "tiny" / "model.safetensors").rename(folder / "tiny" / "pytorch_model.bin")


BAD = {
    "a key that is none": (lambda f: None, ["train", "toy.toml", "train.epoch=1"], "did you mean train.epochs?"),
    "a value of the wrong kind": (lambda f: None, ["eval", "toy.toml", "eval.limit=few"], "eval.limit"),
    "a row without gold": (
        lambda f: (f / "bench" / "test.jsonl").write_text('{"id": 1, "sql_prompt": "q", "sql_context": "x"}\n'),
        ["eval", "toy.toml", "--model", "base"],
        "has no gold",
    ),
    "a row without context": (
        lambda f: (f / "bench" / "train.jsonl").write_text('{"id": 1, "sql_prompt": "q", "sql": "SELECT 1"}\n'),
        ["train", "toy.toml"],
        "has no context",
    ),
    "an id twice": (
        lambda f: (f / "bench" / "test.jsonl").write_text(rows(1, 2) * 2),
        ["eval", "toy.toml", "--model", "base"],
        "id '1' is already that of row 0",
    ),
    "a truncated data file": (
        lambda f: truncate(f / "bench" / "train.jsonl"),
        ["train", "toy.toml"],
        "is not valid JSON",
    ),
    "a truncated model": (
        lambda f: truncate(f / "tiny" / "model.safetensors"),
        ["eval", "toy.toml", "--model", "base"],
        "model.safetensors",
    ),
    "a model that is not there": (
        lambda f: None,
        ["eval", "toy.toml", "--model", "base", "model.base=./nowhere"],
        "nowhere",
    ),
    "no network and no cached model": (
        lambda f: None,
        ["eval", "toy.toml", "--model", "base", "model.base=owner/never-cached-model"],
        "owner/never-cached-model",
    ),
    "pickled weights": (pickled, ["eval", "toy.toml", "--model", "base"], "model.allow_pickle=true"),
    "no GPU": (lambda f: None, ["train", "toy.toml", "model.device=cuda"], "model.device"),
    "no adapter yet": (lambda f: None, ["eval", "toy.toml"], "harness train"),
    "a folder that cannot be written": (
        lambda f: (f / "reports").write_text(""),
        ["eval", "toy.toml", "--model", "base"],
        "cannot be written",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_1(copy, name):
    spoil, arguments, told = BAD[name]
    if name == "no GPU" and shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU here")
    spoil(copy)
    done = harness(copy, *arguments)
    assert done.returncode == 1, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_adapter_for_another_base_is_refused(place, adapter, tmp_path):
    tiny_model.build(tmp_path / "other", seed=9)
    done = harness(place, "eval", "toy.toml", "--model", str(adapter), f"model.base={tmp_path / 'other'}")
    assert done.returncode == 1
    assert "was trained on another base" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full's kind of file limit")
def test_a_full_disk_keeps_what_was_there(copy):
    code = (
        "import resource, sys; from harness.cli import status; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "sys.exit(status(['score', 'bench/test.jsonl', 'p.jsonl', '--out', 'out', 'score.workers=1']))"
    )
    (copy / "p.jsonl").write_text("".join(json.dumps({"id": n, "sql": "SELECT 0"}) + "\n" for n in range(6, 12)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "cannot be written (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((copy / "out").iterdir()) == []
