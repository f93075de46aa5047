"""The conditions a gold sets on single columns, with their constants: what a witness must hit and just miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from harness.suite.scopes import Cell, Scopes

Constant = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """`cell operator values`, measured on the value itself or on something made of it."""

    cell: Cell
    alias: str
    """Alias in the scope of the condition; empty where the column came through a derived table."""
    operator: str
    """eq ne lt le gt ge like ilike null in between."""
    values: tuple[Constant, ...] = ()
    measure: str = "value"
    """value, year, month, day, length, or the aggregate: count, sum, avg, min, max."""


_OPERATORS: dict[type[exp.Expr], tuple[str, str]] = {
    exp.EQ: ("eq", "eq"),
    exp.NullSafeEQ: ("eq", "eq"),
    exp.NEQ: ("ne", "ne"),
    exp.NullSafeNEQ: ("ne", "ne"),
    exp.GT: ("gt", "lt"),
    exp.GTE: ("ge", "le"),
    exp.LT: ("lt", "gt"),
    exp.LTE: ("le", "ge"),
}
"""Node -> operator as written, and with the sides exchanged."""

_OTHERS = (exp.Between, exp.In, exp.Like, exp.ILike, exp.Is, exp.Case, exp.StartsWith, exp.Contains)

_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
}


def constant(node: exp.Expr | None) -> tuple[Constant] | None:
    """A literal's value in a 1-tuple; None where the node is no constant."""
    if isinstance(node, exp.Paren | exp.Cast | exp.TryCast | exp.Date | exp.TsOrDsToDate):
        return constant(node.this)
    if isinstance(node, exp.Lower | exp.Upper):
        return constant(node.this)
    if isinstance(node, exp.Neg):
        inner = constant(node.this)
        return (-inner[0],) if inner and isinstance(inner[0], int | float) else None
    if isinstance(node, exp.Boolean):
        return (bool(node.this),)
    if isinstance(node, exp.Literal):
        return (str(node.this),) if node.is_string else _number(str(node.this))
    return None


def _number(text: str) -> tuple[Constant] | None:
    try:
        return (int(text),)
    except ValueError:
        pass
    try:
        return (float(text),)
    except ValueError:
        return None


def conditions(scopes: Scopes) -> list[Condition]:
    """Every condition of the statement on a single column, wherever it stands."""
    found: list[Condition] = []
    for node in scopes.tree.find_all(*_OPERATORS, *_OTHERS):
        if isinstance(node, exp.Case):
            found += _simple_case(node, scopes)
            continue
        made = condition(node, scopes)
        if made is not None:
            found.append(made)
    return found


def condition(node: exp.Expr, scopes: Scopes) -> Condition | None:
    """The condition a predicate node sets; None where it is none on a single column."""
    if isinstance(node, exp.Between):
        low, high = constant(node.args["low"]), constant(node.args["high"])
        return _on(node.this, "between", (*low, *high), scopes) if low and high else None
    if isinstance(node, exp.In):
        items = [constant(e) for e in node.expressions]
        values = tuple(i[0] for i in items if i)
        return _on(node.this, "in", values, scopes) if values else None
    if isinstance(node, exp.Like | exp.ILike):
        pattern = constant(node.expression)
        operator = "ilike" if isinstance(node, exp.ILike) else "like"
        return _on(node.this, operator, pattern, scopes) if pattern else None
    if isinstance(node, exp.StartsWith | exp.Contains):
        text = constant(node.expression)
        lead = "" if isinstance(node, exp.StartsWith) else "%"
        return _on(node.this, "like", (f"{lead}{text[0]}%",), scopes) if text else None
    if isinstance(node, exp.Is):
        return _on(node.this, "null", (), scopes) if isinstance(node.expression, exp.Null) else None
    names = _OPERATORS.get(type(node))
    if names is None:
        return None
    right, left = constant(node.expression), constant(node.this)
    if right and not left:
        return _on(node.this, names[0], right, scopes)
    if left and not right:
        return _on(node.expression, names[1], left, scopes)
    return None


def _simple_case(node: exp.Case, scopes: Scopes) -> list[Condition]:
    if node.this is None:
        return []
    values = tuple(v[0] for v in (constant(i.this) for i in node.args["ifs"]) if v)
    made = _on(node.this, "in", values, scopes) if values else None
    return [made] if made else []


def _on(side: exp.Expr, operator: str, values: tuple[Any, ...], scopes: Scopes) -> Condition | None:
    """The condition on the one column inside `side`."""
    measure = "value"
    node = side
    while not isinstance(node, exp.Column):
        aggregate = _AGGREGATES.get(type(node))
        measure = aggregate or _measure(node) or measure
        if isinstance(node, exp.Star) or node is None:
            break
        inner = next((c for c in node.iter_expressions() if isinstance(c, exp.Column) or c.find(exp.Column)), None)
        if inner is None:
            break
        node = inner
    if isinstance(node, exp.Column):
        alias_of = _alias_target(node, scopes)
        if alias_of is not None:
            return _on(alias_of, operator, values, scopes)
        found = scopes.resolve(node)
        if found is not None:
            return Condition(found[2], found[1], operator, values, measure)
    if measure == "count":
        scope = scopes.of(side)
        tables = scope.tables() if scope else []
        if tables:
            return Condition((tables[0][1], "*"), tables[0][0], operator, values, "count")
    return None


def _alias_target(column: exp.Column, scopes: Scopes) -> exp.Expr | None:
    """The expression behind an output alias, as HAVING and ORDER BY may use it."""
    scope = scopes.of(column)
    if scope is None or column.table or not isinstance(scope.node, exp.Select):
        return None
    name = column.name.lower()
    if any(name in scopes.columns[table] for _, table in scope.tables()):
        return None
    return next((o.this for o in scope.node.expressions if isinstance(o, exp.Alias) and o.alias.lower() == name), None)


def _measure(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Year):
        return "year"
    if isinstance(node, exp.Month):
        return "month"
    if isinstance(node, exp.Day | exp.DayOfMonth):
        return "day"
    if isinstance(node, exp.Length):
        return "length"
    if isinstance(node, exp.Extract):
        part = str(node.this).lower()
        return part if part in ("year", "month", "day") else None
    if isinstance(node, exp.TimeToStr):
        return {"'%Y'": "year", "'%m'": "month", "'%d'": "day"}.get(str(node.args.get("format")))
    return None
