"""Very many items: the parent's memory over time, the same results whatever the sharding, the cost of an item.

    python -m benchmarks.speed.many --n 200000 --shards 4 --out many.json           (plain scoring)
    python -m benchmarks.speed.many --n 20000 --shards 2 --suite --out suites.json

Questions come from the pocket generator (eight on each database, every database its own), a quarter of the predictions
is wrong in one of three ways. The same predictions are scored whole and in shards that are joined; a second process
reads the memory and CPU seconds of the scoring one and of its workers every second. Everything lies in a temporary
folder. `--whole FOLDER` takes a whole run of the same questions and predictions that an earlier call left, instead of
scoring them again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
_CHUNK = 8000
_PER_DATABASE = 8


def main() -> None:
    """Make the questions, score them both ways, print and write what came of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--n", type=int, default=200_000)
    options.add_argument("--shards", type=int, default=4)
    options.add_argument("--suite", action="store_true", help="score with witness databases, made anew")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--whole", type=Path, help="a whole run made before")
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.monotonic()
        schemas = write(folder, chosen.n)
        found: dict[str, Any] = {"n": chosen.n, "schemas": schemas, "suite": chosen.suite, "workers": chosen.workers}
        found["making_s"] = round(time.monotonic() - start, 1)
        words = ["questions.jsonl", "predictions.jsonl", f"score.workers={chosen.workers}", "score.cache_dir="]
        words.append(f"score.suite={str(chosen.suite).lower()}")
        parts = [f"{number}/{chosen.shards}" for number in range(1, chosen.shards + 1)]
        runs = [] if chosen.whole else [("whole", [*words, "--out", "whole"])]
        runs += [(f"shard {part}", [*words, "--out", "parts", "--shard", part]) for part in parts]
        runs += [("join", ["--join", "parts"])]
        for label, arguments in runs:
            found[label] = watched(folder, ["score", *arguments])
            print(label, json.dumps({k: v for k, v in found[label].items() if k != "memory"}), flush=True)
            keep(found, chosen.out)
        places = {"whole": chosen.whole or folder / "whole", "parts": folder / "parts"}
        found["digests"] = {name: digest(place) for name, place in places.items()}
        found["inputs"] = {name: inputs(place) for name, place in places.items()}
        same = found["inputs"]["whole"] == found["inputs"]["parts"]
        found["alike"] = same and found["digests"]["whole"] == found["digests"]["parts"]
        print(json.dumps(found["digests"]), flush=True)
        keep(found, chosen.out)
    sys.exit(not found["alike"])


def keep(found: dict[str, Any], path: Path | None) -> None:
    """Write what is known so far."""
    if path is not None:
        path.write_text(json.dumps(found, indent=1) + "\n")


def write(folder: Path, n: int) -> int:
    """The questions and predictions files; how many schemas they are over."""
    schemas = set()
    with (folder / "questions.jsonl").open("w") as asked, (folder / "predictions.jsonl").open("w") as answered:
        for number, row in enumerate(questions(n)):
            schemas.add(hashlib.sha256(row["sql_context"].encode()).digest())
            asked.write(json.dumps({**row, "id": number}) + "\n")
            answered.write(json.dumps({"id": number, "sql": prediction(number, row["sql"])}) + "\n")
    return len(schemas)


def questions(n: int) -> Iterator[dict[str, Any]]:
    """Rows of the pocket generator, some thousands with a seed each."""
    sys.path.insert(0, str(ROOT / "benchmarks" / "pocket"))
    import generate

    for chunk in range(0, n, _CHUNK):
        yield from generate.build(f"many-{chunk}", "train", min(_CHUNK, n - chunk), _PER_DATABASE)


def prediction(number: int, gold: str) -> str:
    """The gold, or in every fourth case something else: a syntax error, no table of that name, another answer."""
    if number % 4:
        return gold
    return (gold.replace("SELECT", "SELEC", 1), "SELECT count(*) FROM nowhere", "SELECT 1")[number // 4 % 3]


def watched(folder: Path, words: list[str]) -> dict[str, Any]:
    """One command to its end: seconds, CPU seconds of it and its workers, and the memory of all along the way."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    start, spent = time.monotonic(), os.times()
    with (folder / "said").open("w") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", "harness", *words], cwd=folder, env=environment, stdout=said, stderr=said
        )
        looked = Watch(running.pid)
        while running.poll() is None:
            looked.look()
            time.sleep(1.0)
    if running.returncode:
        raise SystemExit(f"harness {' '.join(words)} failed:\n{(folder / 'said').read_text()[-2000:]}")
    now = os.times()
    children = now.children_user + now.children_system - spent.children_user - spent.children_system
    place = folder / (words[-1] if words[1] == "--join" else words[words.index("--out") + 1])
    if "--shard" in words:
        number, of = words[-1].split("/")
        place = place / "shards" / f"{int(number):05}-of-{int(of):05}"
    phases = json.loads((place / "run.json").read_text())["timings"]["phases"]
    return {
        "wall_s": round(time.monotonic() - start, 1),
        "phases_s": {name: round(seconds, 1) for name, seconds in phases.items()},
        "all_cpu_s": round(children, 1),
        **looked.found(),
    }


TASKS = {"harness.suite.task": "makers", "harness.scoring.judge": "judges"}


class Watch:
    """The memory and CPU seconds of a process and of its workers by what they do, as they were seen now and then."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._memory: dict[str, list[int]] = {"parent": [], **{name: [] for name in TASKS.values()}}
        self._spent: dict[tuple[str, int], float] = {}

    def look(self) -> None:
        """Note what is there now; of several workers that do the same the largest counts."""
        if (own := seen_of(self._pid)) is None:
            return
        self._memory["parent"].append(own[0])
        self._spent["parent", self._pid] = own[1]
        most = dict.fromkeys(TASKS.values(), 0)
        for child, name in workers_of(self._pid):
            if (seen := seen_of(child)) is not None:
                most[name] = max(most[name], seen[0])
                self._spent[name, child] = seen[1]
        for name, mebibytes in most.items():
            self._memory[name].append(mebibytes)

    def found(self) -> dict[str, Any]:
        """CPU seconds (a worker's last second is not seen) and memory by the share of the time that had passed."""
        found: dict[str, Any] = {}
        for name, memory in self._memory.items():
            if any(memory):
                found[f"{name}_cpu_s"] = round(sum(s for (kind, _), s in self._spent.items() if kind == name), 1)
                found[f"{name}_processes"] = sum(kind == name for kind, _ in self._spent)
                found[f"{name}_mib_at"] = {f"{share} %": _at(memory, share) for share in (5, 10, 25, 50, 75, 90, 100)}
                found[f"{name}_mib_most"] = max(memory)
        found["memory"] = {name: memory[:: max(1, len(memory) // 200)] for name, memory in self._memory.items()}
        return found


def _at(memory: list[int], share: int) -> int:
    return memory[min(len(memory) - 1, len(memory) * share // 100)] if memory else 0


def workers_of(pid: int) -> list[tuple[int, str]]:
    """(process, `makers` or `judges`) of each worker that a process has."""
    found = []
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            task = Path(f"/proc/{child}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()
            if (name := TASKS.get(task.partition(":")[0])) is not None:
                found.append((int(child), name))
    except OSError:
        pass
    return found


def seen_of(pid: int) -> tuple[int, float] | None:
    """A process's resident MiB and CPU seconds; None where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError, ValueError):
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20, (int(fields[11]) + int(fields[12])) / ticks


def inputs(place: Path) -> dict[str, Any]:
    """Digests of the questions and predictions of a run."""
    digests = json.loads((place / "run.json").read_text())["digests"]
    return {name: digests[name] for name in ("benchmark", "predictions")}


def digest(place: Path) -> str:
    """SHA-256 over every stored row, the time it took left out."""
    sha = hashlib.sha256()
    with pq.ParquetFile(place / "items.parquet") as file:
        for batch in file.iter_batches(4096):
            for row in batch.to_pylist():
                row["execute_seconds"] = 0
                sha.update(json.dumps(row, sort_keys=True, default=str).encode())
    return sha.hexdigest()


if __name__ == "__main__":
    main()
