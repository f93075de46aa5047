"""How strong suites are, and what they cost: `python -m benchmarks.speed.suite_strength spider --limit 100`.

Kill rate = neighbours a suite kills / neighbours that the suite or any of 200 further witnesses kills. Beside it: the
same, where witnesses made for each neighbour (`suite_hard.py`) and the shipped rows have a say too in what can be
killed; and what the shipped rows alone kill. Counts are by item: a gold that several items share counts as often.
The last line of standard output is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter

from benchmarks.speed.suite_hard import told_by_own
from benchmarks.speed.suite_items import SuiteItem, items
from harness.suite.distill import LARGER, build_suite, told_by_more
from harness.suite.execute import Alarm, DuckDBExecutor, StatementError
from harness.suite.judge import Judge
from harness.suite.neighbours import neighbours, parse
from harness.suite.record import Suite, SuiteSettings


def main() -> None:
    """Measure one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=("spider", "sql_create_context", "pocket"))
    parser.add_argument("--limit", type=int, default=0, help="distinct golds at most (0: all)")
    parser.add_argument("--stride", type=int, default=1, help="take every n-th distinct gold")
    parser.add_argument("--show", action="store_true", help="print every neighbour the suite misses")
    asked = parser.parse_args()
    total: Counter[str] = Counter()
    missed_by: Counter[str] = Counter()
    harder_by: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    seconds: list[tuple[float, int]] = []
    for item in items(asked.benchmark, asked.limit, asked.stride):
        begun = time.process_time()
        suite = build_suite(item.schema, item.gold, prelude=item.prelude)
        seconds.append((time.process_time() - begun, item.twins))
        missed = told_by_more(item.schema, item.gold, suite, LARGER, prelude=item.prelude)
        by_rows = shipped_kills(item)
        never = set(suite.survivors) - missed
        harder = told_by_own(item, never) | {n for n in never if n.partition(": ")[2] in by_rows}
        count(total, item, suite, len(missed), len(harder), by_rows)
        for by_rule, names in ((missed_by, missed), (harder_by, harder)):
            for name in names:
                by_rule[name.partition(":")[0]] += item.twins
        if suite.reason:
            reasons[suite.reason] += item.twins
        if asked.show:
            for name in sorted(missed | harder):
                print(f"{item.gold}\n    {'' if name in missed else '(harder) '}{name}", flush=True)
    facts = report(asked.benchmark, total, missed_by, seconds)
    print(json.dumps({**facts, "harder_by_rule": dict(harder_by.most_common()), "without_suite_because": reasons}))


def count(
    total: Counter[str], item: SuiteItem, suite: Suite, missed: int, harder: int, by_rows: frozenset[str]
) -> None:
    """Add one gold's figures, as often as items share it; `harder`: told by neither suite nor larger search."""
    facts = {
        "items": 1,
        "neighbours": suite.neighbours,
        "killed": suite.killed,
        "killable": suite.killed + missed,
        "killable_by_any": suite.killed + missed + harder,
        "killed_by_shipped_rows": len(by_rows),
        "beyond_the_limit": len(neighbours(item.gold, item.schema))
        - len(neighbours(item.gold, item.schema, SuiteSettings().max_neighbours)),
        "witnesses": len(suite.witnesses),
        "tried": suite.tried,
        "rejected": suite.rejected,
        "violations": suite.violations,
        "discriminating": int(suite.discriminating),
        "without_suite": int(not suite.witnesses),
    }
    total.update({name: value * item.twins for name, value in facts.items()})


def shipped_kills(item: SuiteItem) -> frozenset[str]:
    """Which of the same neighbours the shipped rows alone tell from the gold."""
    tree = parse(item.gold)
    if tree is None:
        return frozenset()
    judge = Judge(item.gold, tree)
    watch = Alarm(item.connection, 5.0)
    room = DuckDBExecutor(item.connection, watch)
    killed: set[str] = set()
    try:
        room.load(())
        fixed = judge.fixed_answer(room, lambda: None)
        for neighbour in neighbours(item.gold, item.schema, SuiteSettings().max_neighbours) if fixed else ():
            try:
                told = judge.differs(fixed[0], judge.answer(room, neighbour.sql), fixed[1])
            except StatementError as error:
                told = error.kind == "run"
            killed |= {neighbour.sql} if told else set()
    finally:
        room.load(())
        watch.close()
        item.connection.execute("ROLLBACK")
    return frozenset(killed)


def report(
    name: str, total: Counter[str], missed_by: Counter[str], seconds: list[tuple[float, int]]
) -> dict[str, object]:
    """The figures as one document."""
    n = max(total["items"], 1)
    killable = max(total["killable"], 1)
    return {
        "benchmark": name,
        **total,
        "kill_rate": round(total["killed"] / killable, 4),
        "kill_rate_of_any": round(total["killed"] / max(total["killable_by_any"], 1), 4),
        "shipped_rows_kill_rate": round(total["killed_by_shipped_rows"] / killable, 4),
        "discriminating_share": round(total["discriminating"] / n, 4),
        "witnesses_per_item": round(total["witnesses"] / n, 2),
        "build_cpu_seconds_per_item": round(sum(s * k for s, k in seconds) / n, 3),
        "build_cpu_seconds_per_gold": round(sum(s for s, _ in seconds) / max(len(seconds), 1), 3),
        "build_cpu_seconds_max": round(max((s for s, _ in seconds), default=0.0), 3),
        "missed_by_rule": dict(missed_by.most_common()),
    }


if __name__ == "__main__":
    main()
