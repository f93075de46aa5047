"""Do suites call right answers wrong? `python -m benchmarks.speed.suite_false_alarms spider --stride 4`.

Every gold is rewritten in every way of `rewrites.REWRITES` and judged on its suite's databases as a prediction is.
The last line of standard output is one JSON document.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator

from benchmarks.speed.rewrites import REWRITES
from benchmarks.speed.suite_items import SuiteItem, items
from harness.suite.distill import build_suite
from harness.suite.execute import StatementError, plain_executor
from harness.suite.judge import Judge
from harness.suite.neighbours import parse
from harness.suite.record import Suite


def main() -> None:
    """Count rewrites and the ones some witness tells from their gold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=("spider", "sql_create_context", "pocket"))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1)
    asked = parser.parse_args()
    made: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    for item in items(asked.benchmark, asked.limit, asked.stride):
        suite = build_suite(item.schema, item.gold, prelude=item.prelude)
        for kind, sql, witness in told_apart(item, suite):
            made[kind] += 1
            if witness is not None:
                alarms[kind] += 1
                print(f"{kind} on witness {witness} ({suite.strategies[witness]})\n  {item.gold}\n  {sql}", flush=True)
    facts = {"benchmark": asked.benchmark, "rewrites": made.total(), "alarms": alarms.total(), "kinds": len(made)}
    print(json.dumps({**facts, "by_kind": dict(made), "alarms_by_kind": dict(alarms)}))


def rewritten(gold: str) -> Iterator[tuple[str, str]]:
    """(kind, statement) of each way the gold can be rewritten."""
    for rewrite in REWRITES:
        tree = parse(gold)
        new = rewrite(tree) if tree is not None else None
        if new is not None and new.sql("duckdb") != gold:
            yield rewrite.__name__, new.sql("duckdb")


def told_apart(item: SuiteItem, suite: Suite) -> Iterator[tuple[str, str, int | None]]:
    """(kind, statement, first witness that tells it from the gold) of each rewrite that binds."""
    tree = parse(item.gold)
    if tree is None or not suite.witnesses:
        return
    judge = Judge(item.gold, tree)
    with plain_executor(";\n".join((*item.prelude, suite.schema)), 5.0) as room:
        ways = [(kind, sql) for kind, sql in rewritten(item.gold) if room.binds(sql)]
        first: dict[str, int] = {}
        for number, script in enumerate(suite.witnesses):
            room.load((script,))
            gold = judge.fixed_answer(room, lambda: None)
            for _, sql in ways if gold is not None else ():
                try:
                    other = judge.answer(room, sql)
                except StatementError:
                    first.setdefault(sql, number)
                    continue
                if judge.differs(gold[0], other, gold[1]):
                    first.setdefault(sql, number)
        for kind, sql in ways:
            yield kind, sql, first.get(sql)


if __name__ == "__main__":
    main()
