"""Shapes over two and three tables: joins, subqueries, common table expressions and sets over keys."""

from __future__ import annotations

from random import Random

from conditions import condition
from schema import Column, Schema, Table, literal, shown
from shapes import Shape, listed, others, pick_aggregate, shape, some


def link(r: Random, s: Schema) -> tuple[Table, Column, Table] | None:
    """A child, its foreign key and the parent."""
    return r.choice(s.links) if s.links else None


def joined(child: Table, key: Column, parent: Table) -> str:
    """`child JOIN parent ON child.parent_id = parent.id`."""
    return f"{child.name} JOIN {on(child, key, parent)}"


def on(child: Table, key: Column, parent: Table) -> str:
    """`parent ON child.parent_id = parent.id`."""
    return f"{parent.name} ON {child.name}.{key.name} = {parent.name}.{parent.columns[0].name}"


def label(table: Table) -> str:
    """The qualified label column."""
    return f"{table.name}.{table.label.name}"


@shape("single join", 5)
def join_where(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    columns, names = some(r, c, c.name + ".")
    w = condition(r, p, p.name + ".")
    head = f"SELECT {names} FROM {joined(c, k, p)}"
    return Shape(
        f"{head} WHERE {w.sql}",
        {"cols": listed(columns), "t": c, "p": p, "cond": w},
        [head, *(f"{head} WHERE {n}" for n in w.near)],
    )


@shape("single join", 4)
def join_pairs(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    col = r.choice(c.plain)
    head = f"SELECT {c.name}.{col.name}, {label(p)} FROM"
    return Shape(
        f"{head} {joined(c, k, p)}",
        {"col": col.say, "t": c, "p": p, "label": p.label.say},
        [f"{head} {c.name}, {p.name}"],
    )


@shape("single join", 3)
def join_count(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    w = condition(r, p, p.name + ".")
    head = f"SELECT COUNT(*) FROM {joined(c, k, p)}"
    return Shape(
        f"{head} WHERE {w.sql}",
        {"t": c, "p": p, "cond": w},
        [f"SELECT COUNT(*) FROM {p.name} WHERE {w.sql}", head, *(f"{head} WHERE {n}" for n in w.near)],
    )


@shape("single join", 4)
def join_group(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    picked = pick_aggregate(r, c)
    if picked is None:
        return None
    f, col = picked
    tail = f"FROM {joined(c, k, p)} GROUP BY {label(p)}"
    return Shape(
        f"SELECT {label(p)}, {f}({c.name}.{col.name}) {tail}",
        {"f": f, "col": col.say, "t": c, "p": p, "label": p.label.say},
        [f"SELECT {label(p)}, {o}({c.name}.{col.name}) {tail}" for o in others(f)],
    )


@shape("single join", 3)
def join_group_count(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    tail = f"GROUP BY {label(p)}"
    return Shape(
        f"SELECT {label(p)}, COUNT(*) FROM {joined(c, k, p)} {tail}",
        {"t": c, "p": p, "label": p.label.say},
        [f"SELECT {label(p)}, COUNT(*) FROM {p.name} {tail}"],
    )


@shape("single join", 3)
def join_parent(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    w = condition(r, c, c.name + ".")
    head = f"SELECT DISTINCT {label(p)} FROM {joined(c, k, p)}"
    return Shape(
        f"{head} WHERE {w.sql}",
        {"t": c, "p": p, "label": p.label.say, "cond": w},
        [head, *(f"{head} WHERE {n}" for n in w.near)],
    )


@shape("single join", 2)
def left_count(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    head, tail = f"SELECT {label(p)}, COUNT({c.name}.id) FROM {p.name}", f"GROUP BY {label(p)}"
    match = f"{c.name} ON {c.name}.{k.name} = {p.name}.id"
    return Shape(
        f"{head} LEFT JOIN {match} {tail}",
        {"t": c, "p": p, "label": p.label.say},
        [f"{head} JOIN {match} {tail}", f"SELECT {label(p)}, COUNT(*) FROM {p.name} LEFT JOIN {match} {tail}"],
    )


@shape("multiple_joins", 4)
def chain_where(r: Random, s: Schema) -> Shape | None:
    if not s.chains:
        return None
    g, k, c, k2, p = r.choice(s.chains)
    columns, names = some(r, g, g.name + ".")
    w = condition(r, p, p.name + ".")
    head = f"SELECT {names} FROM {joined(g, k, c)} JOIN {on(c, k2, p)}"
    return Shape(
        f"{head} WHERE {w.sql}",
        {"cols": listed(columns), "t": g, "c": c, "p": p, "cond": w},
        [head, *(f"{head} WHERE {n}" for n in w.near)],
    )


@shape("multiple_joins", 4)
def chain_group(r: Random, s: Schema) -> Shape | None:
    if not s.chains:
        return None
    g, k, c, k2, p = r.choice(s.chains)
    picked = pick_aggregate(r, g)
    if picked is None:
        return None
    f, col = picked
    tail = f"FROM {joined(g, k, c)} JOIN {on(c, k2, p)} GROUP BY"
    return Shape(
        f"SELECT {label(p)}, {f}({g.name}.{col.name}) {tail} {label(p)}",
        {"f": f, "col": col.say, "t": g, "c": c, "p": p, "label": p.label.say},
        [f"SELECT {label(p)}, {o}({g.name}.{col.name}) {tail} {label(p)}" for o in others(f)]
        + [f"SELECT {label(c)}, {f}({g.name}.{col.name}) {tail} {label(c)}"],
    )


@shape("multiple_joins", 3)
def chain_pairs(r: Random, s: Schema) -> Shape | None:
    if not s.chains:
        return None
    g, k, c, k2, p = r.choice(s.chains)
    col = r.choice(g.plain)
    w = condition(r, c, c.name + ".")
    head = f"SELECT {g.name}.{col.name}, {label(p)} FROM {joined(g, k, c)} JOIN {on(c, k2, p)}"
    return Shape(
        f"{head} WHERE {w.sql}",
        {"col": col.say, "t": g, "c": c, "p": p, "label": p.label.say, "cond": w},
        [head, *(f"{head} WHERE {n}" for n in w.near)],
    )


@shape("subqueries", 4)
def versus_average(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.sums:
        return None
    c, above = r.choice(t.sums), r.random() < 0.6
    columns, names = some(r, t)
    head, op = f"SELECT {names} FROM {t.name}", ">" if above else "<"
    return Shape(
        f"{head} WHERE {c.name} {op} (SELECT AVG({c.name}) FROM {t.name})",
        {"cols": listed(columns), "t": t, "col": c.say, "above": above},
        [head, f"{head} WHERE {c.name} {'<' if above else '>'} (SELECT AVG({c.name}) FROM {t.name})"],
    )


@shape("subqueries", 3)
def is_extreme(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    if not t.numbers:
        return None
    c, high = r.choice(t.numbers), r.random() < 0.6
    columns, names = some(r, t)
    f, wrong = ("MAX", "MIN") if high else ("MIN", "MAX")
    head = f"SELECT {names} FROM {t.name}"
    return Shape(
        f"{head} WHERE {c.name} = (SELECT {f}({c.name}) FROM {t.name})",
        {"cols": listed(columns), "t": t, "col": c.say, "high": high},
        [head, f"{head} WHERE {c.name} = (SELECT {wrong}({c.name}) FROM {t.name})"],
    )


@shape("subqueries", 4)
def with_child(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    w = condition(r, c)
    columns, names = some(r, p)
    head, inner = f"SELECT {names} FROM {p.name}", f"SELECT {k.name} FROM {c.name}"
    return Shape(
        f"{head} WHERE id IN ({inner} WHERE {w.sql})",
        {"cols": listed(columns), "t": c, "p": p, "cond": w},
        [head, f"{head} WHERE id NOT IN ({inner} WHERE {w.sql})", f"{head} WHERE id IN ({inner})"],
    )


@shape("subqueries", 3)
def without_child(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    columns, names = some(r, p)
    head, inner = f"SELECT {names} FROM {p.name}", f"SELECT {k.name} FROM {c.name}"
    return Shape(
        f"{head} WHERE id NOT IN ({inner})",
        {"cols": listed(columns), "t": c, "p": p},
        [head, f"{head} WHERE id IN ({inner})"],
    )


@shape("subqueries", 2)
def many_children(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    n = r.choice((1, 1, 2))
    columns, names = some(r, p)
    head, inner = f"SELECT {names} FROM {p.name}", f"SELECT {k.name} FROM {c.name}"
    return Shape(
        f"{head} WHERE id IN ({inner} GROUP BY {k.name} HAVING COUNT(*) > {n})",
        {"cols": listed(columns), "t": c, "p": p, "n": n},
        [
            head,
            f"{head} WHERE id IN ({inner})",
            f"{head} WHERE id IN ({inner} GROUP BY {k.name} HAVING COUNT(*) = {n})",
        ],
    )


@shape("set operations", 3)
def keys_except(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    return Shape(
        f"SELECT id FROM {p.name} EXCEPT SELECT {k.name} FROM {c.name}",
        {"t": c, "p": p},
        [f"SELECT id FROM {p.name}", f"SELECT id FROM {p.name} INTERSECT SELECT {k.name} FROM {c.name}"],
    )


@shape("set operations", 3)
def keys_intersect(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    a, b = condition(r, c), condition(r, c)
    if a.sql == b.sql:
        return None
    head = f"SELECT {k.name} FROM {c.name} WHERE"
    both = r.random() < 0.6
    word, wrong = ("INTERSECT", "EXCEPT") if both else ("EXCEPT", "INTERSECT")
    return Shape(
        f"{head} {a.sql} {word} {head} {b.sql}",
        {"t": c, "p": p, "cond": a, "cond2": b, "both": both},
        [f"{head} {a.sql} {wrong} {head} {b.sql}", f"{head} {a.sql}", f"{head} {a.sql} UNION {head} {b.sql}"],
    )


@shape("set operations", 3)
def labels_union(r: Random, s: Schema) -> Shape | None:
    if len(s.tables) < 2:
        return None
    a, b = r.sample(s.tables, 2)
    every = r.random() < 0.4
    x, y = f"SELECT {a.label.name} FROM {a.name}", f"SELECT {b.label.name} FROM {b.name}"
    return Shape(
        f"{x} UNION {'ALL ' if every else ''}{y}",
        {"a": a, "b": b, "col": a.label.say, "col2": b.label.say, "every": every},
        [f"{x} UNION {'' if every else 'ALL '}{y}", x, y],
    )


@shape("CTEs", 4)
def cte_totals(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    if not c.sums:
        return None
    col, f = r.choice(c.sums), r.choice(("SUM", "AVG", "SUM"))
    name = {"SUM": "totals", "AVG": "averages"}[f]
    cte = "WITH {n} AS (SELECT {k}, {f}({c}) AS result FROM {t} GROUP BY {k})"
    tail = f"SELECT {label(p)}, {name}.result FROM {name} JOIN {p.name} ON {name}.{k.name} = {p.name}.id"
    fill = {"n": name, "k": k.name, "c": col.name, "t": c.name}
    return Shape(
        f"{cte.format(f=f, **fill)} {tail}",
        {"f": f, "col": col.say, "t": c, "p": p, "label": p.label.say},
        [f"{cte.format(f=o, **fill)} {tail}" for o in ("MAX", "MIN", "AVG" if f == "SUM" else "SUM")],
    )


@shape("CTEs", 3)
def cte_filter(r: Random, s: Schema) -> Shape | None:
    t = r.choice(s.tables)
    picked = pick_aggregate(r, t)
    if picked is None:
        return None
    f, col = picked
    w = condition(r, t, avoid=col)
    if w is None:
        return None
    head = f"WITH chosen AS (SELECT * FROM {t.name}"
    return Shape(
        f"{head} WHERE {w.sql}) SELECT {f}({col.name}) FROM chosen",
        {"f": f, "col": col.say, "t": t, "cond": w},
        [
            f"{head}) SELECT {f}({col.name}) FROM chosen",
            *(f"{head} WHERE {n}) SELECT {f}({col.name}) FROM chosen" for n in w.near),
        ],
    )


@shape("CTEs", 3)
def cte_counts(r: Random, s: Schema) -> Shape | None:
    c, k, p = link(r, s)
    n = r.choice((1, 1, 2))
    cte = f"WITH counts AS (SELECT {k.name}, COUNT(*) AS result FROM {c.name} GROUP BY {k.name})"
    tail = f"SELECT {label(p)} FROM counts JOIN {p.name} ON counts.{k.name} = {p.name}.id"
    return Shape(
        f"{cte} {tail} WHERE counts.result > {shown(n)}",
        {"t": c, "p": p, "label": p.label.say, "n": n},
        [f"{cte} {tail}", f"{cte} {tail} WHERE counts.result = {literal(n)}"],
    )
