"""Shapes with windows, sets over rows, and statements that write."""

from __future__ import annotations

from random import Random

from conditions import condition
from schema import Schema, Table, literal, sample, shown
from shapes import DEFINE, WRITE, Shape, listed, shape, some, sort_key


@shape("window functions", 3)
def rank_all(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    key = sort_key(r, t)
    if key is None:
        return None
    down = r.random() < 0.65
    head = f"SELECT {t.label.name}, RANK() OVER (ORDER BY {key.name}"
    return Shape(
        f"{head}{' DESC' if down else ''}) FROM {t.name}",
        {"label": t.label.say, "t": t, "key": key.say, "down": down, "date": key.kind == "date"},
        [f"{head}{'' if down else ' DESC'}) FROM {t.name}"],
    )


@shape("window functions", 3)
def number_within(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    key = sort_key(r, t)
    groups = [g for g in t.groups if g is not t.label]
    if key is None or not groups:
        return None
    g, down = r.choice(groups), r.random() < 0.65
    part = f"PARTITION BY {g.name} "
    head, tail = f"SELECT {t.label.name}, ROW_NUMBER() OVER (", f") FROM {t.name}"
    way, back = (" DESC", "") if down else ("", " DESC")
    return Shape(
        f"{head}{part}ORDER BY {key.name}{way}{tail}",
        {"label": t.label.say, "g": g.say, "t": t, "key": key.say, "down": down, "date": key.kind == "date"},
        [f"{head}{part}ORDER BY {key.name}{back}{tail}", f"{head}ORDER BY {key.name}{way}{tail}"],
    )


@shape("window functions", 3)
def running_total(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    key = sort_key(r, t)
    columns = [c for c in t.sums if c is not key]
    if key is None or not columns:
        return None
    c = r.choice(columns)
    head = f"SELECT {t.label.name}, SUM({c.name}) OVER ("
    return Shape(
        f"{head}ORDER BY {key.name}) FROM {t.name}",
        {"label": t.label.say, "t": t, "col": c.say, "key": key.say},
        [f"{head}) FROM {t.name}", f"{head}ORDER BY {key.name} DESC) FROM {t.name}"],
    )


@shape("window functions", 3)
def group_average(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    groups = [g for g in t.groups if g is not t.label]
    if not (groups and t.sums):
        return None
    g, c = r.choice(groups), r.choice(t.sums)
    head, tail = f"SELECT {t.label.name}, ", f" FROM {t.name}"
    return Shape(
        f"{head}AVG({c.name}) OVER (PARTITION BY {g.name}){tail}",
        {"label": t.label.say, "g": g.say, "t": t, "col": c.say},
        [f"{head}AVG({c.name}) OVER (){tail}", f"{head}SUM({c.name}) OVER (PARTITION BY {g.name}){tail}"],
    )


@shape("set operations", 3)
def rows_union(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    a, b = condition(r, t), condition(r, t)
    if a.sql == b.sql:
        return None
    col = r.choice(t.plain)
    head = f"SELECT {col.name} FROM {t.name} WHERE"
    return Shape(
        f"{head} {a.sql} UNION {head} {b.sql}",
        {"col": col.say, "t": t, "cond": a, "cond2": b},
        [f"{head} {a.sql}", f"{head} {b.sql}", f"{head} {a.sql} UNION ALL {head} {b.sql}"],
    )


def fresh(r: Random, table: Table) -> list:
    """A new row: the next id, keys that exist, values from the columns' own pools."""
    row = []
    for column in table.columns:
        if column.kind == "id":
            row.append(max(column.values) + 1)
        elif column.kind == "key":
            row.append(r.choice(column.values))
        else:
            row.append(sample(r, column.spec, 1)[0])
    return row


@shape("basic SQL", 3, WRITE)
def insert(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    row = fresh(r, t)
    wrong = [row[0] + 1, *row[1:]]
    pairs = [(c.say, shown(v)) for c, v in zip(t.columns, row, strict=True)]
    head = f"INSERT INTO {t.name} VALUES"
    return Shape(
        f"{head} ({', '.join(map(literal, row))})",
        {"t": t, "pairs": pairs},
        [f"{head} ({', '.join(map(literal, wrong))})", f"DELETE FROM {t.name}"],
    )


@shape("basic SQL", 3, WRITE)
def update_set(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    c = r.choice(t.plain)
    w = condition(r, t, avoid=c)
    if w is None:
        return None
    value = sample(r, c.spec, 1)[0]
    head = f"UPDATE {t.name} SET {c.name} = {literal(value)}"
    return Shape(
        f"{head} WHERE {w.sql}",
        {"t": t, "col": c.say, "v": shown(value), "cond": w},
        [head, *(f"{head} WHERE {n}" for n in w.near)],
    )


@shape("basic SQL", 2, WRITE)
def update_shift(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.sums:
        return None
    c, n, up = r.choice(t.sums), r.choice((1, 2, 5, 10)), r.random() < 0.6
    w = condition(r, t, avoid=c)
    if w is None:
        return None
    op, wrong = ("+", "-") if up else ("-", "+")
    head, tail = f"UPDATE {t.name} SET {c.name} = {c.name}", f"WHERE {w.sql}"
    return Shape(
        f"{head} {op} {n} {tail}",
        {"t": t, "col": c.say, "n": n, "up": up, "cond": w},
        [f"{head} {wrong} {n} {tail}", f"{head} {op} {n}", f"UPDATE {t.name} SET {c.name} = {n} {tail}"],
    )


@shape("basic SQL", 3, WRITE)
def delete(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    w = condition(r, t)
    head = f"DELETE FROM {t.name}"
    return Shape(f"{head} WHERE {w.sql}", {"t": t, "cond": w}, [head, *(f"{head} WHERE {n}" for n in w.near)])


@shape("basic SQL", 5, DEFINE)
def create_view(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    columns, names = some(r, t)
    w = condition(r, t)
    view = f"{r.choice(('chosen', 'picked', 'some', 'special', 'listed'))}_{t.name}"
    head = f"CREATE VIEW {view} AS SELECT {names} FROM {t.name}"
    return Shape(
        f"{head} WHERE {w.sql}",
        {"cols": listed(columns), "t": t, "cond": w, "view": view},
        [head, *(f"{head} WHERE {n}" for n in w.near)],
    )
