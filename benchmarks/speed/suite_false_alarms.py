"""Do suites call right answers wrong? `python -m benchmarks.speed.suite_false_alarms spider --stride 4`.

Every gold is rewritten in every way of `rewrites.REWRITES` and `rewrites_own.OWN_REWRITES` and judged as a prediction
is: on its suite's databases, and on those that its own constants ask for.
The last line of standard output is one JSON document.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.speed.rewrites import REWRITES
from benchmarks.speed.rewrites_own import OWN_REWRITES
from benchmarks.speed.suite_items import SuiteItem, items
from harness.answer import Table
from harness.suite.distill import build_suite
from harness.suite.execute import Executor, StatementError, plain_executor
from harness.suite.judge import Answer, Judge
from harness.suite.neighbours import parse
from harness.suite.own import own_witnesses
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
    own = 0
    for item in items(asked.benchmark, asked.limit, asked.stride):
        suite = build_suite(item.schema, item.gold, prelude=item.prelude)
        for found in told_apart(item, suite):
            made[found.kind] += 1
            own += found.own
            if found.witness is not None:
                alarms[found.kind] += 1
                kept = found.witness < len(suite.witnesses)
                how = suite.strategies[found.witness] if kept else "made for the rewrite"
                print(f"{found.kind} on witness {found.witness} ({how})\n  {item.gold}\n  {found.sql}", flush=True)
    facts = {"benchmark": asked.benchmark, "rewrites": made.total(), "alarms": alarms.total(), "kinds": len(made)}
    print(json.dumps({**facts, "own_witnesses": own, "by_kind": dict(made), "alarms_by_kind": dict(alarms)}))


@dataclass(frozen=True, slots=True)
class Judged:
    """One rewrite on the witnesses."""

    kind: str
    sql: str
    witness: int | None
    """The first witness that tells it from the gold."""
    own: int
    """Further witnesses made for its own constants on which it was judged."""


def rewritten(gold: str) -> Iterator[tuple[str, str]]:
    """(kind, statement) of each way the gold can be rewritten."""
    for rewrite in (*REWRITES, *OWN_REWRITES):
        tree = parse(gold)
        new = rewrite(tree) if tree is not None else None
        if new is not None and new.sql("duckdb") != gold:
            yield rewrite.__name__, new.sql("duckdb")


def told_apart(item: SuiteItem, suite: Suite) -> Iterator[Judged]:
    """Each rewrite that binds, judged."""
    tree = parse(item.gold)
    if tree is None or suite.trial is None:
        return
    judge = Judge(item.gold, tree)
    with plain_executor(";\n".join((*item.prelude, suite.schema)), 5.0) as room:
        ways = [(kind, sql) for kind, sql in rewritten(item.gold) if room.binds(sql)]
        first: dict[str, int] = {}
        for number, script in enumerate(suite.witnesses):
            room.load((script,))
            gold = judge.fixed_answer(room, lambda: None)
            for _, sql in ways if gold is not None else ():
                if _differs(judge, room, sql, gold):
                    first.setdefault(sql, number)
        for kind, sql in ways:
            own = 0
            for number, (inserts, backwards) in enumerate(
                own_witnesses(suite.trial, item.gold, sql), len(suite.witnesses)
            ):
                gold = _fixed(judge, room, inserts, backwards)
                own += gold is not None
                if gold is not None and _differs(judge, room, sql, gold):
                    first.setdefault(sql, number)
            yield Judged(kind, sql, first.get(sql), own)


Fixed = tuple[Answer, Table | None]


def _fixed(judge: Judge, room: Executor, inserts: Sequence[str], backwards: Sequence[str]) -> Fixed | None:
    """The gold's own answer on a witness; None where it has none, or the witness is refused. Leaves the rows loaded."""
    try:
        room.load(inserts)
        found = judge.fixed_answer(room, lambda: room.load(backwards))
        room.load(inserts)
    except StatementError:
        return None
    return found


def _differs(judge: Judge, room: Executor, sql: str, gold: Fixed) -> bool:
    try:
        return judge.differs(gold[0], judge.answer(room, sql), gold[1])
    except StatementError:
        return True


if __name__ == "__main__":
    main()
