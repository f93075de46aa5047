"""kill -9 at seeded moments over every stage; the same command again must end with the bytes of an undisturbed run.

    python -m benchmarks.speed.kills --kills 10 --stages train,eval,score,suites,join,report --out kills.json

Half of the moments are drawn evenly over the time an undisturbed run takes, half lie a few milliseconds behind a change
on disk, where a file may be half written. Three tries in ten are killed twice. Needs no GPU: a tiny random model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import forks  # noqa: E402
import tiny_model  # noqa: E402

SCRIPT = (
    "CREATE TABLE orders (id INT PRIMARY KEY, customer TEXT, total REAL); "
    "INSERT INTO orders VALUES (1, 'a', 2.5), (2, 'b', 3.0), (3, NULL, 9.5);"
)
GOLDS = (
    "SELECT count(*) FROM orders WHERE id > {n}",
    "SELECT customer FROM orders WHERE total > {n} ORDER BY total",
    "SELECT customer, sum(total) FROM orders GROUP BY customer HAVING sum(total) > {n}",
)
EXPERIMENT = """
[benchmark]
name = "bench"
[model]
base = "tiny"
device = "cpu"
[train]
epochs = 3
max_length = 512
batch_size = 2
accumulation = 1
packing = "none"
gradient_checkpointing = false
save_every_steps = 2
report_to = []
[generate]
max_new_tokens = 16
batch_size = 4
samples = 2
temperature = 1.0
[score]
workers = 1
suite = false
cache_dir = "cache"
[eval]
models = ["base"]
report = false
"""


@dataclass(frozen=True)
class Stage:
    """One command, what it leaves, and what must be there before."""

    name: str
    command: tuple[str, ...]
    result: Callable[[Path], dict[str, str]]
    """Name -> digest of everything that must come out alike."""
    before: tuple[tuple[str, ...], ...] = ()


def main() -> None:
    """Run the stages and write what came of them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=10, help="tries a stage")
    options.add_argument("--stages", default="train,eval,score,suites,join,report")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    table = []
    forks.nursery()  # its start is no part of how long a command takes
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "place"
        build(place)
        for name in chosen.stages.split(","):
            entry = try_stage(STAGES[name], place, Path(folder), chosen.kills, random.Random(f"{chosen.seed}-{name}"))
            table.append(entry)
            print(json.dumps(entry), flush=True)
            if chosen.out:
                chosen.out.write_text(json.dumps(table, indent=1) + "\n")
    sys.exit(any(entry["lost"] for entry in table))


def try_stage(stage: Stage, place: Path, folder: Path, kills: int, draw: random.Random) -> dict[str, Any]:
    """Kill one stage so many times; how often something was lost, and what."""
    ready = folder / f"{stage.name}-ready"
    shutil.copytree(place, ready)
    for command in stage.before:
        run(ready, *command)
    calm = folder / f"{stage.name}-calm"
    shutil.copytree(ready, calm)
    start = time.monotonic()
    run(calm, *stage.command)
    seconds = time.monotonic() - start
    expected = stage.result(calm)
    lost, moments, late = [], [], 0
    for number in range(kills):
        trial = folder / f"{stage.name}-{number}"
        shutil.copytree(ready, trial)
        for _ in range(2 if draw.random() < 0.3 else 1):
            killed, when = kill(trial, stage.command, seconds, draw)
            late += not killed
            moments.append(when if killed else "ended before")
        done = run(trial, *stage.command, check=False)
        found = stage.result(trial) if done.returncode == 0 else {"failed": done.stderr[-600:]}
        wrong = sorted(name for name in set(expected) | set(found) if expected.get(name) != found.get(name))
        if wrong:
            lost.append({"try": number, "differs": wrong[:5], "told": found.get("failed", "")})
        else:
            shutil.rmtree(trial)
    entry = {
        "stage": stage.name,
        "kills": len(moments) - late,
        "tries": kills,
        "calm_s": round(seconds, 1),
    }
    return {**entry, "lost": len(lost), "what": lost, "moments": moments}


def kill(place: Path, command: tuple[str, ...], seconds: float, draw: random.Random) -> tuple[bool, str]:
    """Start a command and kill it at a drawn moment; whether it still ran, and when that was."""
    running = start_harness(place, command)
    begun = time.monotonic()
    if draw.random() < 0.5:
        moment = draw.uniform(0.05, 1.0) * seconds
        while running.poll() is None and time.monotonic() - begun < moment:
            time.sleep(0.002)
        when = "drawn"
    else:
        changes, pause = draw.randrange(1, 12), draw.uniform(0.0, 0.03)
        seen = state(place)
        while running.poll() is None and changes:
            now = state(place)
            changes -= now != seen
            seen = now
            time.sleep(0.001)
        time.sleep(pause)
        when = "behind a change"
    alive = running.poll() is None
    running.kill()
    running.wait()
    return alive, f"{when}, {time.monotonic() - begun:.2f} s"


def state(place: Path) -> tuple[Any, ...]:
    """Names and sizes of all that a command may write."""
    found = []
    for base in ("reports", "out", "cache", "page"):
        for folder, _, names in os.walk(place / base):
            for name in names:
                try:
                    found.append((folder, name, os.stat(os.path.join(folder, name)).st_size))
                except OSError:
                    continue
    return tuple(sorted(found))


def start_harness(place: Path, command: tuple[str, ...]) -> forks.Running:
    """One harness command in a place, forked from a process that has imported everything."""
    return forks.start(command, place, {"HF_HUB_OFFLINE": "1"})


def run(place: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    done = start_harness(place, command).wait(600)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command)} failed undisturbed:\n{done.stderr}")
    return done


# -- what must come out alike


def adapter(place: Path) -> dict[str, str]:
    """Weights and losses of the adapter and its checkpoints."""
    found = {}
    base = place / "reports" / "adapters" / "toy"
    for file in base.rglob("*.safetensors"):
        found[str(file.relative_to(base))] = hashlib.sha256(file.read_bytes()).hexdigest()
    record = json.loads((base / "harness.json").read_text())
    losses = [{key: value for key, value in entry.items() if key != "epoch"} for entry in record["losses"]]
    found["record"] = digest([record["status"], record["steps"], losses])
    return found


def runs(place: Path) -> dict[str, str]:
    """Rows and facts of every run, timings apart; and that nothing half done lies about."""
    found = {}
    for file in sorted(place.glob("reports/runs/*/run.json")) + sorted(place.glob("out/**/run.json")):
        facts = json.loads(file.read_text())
        rows = pq.read_table(file.with_name("items.parquet")).to_pylist()
        ids = [(row["id"], row["sample"]) for row in rows]
        if len(set(ids)) != len(ids):
            found[f"{file} twice"] = "an item twice"
        for name in ("timings", "machine"):
            facts.pop(name)
        facts["digests"].pop("items")
        whole = [facts, [{**row, "execute_seconds": 0} for row in rows]]
        found[str(file.relative_to(place))] = digest(whole)
    parts = [path.name for base in ("reports", "out") for path in (place / base).rglob("*") if ".part" in path.name]
    return {**found, "parts": digest(sorted(name for name in parts if name.endswith(".part")))}


def suites(place: Path) -> dict[str, str]:
    """Every suite of the cache, and the run made with them."""
    names = (place / "cache" / "suites").rglob("*.json")
    return {str(path.relative_to(place)): digest(path.read_text()) for path in names} | runs(place)


def joined(place: Path) -> dict[str, str]:
    """The joined file's very bytes."""
    return {"items": hashlib.sha256((place / "out" / "items.parquet").read_bytes()).hexdigest()} | runs(place)


def page(place: Path) -> dict[str, str]:
    """The page's very bytes."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (place / "page").iterdir()}


def digest(value: Any) -> str:
    """Digest of what JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


SCORE = ("score", "bench/test.jsonl", "p.jsonl", "--out", "out", "score.workers=1", "score.cache_dir=cache")
PLAIN = (*SCORE, "score.suite=false")
STAGES = {
    stage.name: stage
    for stage in (
        Stage("train", ("train", "toy.toml"), adapter),
        Stage("eval", ("eval", "toy.toml"), runs),
        Stage("score", PLAIN, runs),
        Stage("suites", (*SCORE, "score.suite=true"), suites),
        Stage(
            "join",
            ("score", "--join", "out"),
            joined,
            before=tuple((*PLAIN, "--shard", f"{number}/3") for number in (1, 2, 3)),
        ),
        Stage("report", ("report", "out", "--out", "page"), page, before=(PLAIN,)),
    )
}


# -- the place


def build(place: Path) -> None:
    """A tiny model, a benchmark with predictions, an experiment file."""
    tiny_model.build(place / "tiny")
    (place / "bench").mkdir()
    (place / "bench" / "benchmark.toml").write_text('name = "toy"\ntrain = "train.jsonl"\ntest = "test.jsonl"\n')
    write(place / "bench" / "train.jsonl", rows(0, 12))
    write(place / "bench" / "test.jsonl", rows(100, 124))
    answers = (
        {"id": row["id"], "sql": GOLDS[number % 2].format(n=number % 4)} for number, row in enumerate(rows(100, 124))
    )
    write(place / "p.jsonl", answers)
    (place / "toy.toml").write_text(EXPERIMENT)


def rows(first: int, last: int) -> Iterator[dict[str, Any]]:
    """Questions of three kinds on one small table."""
    for number in range(first, last):
        gold = GOLDS[number % 3].format(n=number % 5)
        yield {
            "id": number,
            "sql_prompt": f"Question {'x' * (number % 7)} {number}?",
            "sql_context": SCRIPT,
            "sql": gold,
        }


def write(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main()
