"""How fast scoring is, beside the bare loop it contains and (on Spider dev) the published evaluator's figure.

    pytest benchmarks/speed/bench_score.py --benchmark-enable        every case, by pytest-benchmark
    python benchmarks/speed/bench_score.py                           one table, the same as `harness bench score`

`figures()` is what `harness bench score` calls. The bare loop is DuckDB in this process with nothing round it: BEGIN,
the schema, gold, prediction, ROLLBACK, rows fetched, nothing compared, nothing contained. Rates per worker leave the
start of the worker processes out (a pool is started and warmed first); rates from scratch hold everything.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import published  # noqa: E402

from harness.records import Database, Item, Verdict  # noqa: E402
from harness.sandbox.pool import Pool  # noqa: E402
from harness.scoring import ScoreSettings, score, score_with  # noqa: E402

OFFICIAL_PER_SECOND = 320.0
"""Spider's test-suite evaluator on these predictions, one core, one database, SQLite: a figure measured elsewhere."""
_WORDS = ("ash", "oak", "elm", "fir", "yew", "bay", "fig", "box")
_QUESTIONS = (
    ("SELECT name FROM site WHERE id = {k}", "SELECT s.name FROM site AS s WHERE s.id = {k}"),
    (
        "SELECT s.name, sum(v.volume) FROM site s JOIN visit v ON s.id = v.site_id WHERE v.volume <> {k} "
        "GROUP BY s.name ORDER BY s.name",
        "SELECT name, SUM(volume) AS total FROM visit JOIN site ON site.id = site_id WHERE volume <> {k} "
        "GROUP BY name ORDER BY name",
    ),
    ("SELECT count(*) FROM visit WHERE volume > {k}", "SELECT COUNT(*) FROM visit WHERE volume >= {k}"),
    (
        "SELECT name FROM site WHERE id NOT IN (SELECT site_id FROM visit WHERE volume <> {k})",
        "SELECT name FROM site s WHERE NOT EXISTS (SELECT 1 FROM visit v WHERE v.site_id = s.id AND v.volume <> {k})",
    ),
)


def script_items(count: int) -> tuple[list[Item], dict[str, str]]:
    """Items that bring two small tables of their own, and predictions that all have to be run; no text comes twice."""
    items, predictions = [], {}
    for n in range(count):
        rows = ", ".join(f"({i}, '{_WORDS[(n + i) % 8]}{n}')" for i in range(3))
        visits = ", ".join(f"({i}, {i % 2}, {(n * 13 + i * 7) % 50}.5)" for i in range(4))
        script = (
            f"CREATE TABLE site (id INT, name TEXT); CREATE TABLE visit (id INT, site_id INT, volume DOUBLE); "
            f"INSERT INTO site VALUES {rows}; INSERT INTO visit VALUES {visits};"
        )
        gold, prediction = (text.format(k=n) for text in _QUESTIONS[n % len(_QUESTIONS)])
        key = hashlib.sha256(script.encode()).hexdigest()
        base = Database(key=key, script=script)
        items.append(Item(id=f"s{n}", question="", context=script, golds=(gold,), database=base))
        predictions[f"s{n}"] = prediction
    return items, predictions


def bare_loop(items: list[Item], predictions: dict[str, str]) -> None:
    """What scoring cannot do without, and nothing else."""
    connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "1GB"})
    for item in items:
        connection.execute("BEGIN")
        for statement in item.database.script.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(item.golds[0]).fetchall()
        connection.execute(predictions[item.id]).fetchall()
        connection.execute("ROLLBACK")
    connection.close()


def seconds(work: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def started(settings: ScoreSettings, workers: int) -> Pool:
    """A pool whose workers have answered once."""
    pool = Pool("harness.scoring.judge:build", settings, workers=workers, memory_bytes=settings.memory_bytes)
    items, predictions = script_items(16 * workers)
    # an earlier pool's verdicts in the cache would be given back without any worker
    list(score_with(pool, items, predictions, replace(settings, cache_dir="")))
    return pool


def rate(settings: ScoreSettings, items: list[Item], predictions: dict[str, str], workers: int) -> float:
    """Items a second on workers that have started."""
    with started(settings, workers) as pool:
        return len(items) / seconds(lambda: list(score_with(pool, items, predictions, settings)))


def script_figures(count: int = 1500, rounds: int = 3) -> Iterator[dict[str, Any]]:
    """Bare loop and workers on the same items, in turns; the median of the rounds, and every round's value."""
    items, predictions = script_items(count)
    bare, one, two, warm = [], [], [], []
    for _ in range(rounds):
        bare.append(count / seconds(lambda: bare_loop(items, predictions)))
        one.append(rate(ScoreSettings(workers=1, suite=False), items, predictions, 1))
        two.append(rate(ScoreSettings(workers=2, suite=False), items, predictions, 2))
        with tempfile.TemporaryDirectory() as folder:
            kept = ScoreSettings(workers=1, suite=False, cache_dir=folder)
            rate(kept, items, predictions, 1)
            warm.append(rate(kept, items, _other(predictions), 1))
    base, alone = median(bare), median(one)
    yield figure("inline schemas, bare loop in this process", bare)
    yield figure("inline schemas, one worker, golds unknown", one, share_of_bare=alone / base)
    yield figure(
        "inline schemas, two workers, golds unknown", two, share_of_bare=median(two) / base, speedup=median(two) / alone
    )
    yield figure("inline schemas, one worker, golds cached", warm, speedup=median(warm) / alone)


def _scored(items: list[Item], predictions: dict[str, str], settings: ScoreSettings) -> list[Verdict]:
    return list(score(items, predictions, settings))


def _other(predictions: dict[str, str]) -> dict[str, str]:
    """Another checkpoint's answers: the same queries in other words, so that nothing but the golds is known."""
    return {name: f"SELECT * FROM ({sql}) AS answer" for name, sql in predictions.items()}


def spider_figures() -> Iterator[dict[str, Any]]:
    """Spider dev, two published systems: the second one finds the first one's golds."""
    items = published.spider()
    first, second = (
        {name: str(row["sql"]) for name, row in published.predictions(system).items()} for system in published.SYSTEMS
    )
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            kept = published.settings(workers, folder)
            cold, warm = (len(items) / seconds(partial(_scored, items, given, kept)) for given in (first, second))
        yield figure(f"Spider dev, {workers} workers, golds unknown, from scratch", cold, seconds=len(items) / cold)
        yield figure(f"Spider dev, {workers} workers, golds cached, from scratch", warm, seconds=len(items) / warm)
    with tempfile.TemporaryDirectory() as folder:
        settings = published.settings(1, folder)
        cold = rate(settings, items, first, 1)
        warm = rate(settings, items, second, 1)
    yield figure("Spider dev, one started worker, golds unknown", cold, of_official=cold / OFFICIAL_PER_SECOND)
    yield figure("Spider dev, one started worker, golds cached", warm, of_official=warm / OFFICIAL_PER_SECOND)


def figure(name: str, value: float | list[float], **facts: float) -> dict[str, Any]:
    """One line of the table."""
    values = value if isinstance(value, list) else [value]
    rest = {"values": [round(each, 2) for each in values], **{k: round(v, 3) for k, v in facts.items()}}
    return {"name": name, "value": round(median(values), 1), "unit": "items/s", **rest}


def figures(repeats: int = 3, quick: bool = False) -> list[dict[str, Any]]:
    """Every figure that can be measured on this machine; `quick` leaves Spider out and asks less."""
    found = list(script_figures(200 if quick else 1500, repeats))
    if (published.DATA / "spider").is_dir() and not quick:
        found += spider_figures()
    return found


@pytest.fixture(scope="module")
def scripts() -> tuple[list[Item], dict[str, str]]:
    """Items and predictions of the pytest-benchmark cases."""
    return script_items(400)


def test_bare_loop(benchmark, scripts):
    """DuckDB alone."""
    benchmark.pedantic(bare_loop, args=scripts, rounds=3)


@pytest.mark.parametrize("workers", [1, 2])
def test_inline_schemas(benchmark, scripts, workers):
    """The same items on started workers."""
    settings = ScoreSettings(workers=workers, suite=False)
    with started(settings, workers) as pool:
        benchmark.pedantic(lambda: list(score_with(pool, *scripts, settings)), rounds=3)


@pytest.mark.parametrize("golds", ["unknown", "cached"])
def test_spider_dev(benchmark, golds, tmp_path):
    """Spider dev on one started worker."""
    if not (published.DATA / "spider").is_dir():
        pytest.skip("needs the public data sets (Spider and others) in ../shared/data")
    items = published.spider()
    given = {name: str(row["sql"]) for name, row in published.predictions(published.SYSTEMS[0]).items()}
    settings = replace(published.settings(1, str(tmp_path) if golds == "cached" else ""), reuse_verdicts=False)
    with started(settings, 1) as pool:
        if golds == "cached":
            list(score_with(pool, items, given, settings))
        benchmark.pedantic(lambda: list(score_with(pool, items, given, settings)), rounds=2)


if __name__ == "__main__":
    rows = figures()
    for row in rows:
        rest = ", ".join(f"{k} {v}" for k, v in row.items() if k not in ("name", "value", "unit"))
        print(f"{row['name']:58s} {row['value']:8.1f} {row['unit']}  {rest}", file=sys.stderr)
    print(json.dumps(rows))
