"""What suites cost: making them, and scoring with them beside scoring without.

    pytest benchmarks/speed/bench_suite.py --benchmark-enable        every case, by pytest-benchmark
    python benchmarks/speed/bench_suite.py --stride 4                one table, CPU seconds by phase

CPU seconds (user and system) are those of this process and of its workers together, so that they mean something on
a machine that has other work; wall seconds stand beside them. Marks: at most 0.5 CPU seconds an item for making, at
most 4 times plain scoring for scoring once the suites are there.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import published  # noqa: E402

from harness.records import Item, Verdict  # noqa: E402
from harness.scoring import ScoreSettings, score  # noqa: E402
from harness.scoring.suites import maker_options  # noqa: E402
from harness.suite.cache import SuiteCache  # noqa: E402
from harness.suite.make import make_suites  # noqa: E402
from harness.suite.others import schema_golds  # noqa: E402

MAKING_MARK, SCORING_MARK = 0.5, 4.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one phase, the workers' included."""

    wall: float
    user: float
    system: float

    @property
    def cpu(self) -> float:
        """Of all processes together."""
        return self.user + self.system


def spent(work: Callable[[], Any]) -> Spent:
    """Seconds of one call that ends the workers it starts."""
    begun, before = time.perf_counter(), _usage()
    work()
    after = _usage()
    return Spent(time.perf_counter() - begun, after[0] - before[0], after[1] - before[1])


def _usage() -> tuple[float, float]:
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + ended.ru_utime, own.ru_stime + ended.ru_stime


def spider(stride: int = 1) -> tuple[list[Item], dict[str, str]]:
    """Every n-th question of Spider dev, and a published system's answers."""
    items = published.spider()[::stride]
    given = published.predictions(published.SYSTEMS[0])
    return items, {item.id: str(given[item.id]["sql"]) for item in items}


def make(items: list[Item], settings: ScoreSettings) -> None:
    """Make every suite, or find it in the cache."""
    options, cache = maker_options(settings), SuiteCache(settings.cache_dir)
    for _ in make_suites(items, options, cache, settings.workers, schema_golds(items)):
        pass


def scored(items: list[Item], given: dict[str, str], settings: ScoreSettings) -> list[Verdict]:
    """Verdicts by workers of their own."""
    return list(score(items, given, settings))


def figures(stride: int = 1, workers: int = 1) -> list[dict[str, Any]]:
    """Making, then scoring without and with suites on the same kept golds; process start in all of them."""
    items, given = spider(stride)
    with tempfile.TemporaryDirectory() as folder:
        plain = published.settings(workers, folder)
        suites = replace(plain, suite=True)
        making = spent(lambda: make(items, suites))
        scored(items, given, plain)  # the golds' answers, which both need
        start = spent(lambda: scored(items[:1], given, plain))
        without = spent(lambda: scored(items, given, plain))
        found: list[Verdict] = []
        with_suites = spent(lambda: found.extend(scored(items, given, suites)))
    n = len(items)
    lucky = sum(bool(v.execution_match) and v.suite_match is False for v in found)
    ratio = (with_suites.cpu - start.cpu) / (without.cpu - start.cpu)
    return [
        _figure("suites: making, CPU seconds an item", making.cpu / n, "s", making, n=n, mark=MAKING_MARK),
        _figure("scoring without suites, CPU milliseconds an item", 1000 * without.cpu / n, "ms", without, n=n),
        _figure("scoring with suites", 1000 * with_suites.cpu / n, "ms", with_suites, n=n, lucky=lucky),
        _figure("with suites / without, start of workers left out", ratio, "x", with_suites, mark=SCORING_MARK),
    ]


def _figure(name: str, value: float, unit: str, of: Spent, **facts: float) -> dict[str, Any]:
    seconds = {"user_seconds": of.user, "system_seconds": of.system, "wall_seconds": of.wall}
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        **{key: round(value, 2) for key, value in (seconds | facts).items()},
    }


@pytest.fixture(scope="module", name="asked")
def _asked(tmp_path_factory) -> tuple[list[Item], dict[str, str], ScoreSettings]:
    """An eighth of Spider dev, with suites that are there already."""
    if not (published.DATA / "spider").is_dir():
        pytest.skip("needs the public data sets (Spider and others) in ../shared/data")
    items, given = spider(8)
    settings = replace(published.settings(1, str(tmp_path_factory.mktemp("cache"))), suite=True)
    make(items, settings)
    scored(items, given, settings)
    return items, given, settings


def test_making(benchmark, asked):
    """Suites from scratch, one worker."""
    items, _, settings = asked
    benchmark.pedantic(make, args=(items[:40], replace(settings, cache_dir="")), rounds=1)


@pytest.mark.parametrize("suite", [False, True])
def test_scoring(benchmark, asked, suite):
    """The same questions on kept golds, without suites and with."""
    items, given, settings = asked
    benchmark.pedantic(scored, args=(items, given, replace(settings, suite=suite)), rounds=2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=1, help="take every n-th question")
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    rows = figures(chosen.stride, chosen.workers)
    for row in rows:
        rest = ", ".join(f"{k} {v}" for k, v in row.items() if k not in ("name", "value", "unit"))
        print(f"{row['name']:50s} {row['value']:8.3f} {row['unit']:3s} {rest}", file=sys.stderr)
    print(json.dumps(rows))
