"""CHECK constraints, evaluated over rows in Python: enough of SQL for what schemas state, NULL counting as passed.

An expression this cannot read counts as passed; DuckDB refuses the witness then, and the next one is tried.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from harness.suite.conditions import Condition, Constant, constant
from harness.suite.schema import Table
from harness.suite.values import comparable, holds

Row = Mapping[str, Constant]

_COMPARE: dict[type[exp.Expr], Callable[[Any, Any], bool]] = {
    exp.EQ: operator.eq,
    exp.NEQ: operator.ne,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
}
_COMPUTE: dict[type[exp.Expr], Callable[[Any, Any], Any]] = {
    exp.Add: operator.add,
    exp.Sub: operator.sub,
    exp.Mul: operator.mul,
}


class Checks:
    """The CHECK constraints of one table."""

    def __init__(self, table: Table) -> None:
        self.trees = [tree for text in table.checks for tree in _read(text)]
        self._alone: dict[str, list[exp.Expr]] = {}
        for tree in self.trees:
            names = {c.name.lower() for c in tree.find_all(exp.Column)}
            if len(names) == 1:
                self._alone.setdefault(names.pop(), []).append(tree)

    def pass_row(self, row: Row) -> bool:
        """Whether no constraint is violated."""
        return all(_truth(tree, row) is not False for tree in self.trees)

    def pass_value(self, column: str, value: Constant) -> bool:
        """Whether the constraints on this column alone allow the value."""
        return all(_truth(tree, {column: value}) is not False for tree in self._alone.get(column, ()))

    def constants(self, column: str) -> list[Constant]:
        """The constants of the constraints on this column alone, with their neighbours among the numbers."""
        found: list[Constant] = []
        for tree in self._alone.get(column, ()):
            for node in tree.find_all(exp.Literal):
                value = constant(node)
                if value and isinstance(value[0], int | float):
                    found += [value[0] + step for step in (0, 1, 2, 5, 10, -1, -2)]
                elif value:
                    found.append(value[0])
        return found


def _read(text: str) -> Iterable[exp.Expr]:
    try:
        return [sqlglot.parse_one(text, read="duckdb")]
    except (SqlglotError, RecursionError):
        return []


def _truth(node: exp.Expr, row: Row) -> bool | None:
    """True, False, or None for NULL and for what is not understood."""
    if isinstance(node, exp.Paren | exp.Cast | exp.TryCast):
        return _truth(node.this, row)
    if isinstance(node, exp.Not):
        inner = _truth(node.this, row)
        return None if inner is None else not inner
    if isinstance(node, exp.And | exp.Or):
        sides = [_truth(node.this, row), _truth(node.expression, row)]
        decisive = isinstance(node, exp.Or)
        if decisive in sides:
            return decisive
        return None if None in sides else not decisive
    if isinstance(node, exp.Is):
        return _value(node.this, row) is None if isinstance(node.expression, exp.Null) else None
    return _leaf(node, row)


def _leaf(node: exp.Expr, row: Row) -> bool | None:
    subject = _value(node.this, row) if isinstance(node.this, exp.Expr) else None
    if subject is None:
        return None
    if type(node) in _COMPARE:
        other = _value(node.expression, row)
        return None if other is None else bool(_COMPARE[type(node)](*comparable(subject, other)))
    if isinstance(node, exp.Between):
        low, high = _value(node.args["low"], row), _value(node.args["high"], row)
        return None if low is None or high is None else holds(_asked("between", low, high), subject)
    if isinstance(node, exp.In) and node.expressions:
        values = [_value(e, row) for e in node.expressions]
        return None if None in values else holds(_asked("in", *values), subject)
    if isinstance(node, exp.Like | exp.ILike):
        pattern = _value(node.expression, row)
        return None if pattern is None else holds(_asked("like", pattern), subject)
    return None


def _asked(kind: str, *values: Constant) -> Condition:
    return Condition(("", ""), "", kind, values)


def _value(node: exp.Expr, row: Row) -> Constant:
    if isinstance(node, exp.Column):
        return row.get(node.name.lower())
    known = constant(node)
    if known:
        return known[0]
    if isinstance(node, exp.Paren | exp.Cast | exp.TryCast):
        return _value(node.this, row)
    if isinstance(node, exp.Length):
        inner = _value(node.this, row)
        return None if inner is None else len(str(inner))
    if type(node) in _COMPUTE:
        left, right = _value(node.this, row), _value(node.expression, row)
        if isinstance(left, int | float) and isinstance(right, int | float):
            result: int | float = _COMPUTE[type(node)](left, right)
            return result
    return None
