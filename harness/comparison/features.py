"""What kind of question is this? Features of the gold statement, of its schema and of its prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

_TABLE = re.compile(r"\bcreate\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?table\b", re.IGNORECASE)
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop, exp.Alter)

STATEMENT = (
    "complexity",
    "statement",
    "joins",
    "subquery",
    "window",
    "set_operation",
    "nesting",
    "aggregation",
    "order_limit",
)
"""Slices read off the gold statement."""

COMPLEXITY = (
    *("basic SQL", "aggregation", "single join", "multiple joins", "multiple_joins", "subqueries", "CTEs"),
    *("set operations", "window functions"),
)
"""Classes of the gretel data set, the simplest first."""


@lru_cache(maxsize=200_000)
def statement_features(sql: str, dialect: str = "") -> Mapping[str, str]:
    """Slice name -> value for one statement; all `unparsed` where sqlglot cannot read it."""
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=dialect or None) if tree is not None]
    except (SqlglotError, RecursionError):
        trees = []
    if not trees:
        return dict.fromkeys(STATEMENT, "unparsed")
    joins = sum(_joins(tree) for tree in trees)
    depth = max(_depth(tree) for tree in trees)
    return {
        "complexity": _complexity(trees[0], joins),
        "statement": "write" if isinstance(trees[0], _WRITES) else "read",
        "joins": str(joins) if joins < 3 else "3 or more",
        "subquery": _yes(any(_has_subquery(tree) for tree in trees)),
        "window": _yes(any(tree.find(exp.Window) for tree in trees)),
        "set_operation": _yes(any(tree.find(exp.SetOperation) for tree in trees)),
        "nesting": str(depth) if depth < 3 else "3 or more",
        "aggregation": _aggregation(trees),
        "order_limit": _order_limit(trees[0]),
    }


def schema_size(context: str) -> str:
    """How many tables the schema text defines, in classes: `1 table`, `2-3 tables` ..."""
    tables = len(_TABLE.findall(context))
    for most, name in ((0, "none shown"), (1, "1 table"), (3, "2-3 tables"), (6, "4-6 tables"), (12, "7-12 tables")):
        if tables <= most:
            return name
    return "13 or more tables"


def length_classes(lengths: Sequence[int | None]) -> list[str]:
    """Each item's quarter of the prompt lengths, named by its bounds in tokens: `up to 212 tokens`."""
    known = sorted(length for length in lengths if length)
    if not known:
        return ["unknown"] * len(lengths)
    cuts = sorted({known[min(len(known) - 1, len(known) * quarter // 4)] for quarter in (1, 2, 3)})
    names = [f"up to {cut} tokens" for cut in cuts] + [f"over {cuts[-1]} tokens"]
    return [names[sum(length > cut for cut in cuts)] if length else "unknown" for length in lengths]


def _complexity(tree: exp.Expr, joins: int) -> str:
    """The most demanding thing that a statement does, in the classes of the gretel data set."""
    classes = (
        ("window functions", tree.find(exp.Window)),
        ("set operations", tree.find(exp.SetOperation)),
        ("CTEs", tree.find(exp.CTE)),
        ("subqueries", _has_subquery(tree)),
        ("multiple joins", joins > 1),
        ("single join", joins == 1),
        ("aggregation", tree.find(exp.Group, exp.AggFunc)),
    )
    return next((name for name, found in classes if found), COMPLEXITY[0])


def _joins(tree: exp.Expr) -> int:
    # FROM a, b is read as a Join without condition; only UPDATE ... FROM names a second table without one
    return sum(1 for _ in tree.find_all(exp.Join)) + bool(isinstance(tree, exp.Update) and tree.args.get("from_"))


def _selects_above(node: exp.Expr) -> int:
    above, parent = 0, node.parent
    while parent is not None:
        above += isinstance(parent, exp.Select)
        parent = parent.parent
    return above


def _depth(tree: exp.Expr) -> int:
    """How many SELECTs stand inside one another, less one; a flat statement is 0."""
    return max((_selects_above(select) for select in tree.find_all(exp.Select)), default=0)


def _has_subquery(tree: exp.Expr) -> bool:
    nested = any(_selects_above(select) for select in tree.find_all(exp.Select))
    return nested or tree.find(exp.CTE, exp.Subquery) is not None


def _aggregation(trees: Sequence[exp.Expr]) -> str:
    if any(tree.find(exp.Group) for tree in trees):
        return "group by, having" if any(tree.find(exp.Having) for tree in trees) else "group by"
    return "whole table" if any(tree.find(exp.AggFunc) for tree in trees) else "none"


def _order_limit(tree: exp.Expr) -> str:
    ordered, limited = bool(tree.args.get("order")), bool(tree.args.get("limit"))
    return {(True, True): "order by, limit", (True, False): "order by", (False, True): "limit"}.get(
        (ordered, limited), "none"
    )


def _yes(value: Any) -> str:
    return "yes" if value else "no"
