"""What scoring a later checkpoint costs where an earlier one was scored: two published runs' own answers, judged again.

python benchmarks/speed/second_checkpoint.py BENCHMARK FIRST_RUN SECOND_RUN [KEY=VALUE...]

Each round starts from an empty folder: the second run alone (`cold`), then behind the first one with the golds known
and then with the verdicts of identical predictions known too. Wall seconds from scratch and CPU seconds of all
processes; the last line is one JSON document. Suites are left out unless `score.suite=true` is said.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from harness import benchmark as benchmarks
from harness.config import load_score_command
from harness.evaluate.judging import score_settings
from harness.records import Generation, Item
from harness.scoring import ScoreSettings, score
from harness.store import load_items, read_run

ROUNDS = 3


def answers(run: str) -> dict[str, Generation]:
    """The first answer to each question of a stored run."""
    rows = load_items(read_run(Path(run)), ("id", "sample", "completion", "finished")).to_pylist()
    return {row["id"]: Generation(row["id"], row["completion"], finished=row["finished"]) for row in rows}


def cpu() -> float:
    """CPU seconds of this process and of the workers that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def timed(items: Sequence[Item], given: Mapping[str, Generation], settings: ScoreSettings) -> tuple[float, float, int]:
    """(wall seconds, CPU seconds, verdicts remembered) of one scoring."""
    wall, spent = time.perf_counter(), cpu()
    known = sum(verdict.remembered for verdict in score(items, given, settings))
    return time.perf_counter() - wall, cpu() - spent, known


def main(name: str, first: str, second: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The figures of both ways, each in turn, the median of the rounds."""
    command = load_score_command(name, ["score.suite=false", "score.workers=1", *overrides])
    benchmark = benchmarks.load(command.benchmark.name, command.benchmark.settings)
    items, one, two = benchmark.items(), answers(first), answers(second)
    settings = score_settings(command.score, benchmark)
    found: dict[str, list[tuple[float, float, int]]] = {"cold": [], "golds known": [], "verdicts known": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            found["cold"].append(timed(items, two, replace(settings, cache_dir=folder)))
        for label, reuse in (("golds known", False), ("verdicts known", True)):
            with tempfile.TemporaryDirectory() as folder:
                kept = replace(settings, cache_dir=folder, reuse_verdicts=reuse)
                timed(items, one, kept)
                found[label].append(timed(items, two, kept))
    seconds = {label: [median(each[k] for each in rounds) for k in (0, 1)] for label, rounds in found.items()}
    same = sum(two[item.id].completion == one[item.id].completion for item in items)
    ways = {
        label: {
            "seconds": round(wall, 2),
            "cpu_seconds": round(spent, 2),
            "speedup": round(seconds["cold"][0] / wall, 2),
            "cpu_speedup": round(seconds["cold"][1] / spent, 2),
            "remembered": found[label][0][2],
        }
        for label, (wall, spent) in seconds.items()
    }
    return {"n": len(items), "identical_answers": same, **ways}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4], sys.argv[4:])))
