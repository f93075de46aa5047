"""Does scoring find what suites are said to? `python -m benchmarks.speed.suite_scored spider --stride 4`.

The other measurements ask suites by their own code. Here neighbours and rewrites of golds are handed in as predictions
and scored as anybody's are: shipped rows, confined workers, exact match, kept witnesses, the ones made for the
prediction. A neighbour that a kept witness tells from the gold should not match, and a rewrite should. A neighbour that
none tells may yet fall to the shipped rows, or to a witness made for it.
The last line of standard output is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.speed import published, suite_items
from benchmarks.speed.suite_false_alarms import rewritten
from harness.benchmark.rows import script_key
from harness.records import Database, Item, Verdict
from harness.scoring import ScoreSettings, score
from harness.scoring.suites import maker_options
from harness.suite.cache import SuiteCache
from harness.suite.facts import schema_of_text
from harness.suite.make import make_suites
from harness.suite.neighbours import neighbours
from harness.suite.record import Suite


def main() -> None:
    """Score every neighbour and rewrite of a benchmark's golds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=("spider", "pocket"))
    parser.add_argument("--stride", type=int, default=1, help="take every n-th distinct gold")
    asked = parser.parse_args()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        # the golds are in DuckDB's words already
        settings = ScoreSettings(workers=1, cache_dir=folder)
        golds = list(_golds(asked.benchmark))[:: asked.stride]
        suites = make_suites(golds, maker_options(settings), SuiteCache(folder), workers=1)
        cases = [case for gold, (suite,) in zip(golds, suites, strict=True) for case in _cases(gold, suite)]
        given = {case.item.id: case.sql for case in cases}
        for case, verdict in zip(cases, score([case.item for case in cases], given, settings, golds={}), strict=True):
            found = _found(verdict)
            total[f"{case.kind}: {found}"] += 1
            if found not in case.expected:
                print(f"{found} {case.item.id}\n  {case.item.golds[0]}\n  {case.sql}", flush=True)
    print(json.dumps({"benchmark": asked.benchmark, "golds": len(golds), **dict(sorted(total.items()))}))


def _golds(name: str) -> Iterator[Item]:
    """Every distinct gold as an item of its own, in DuckDB's words."""
    places = (
        {row.database.path.rsplit("/", 2)[1]: row.database for row in published.spider()} if name == "spider" else {}
    )
    for number, item in enumerate(suite_items.items(name)):
        script = "" if places else item.place
        database = places[item.place] if places else Database(script_key(script), script=script)
        yield Item(str(number), "", "", (item.gold,), database)


@dataclass(frozen=True, slots=True)
class _Case:
    """One statement as a prediction, and what scoring should find."""

    kind: str
    item: Item
    sql: str
    expected: tuple[str, ...]


def _cases(gold: Item, suite: Suite) -> Iterator[_Case]:
    if not suite.witnesses:
        return
    schema = schema_of_text(suite.schema, suite.tables)
    left = {text.partition(": ")[2] for text in suite.survivors}
    for number, near in enumerate(neighbours(gold.golds[0], schema)):
        told = near.sql not in left
        name = f"{gold.id} neighbour {number} {near.rule}"
        kind = "neighbour that the suite tells" if told else "neighbour that the suite does not tell"
        yield _Case(kind, replace(gold, id=name), near.sql, ("wrong", "lucky") if told else ("match", "wrong", "lucky"))
    for number, (kind, sql) in enumerate(rewritten(gold.golds[0], schema)):
        yield _Case("rewrite", replace(gold, id=f"{gold.id} rewrite {number} {kind}"), sql, ("match",))


def _found(verdict: Verdict) -> str:
    if verdict.outcome.is_gold_fault:
        return "unscored"
    if not verdict.execution_match:
        return "wrong"
    return {True: "match", False: "lucky", None: "no suite"}[verdict.suite_match]


if __name__ == "__main__":
    main()
