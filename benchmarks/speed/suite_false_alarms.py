"""Do suites call right answers wrong? `python -m benchmarks.speed.suite_false_alarms spider --stride 4`.

Every gold is rewritten in every way of `rewrites.py`, `rewrites_own.py` and `rewrites_keys.py` and judged as a
prediction is: on its suite's databases, and on those that its own constants ask for. All are asked, those too that
scoring would call the gold's own tree. Counted as judged is what met one database at least on which the gold has an
answer; what does not bind or met none is counted apart.
The last line of standard output is one JSON document.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.speed.rewrites import REWRITES
from benchmarks.speed.rewrites_keys import KEY_REWRITES
from benchmarks.speed.rewrites_own import OWN_REWRITES
from benchmarks.speed.suite_items import SuiteItem, items
from harness.answer import Table
from harness.sqltext import exact_match
from harness.suite.distill import build_suite
from harness.suite.execute import Executor, StatementError, plain_executor
from harness.suite.judge import Answer, Judge
from harness.suite.neighbours import parse
from harness.suite.own import own_witnesses
from harness.suite.record import Suite
from harness.suite.schema import Schema


def main() -> None:
    """Count rewrites and the ones some witness tells from their gold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=("spider", "sql_create_context", "pocket"))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1)
    asked = parser.parse_args()
    made: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    unjudged: Counter[str] = Counter()
    own = tree = 0
    for item in items(asked.benchmark, asked.limit, asked.stride):
        suite = build_suite(item.schema, item.gold, prelude=item.prelude)
        for found in told_apart(item, suite):
            if not found.databases:
                unjudged["no database" if found.databases is not None else "does not bind"] += 1
                continue
            made[found.kind] += 1
            tree += found.is_golds_tree
            own += found.own
            if found.witness is not None:
                alarms[found.kind] += 1
                kept = found.witness < len(suite.witnesses)
                how = suite.strategies[found.witness] if kept else "made for the rewrite"
                print(f"{found.kind} on witness {found.witness} ({how})\n  {item.gold}\n  {found.sql}", flush=True)
    facts = {"benchmark": asked.benchmark, "rewrites": made.total(), "alarms": alarms.total(), "kinds": len(made)}
    facts |= {"own_witnesses": own, "of_the_golds_tree": tree, "unjudged": dict(unjudged)}
    print(json.dumps({**facts, "by_kind": dict(made), "alarms_by_kind": dict(alarms)}))


@dataclass(frozen=True, slots=True)
class Judged:
    """One rewrite on the witnesses."""

    kind: str
    sql: str
    witness: int | None
    """The first witness that tells it from the gold."""
    own: int
    """Further witnesses made for its own constants on which it was judged."""
    databases: int | None = 0
    """Databases it was judged on; None where it does not bind."""
    is_golds_tree: bool = False
    """Scoring would call it an exact match and ask no suite."""


def rewritten(gold: str, schema: Schema | None = None) -> Iterator[tuple[str, str]]:
    """(kind, statement) of each way the gold can be rewritten; by its keys too, where a schema is given."""
    first = parse(gold)
    same = first.sql("duckdb", comments=False) if first is not None else ""
    ways = [(r.__name__, r) for r in (*REWRITES, *OWN_REWRITES)]
    if schema is not None:
        ways += [(r.__name__, partial(r, schema=schema)) for r in KEY_REWRITES]
    for name, rewrite in ways:
        tree = parse(gold)
        new = rewrite(tree) if tree is not None else None
        text = new.sql("duckdb", comments=False) if new is not None else same
        if text != same:
            yield name, text


def told_apart(item: SuiteItem, suite: Suite) -> Iterator[Judged]:
    """Each rewrite, judged where it binds."""
    tree = parse(item.gold)
    if tree is None or suite.trial is None:
        return
    judge = Judge(item.gold, tree)
    with plain_executor(";\n".join((*item.prelude, suite.schema)), 5.0) as room:
        ways = []
        for kind, sql in rewritten(item.gold, item.schema):
            if room.binds(sql):
                ways.append((kind, sql))
            else:
                yield Judged(kind, sql, None, 0, None)
        first: dict[str, int] = {}
        kept = 0
        for number, script in enumerate(suite.witnesses):
            room.load((script,))
            gold = judge.fixed_answer(room, lambda: None)
            kept += gold is not None
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
            exact = exact_match(item.gold, sql, ("duckdb",)).exact
            yield Judged(kind, sql, first.get(sql), own, kept + own, exact)


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
