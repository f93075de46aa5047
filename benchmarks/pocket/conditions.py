"""WHERE conditions: SQL, the parts a wording needs, and the near-misses a careless reader would write instead."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from schema import Column, Table, literal, shown

OPPOSITE = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "=": "!=", "!=": "="}
KINDS = {">": "gt", "<": "lt", ">=": "ge", "<=": "le"}


@dataclass(slots=True)
class Condition:
    """One condition; `kind` names its wording, `values` are the literals as a question writes them."""

    kind: str
    sql: str
    say: str
    values: list[str]
    near: list[str]


def condition(r: Random, table: Table, prefix: str = "", avoid: Column | None = None) -> Condition | None:
    """A random condition on one plain column of `table`; None where only `avoid` would be left."""
    columns = [c for c in table.plain if c is not avoid and c.values]
    if not columns:
        return None
    column = r.choice(columns)
    if column.kind == "text":
        return _text(r, column, prefix)
    return _ordered(r, column, prefix)


def _text(r: Random, column: Column, prefix: str) -> Condition:
    """Equality mostly; otherwise inequality, a first letter, or one of two values."""
    name, values = prefix + column.name, sorted(set(column.values))
    roll, value = r.random(), r.choice(column.values)
    if roll < 0.66 or len(values) < 3:
        others = [f"{name} = {literal(v)}" for v in values if v != value][:2]
        return Condition(
            "eq", f"{name} = {literal(value)}", column.say, [value], [*others, f"{name} != {literal(value)}"]
        )
    if roll < 0.76:
        return Condition("ne", f"{name} != {literal(value)}", column.say, [value], [f"{name} = {literal(value)}"])
    if roll < 0.88:
        start = value[0]
        wrong = [f"{name} = {literal(start)}", f"{name} NOT LIKE '{start}%'"]
        return Condition("like", f"{name} LIKE '{start}%'", column.say, [start], wrong)
    two = r.sample(values, 2)
    wrong = [f"{name} = {literal(v)}" for v in two]
    return Condition("in", f"{name} IN ({literal(two[0])}, {literal(two[1])})", column.say, two, wrong)


def _ordered(r: Random, column: Column, prefix: str) -> Condition:
    """A comparison, a range, or (whole numbers only) equality."""
    name, value = prefix + column.name, r.choice(column.values)
    roll = r.random()
    if roll < 0.16 and len(set(column.values)) > 2:
        low, high = sorted(r.sample(sorted(set(column.values)), 2))
        a, b = literal(low), literal(high)
        wrong = [f"{name} > {a}", f"{name} > {a} AND {name} < {b}", f"{name} NOT BETWEEN {a} AND {b}"]
        return Condition("between", f"{name} BETWEEN {a} AND {b}", column.say, [shown(low), shown(high)], wrong)
    if roll < 0.26 and column.kind == "int":
        wrong = [f"{name} != {literal(value)}", f"{name} > {literal(value)}"]
        return Condition("same", f"{name} = {literal(value)}", column.say, [shown(value)], wrong)
    op = r.choice((">", "<", ">", "<", ">=", "<="))
    kind = ("after" if op == ">" else "before" if op == "<" else KINDS[op]) if column.kind == "date" else KINDS[op]
    if column.kind == "date" and kind in ("ge", "le"):
        kind = {"ge": "since", "le": "until"}[kind]
    slack = {">": ">=", "<": "<=", ">=": ">", "<=": "<"}[op]
    wrong = [f"{name} {OPPOSITE[op]} {literal(value)}", f"{name} {slack} {literal(value)}"]
    return Condition(kind, f"{name} {op} {literal(value)}", column.say, [shown(value)], wrong)
