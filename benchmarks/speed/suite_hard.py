"""A harder search than the one suites are measured against: witnesses made for each neighbour never told apart.

The 200 witnesses of the larger search come from the gold alone, as a suite's do: what only a neighbour's own constants
and columns would show is told by neither. Here rows are made round neighbour and gold together, steered by either.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.speed.suite_items import SuiteItem
from harness.suite.distill import LARGER
from harness.suite.execute import plain_executor
from harness.suite.neighbours import Neighbour, parse
from harness.suite.schema import with_ancestors
from harness.suite.search import Search
from harness.suite.witness import STRATEGIES, Plan

EACH = 2 * len(STRATEGIES)
"""Witnesses made for one neighbour, for each of the two statements that may steer them."""


def told_by_own(item: SuiteItem, names: set[str]) -> set[str]:
    """Which of these survivors (`rule: statement`) witnesses made for them tell from the gold."""
    gold = parse(item.gold)
    found: set[str] = set()
    if gold is None or not names:
        return found
    settings = replace(LARGER, candidates=EACH, seed=2)
    with plain_executor(";\n".join((*item.prelude, item.schema.script)), settings.deadline_seconds) as room:
        for name in sorted(names):
            rule, _, sql = name.partition(": ")
            neighbour = parse(sql)
            for first, second in ((neighbour, gold), (gold, neighbour)) if neighbour is not None else ():
                search = Search(item.schema, item.gold, gold, settings, room, [Neighbour(sql, rule)], 1)
                search.plan = Plan(item.schema, first, (second,))
                search.needed |= with_ancestors(item.schema, search.plan.used)
                if search.told():
                    found.add(name)
                    break
    return found
