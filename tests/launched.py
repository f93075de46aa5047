"""Two processes that accelerate starts on CPU, with gloo between them; where they work; how one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forks
import tiny_model

SCRIPT = "CREATE TABLE orders (id INT, customer TEXT); INSERT INTO orders VALUES (1, 'a'), (2, 'b');"
COUNT = 10
"""Questions of the place's test split."""
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PLAIN = ("--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
"""What accelerate is told where no file tells it."""


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


def furnish(folder: Path, recipe: str = "gradient_checkpointing = false\n") -> Path:
    """A tiny model, a benchmark and an experiment `toy.toml`; `recipe` are lines of its [train]."""
    tiny_model.build(folder / "tiny")
    (folder / "bench").mkdir()
    (folder / "bench" / "benchmark.toml").write_text('name = "toy"\ntrain = "train.jsonl"\ntest = "test.jsonl"\n')
    (folder / "bench" / "train.jsonl").write_text(rows(100, 108))
    (folder / "bench" / "test.jsonl").write_text(rows(0, COUNT))
    (folder / "toy.toml").write_text(
        '[benchmark]\nname = "bench"\n[model]\nbase = "tiny"\ndevice = "cpu"\n'
        "[train]\nepochs = 2\nmax_length = 512\nbatch_size = 1\naccumulation = 1\npacking = 'none'\nreport_to = []\n"
        f"{recipe}"
        "[generate]\nmax_new_tokens = 12\nbatch_size = 4\nsamples = 2\ntemperature = 1.0\n"
        "[score]\nworkers = 1\nsuite = false\ncache_dir = ''\n[eval]\nmodels = [\"base\"]\nreport = false\n"
    )
    return folder


def launch(place: Path, *arguments: str, how: tuple[str, ...] = PLAIN) -> forks.Running:
    """Two processes: `accelerate launch HOW -m harness ARGUMENTS`."""
    return _launched(place, [*how, "--num_processes", "2", "--main_process_port", "0"], arguments)


def launch_machine(place: Path, rank: int, port: int, *arguments: str) -> forks.Running:
    """One of two machines of one process each, as the example for 4 nodes starts them, with an address of their own."""
    how = ["--config_file", str(EXAMPLES / "accelerate_4_nodes.yaml"), "--num_machines", "2", "--num_processes", "2"]
    how += ["--machine_rank", str(rank), "--main_process_ip", "127.0.0.1", "--main_process_port", str(port)]
    return _launched(place, how, arguments)


def _launched(place: Path, how: list[str], arguments: tuple[str, ...]) -> forks.Running:
    environment = {"HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true", "PYTHON_EXEC": str(stand_in(place))}
    return forks.start([*how, "-m", "harness", *arguments], place, environment, module="accelerate.commands.launch")


def stand_in(place: Path) -> Path:
    """A program that torchrun takes for Python: its ranks then need not import everything again."""
    script = place / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{forks.__file__}" "$@"\n')
    script.chmod(0o755)
    return script


def ended(running: forks.Running) -> dict:
    """The document that a command which ended well printed last."""
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


def wait_until(seen: Callable[[], bool], running: forks.Running) -> None:
    """Go on as soon as something is seen on disk, or when there is nothing more to come."""
    end = time.monotonic() + 200
    while not seen() and running.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def kill_when(running: forks.Running, seen: Callable[[], bool], rank: int) -> None:
    """Kill one rank as soon as something is seen on disk; the launcher must then end all, and not in peace."""
    wait_until(seen, running)
    os.kill(ranks_of(running)[rank], signal.SIGKILL)
    assert running.wait(200).returncode != 0
