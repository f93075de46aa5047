"""The shapes of SQL: each turns a schema into one gold statement, its near-misses and the slots a wording fills.

A near-miss is what a careless reader would have written; an item is kept only where each one answers otherwise.
`same` holds statements that must agree with the gold: they differ only in how ties fall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from conditions import condition
from schema import Column, Schema, Table, literal, shown


@dataclass(slots=True)
class Shape:
    """One statement before it is put into words."""

    sql: str
    slots: dict[str, Any]
    near: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    name: str = ""


Maker = Callable[[Random, Schema], Shape | None]
SHAPES: dict[str, tuple[str, str, int, Maker]] = {}
"""Name -> (sql_complexity, sql_task_type, weight, maker)."""

AGGREGATES = ("AVG", "SUM", "MAX", "MIN")
READ, WRITE, DEFINE = "analytics and reporting", "data manipulation", "data definition"


def shape(complexity: str, weight: int, task: str = READ) -> Callable[[Maker], Maker]:
    """Registers a maker under its function's name."""

    def add(maker: Maker) -> Maker:
        SHAPES[maker.__name__] = (complexity, task, weight, maker)
        return maker

    return add


def listed(columns: list[Column]) -> str:
    """`name, city and age`."""
    words = [c.say for c in columns]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def some(r: Random, table: Table, prefix: str = "") -> tuple[list[Column], str]:
    """One to three plain columns of a table, and their SQL."""
    columns = r.sample(table.plain, min(len(table.plain), r.choice((1, 1, 2, 2, 2, 3))))
    return columns, ", ".join(prefix + c.name for c in columns)


def pick_aggregate(r: Random, table: Table) -> tuple[str, Column] | None:
    """An aggregate function and a column it makes sense for."""
    if not table.numbers:
        return None
    function = r.choice(AGGREGATES)
    columns = table.sums if function in ("SUM", "AVG") else table.numbers
    return (function, r.choice(columns)) if columns else None


def others(function: str) -> list[str]:
    """The aggregates one might take by mistake."""
    return [a for a in AGGREGATES if a != function]


@shape("basic SQL", 7, "data retrieval")
def select_where(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    columns, names = some(r, t)
    c = condition(r, t)
    head = f"SELECT {names} FROM {t.name}"
    return Shape(
        f"{head} WHERE {c.sql}",
        {"cols": listed(columns), "t": t, "cond": c},
        [head, *(f"{head} WHERE {n}" for n in c.near)],
    )


@shape("basic SQL", 2, "data retrieval")
def select_star(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    c = condition(r, t)
    head = f"SELECT * FROM {t.name}"
    return Shape(f"{head} WHERE {c.sql}", {"t": t, "cond": c}, [head, *(f"{head} WHERE {n}" for n in c.near)])


@shape("basic SQL", 3, "data retrieval")
def select_two(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    a = condition(r, t)
    b = condition(r, t)
    if a.say == b.say:
        return None
    columns, names = some(r, t)
    word, wrong = r.choice((("AND", "OR"), ("AND", "OR"), ("OR", "AND")))
    head = f"SELECT {names} FROM {t.name} WHERE"
    return Shape(
        f"{head} {a.sql} {word} {b.sql}",
        {"cols": listed(columns), "t": t, "cond": a, "cond2": b, "conj": word.lower()},
        [f"{head} {a.sql} {wrong} {b.sql}", f"{head} {a.sql}", f"{head} {b.sql}"],
    )


@shape("basic SQL", 2, "data retrieval")
def distinct(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.groups:
        return None
    c = r.choice(t.groups)
    return Shape(f"SELECT DISTINCT {c.name} FROM {t.name}", {"col": c.say, "t": t}, [f"SELECT {c.name} FROM {t.name}"])


def sort_key(r: Random, t: Table) -> Column | None:
    """A column without ties to order by."""
    keys = [c for c in t.of("int", "real", "date") if len(set(c.values)) == len(c.values)]
    return r.choice(keys) if keys else None


@shape("basic SQL", 3, "data retrieval")
def ordered(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    key = sort_key(r, t)
    if key is None:
        return None
    columns, names = some(r, t)
    down = r.random() < 0.5
    head = f"SELECT {names} FROM {t.name}"
    return Shape(
        f"{head} ORDER BY {key.name}{' DESC' if down else ''}",
        {"cols": listed(columns), "t": t, "key": key.say, "down": down, "date": key.kind == "date"},
        [f"{head} ORDER BY {key.name}{'' if down else ' DESC'}"],
    )


@shape("basic SQL", 4, "data retrieval")
def top(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    key = sort_key(r, t)
    if key is None:
        return None
    columns, names = some(r, t)
    down, n = r.random() < 0.6, r.choice((1, 2, 3))
    head, way, back = (
        f"SELECT {names} FROM {t.name} ORDER BY {key.name}",
        " DESC" if down else "",
        "" if down else " DESC",
    )
    return Shape(
        f"{head}{way} LIMIT {n}",
        {"cols": listed(columns), "t": t, "key": key.say, "down": down, "n": n, "date": key.kind == "date"},
        [f"{head}{back} LIMIT {n}", f"{head}{way}", f"{head}{way} LIMIT {n + 1}"],
    )


@shape("aggregation", 4)
def count_where(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    c = condition(r, t)
    head = f"SELECT COUNT(*) FROM {t.name}"
    return Shape(f"{head} WHERE {c.sql}", {"t": t, "cond": c}, [head, *(f"{head} WHERE {n}" for n in c.near)])


@shape("aggregation", 3)
def aggregate(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    picked = pick_aggregate(r, t)
    if picked is None:
        return None
    f, c = picked
    return Shape(
        f"SELECT {f}({c.name}) FROM {t.name}",
        {"f": f, "col": c.say, "t": t},
        [f"SELECT {o}({c.name}) FROM {t.name}" for o in others(f)],
    )


@shape("aggregation", 4)
def aggregate_where(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    picked = pick_aggregate(r, t)
    if picked is None:
        return None
    f, c = picked
    w = condition(r, t, avoid=c)
    if w is None:
        return None
    head = f"SELECT {f}({c.name}) FROM {t.name}"
    return Shape(
        f"{head} WHERE {w.sql}",
        {"f": f, "col": c.say, "t": t, "cond": w},
        [head, f"SELECT COUNT(*) FROM {t.name} WHERE {w.sql}", *(f"{head} WHERE {n}" for n in w.near)],
    )


@shape("aggregation", 4)
def group_count(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.groups:
        return None
    g = r.choice(t.groups)
    return Shape(
        f"SELECT {g.name}, COUNT(*) FROM {t.name} GROUP BY {g.name}",
        {"g": g.say, "t": t},
        [f"SELECT {g.name} FROM {t.name} GROUP BY {g.name}", f"SELECT COUNT(*) FROM {t.name}"],
    )


@shape("aggregation", 4)
def group_aggregate(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    picked = pick_aggregate(r, t)
    if picked is None or not t.groups:
        return None
    (f, c), g = picked, r.choice(t.groups)
    tail = f"FROM {t.name} GROUP BY {g.name}"
    return Shape(
        f"SELECT {g.name}, {f}({c.name}) {tail}",
        {"f": f, "col": c.say, "g": g.say, "t": t},
        [f"SELECT {g.name}, {o}({c.name}) {tail}" for o in others(f)],
    )


@shape("aggregation", 2)
def having_count(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.groups:
        return None
    g, n = r.choice(t.groups), r.choice((1, 1, 2))
    head = f"SELECT {g.name} FROM {t.name} GROUP BY {g.name}"
    return Shape(f"{head} HAVING COUNT(*) > {n}", {"g": g.say, "t": t, "n": n}, [head, f"{head} HAVING COUNT(*) = {n}"])


@shape("aggregation", 2)
def having_aggregate(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not (t.groups and t.sums):
        return None
    g, c, f = r.choice(t.groups), r.choice(t.sums), r.choice(("AVG", "SUM"))
    value = r.choice(c.values)
    head = f"SELECT {g.name} FROM {t.name} GROUP BY {g.name}"
    return Shape(
        f"{head} HAVING {f}({c.name}) > {literal(value)}",
        {"g": g.say, "t": t, "f": f, "col": c.say, "v": shown(value)},
        [head, f"{head} HAVING {f}({c.name}) < {literal(value)}"],
    )


@shape("aggregation", 2)
def count_distinct(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.groups:
        return None
    c = r.choice(t.groups)
    return Shape(
        f"SELECT COUNT(DISTINCT {c.name}) FROM {t.name}",
        {"col": c.say, "t": t},
        [f"SELECT COUNT({c.name}) FROM {t.name}", f"SELECT DISTINCT {c.name} FROM {t.name}"],
    )


@shape("aggregation", 2)
def extremes(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.numbers:
        return None
    c = r.choice(t.numbers)
    return Shape(
        f"SELECT MIN({c.name}), MAX({c.name}) FROM {t.name}",
        {"col": c.say, "t": t},
        [f"SELECT MIN({c.name}), AVG({c.name}) FROM {t.name}", f"SELECT MAX({c.name}) FROM {t.name}"],
    )


@shape("aggregation", 2)
def top_group(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.groups:
        return None
    g = r.choice(t.groups)
    head = f"SELECT {g.name} FROM {t.name} GROUP BY {g.name} ORDER BY COUNT(*)"
    return Shape(
        f"{head} DESC LIMIT 1",
        {"g": g.say, "t": t},
        [f"{head} LIMIT 1", f"{head} DESC"],
        [f"{head} DESC, {g.name} LIMIT 1", f"{head} DESC, {g.name} DESC LIMIT 1"],
    )
