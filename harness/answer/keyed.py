"""The statement that shows what the gold could have answered as well: every candidate row, numbered by tie group.

    SELECT *, dense_rank() OVER (ORDER BY k) AS group FROM (gold without ORDER BY and LIMIT, sort terms appended)
    QUALIFY rank() OVER (ORDER BY k) <= offset + limit ORDER BY group

DuckDB numbers the groups itself, so its collations, NULLs and DESC hold; `rank` keeps every row tied with the last
one wanted and nothing beyond. The caller runs it only where ties can matter, and `compare` uses it only where the
gold's own rows fit in.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from harness.sqltext import write_duckdb

PREFIX = "__harness_key_"
GROUP = "__harness_tie_group"


def outermost(tree: exp.Expr) -> exp.Expr | None:
    """The query whose ORDER BY decides, brackets round the whole looked through; None for what is no query."""
    while isinstance(tree, exp.Subquery) and not any(tree.args.get(part) for part in ("order", "limit", "offset")):
        tree = tree.this
    return tree if isinstance(tree, (exp.Query, exp.Values)) else None


def terms_of(query: exp.Expr) -> list[exp.Ordered]:
    """The sort terms of this query's own ORDER BY."""
    order = query.args.get("order")
    if order is None:
        return []
    return [term if isinstance(term, exp.Ordered) else exp.Ordered(this=term) for term in order.expressions]


def keyed_sql(query: exp.Expr, positions: Sequence[int | None], wanted: int | None, explicit_nulls: bool) -> str | None:
    """The keyed statement of a parsed gold; None where its sort terms cannot be shown beside its rows.

    `positions`: output column of each sort term or None. `wanted`: offset + limit, None = all. `explicit_nulls`:
    NULLS FIRST/LAST is written in the gold; otherwise the connection's default order of NULLs is left to apply. The
    tree is used up.
    """
    terms = terms_of(query)
    inner = _with_terms(query, terms, positions)
    if inner is None:
        return None
    body = write_duckdb(inner, copy=False)
    if not terms:
        return f"SELECT *, 1 AS {GROUP} FROM (\n{body}\n) AS gold"
    order = ", ".join(
        _reference(i, position) + _direction(term, explicit_nulls)
        for i, (term, position) in enumerate(zip(terms, positions, strict=True))
    )
    qualify = f" QUALIFY rank() OVER (ORDER BY {order}) <= {wanted}" if wanted is not None else ""
    return (
        f"SELECT *, dense_rank() OVER (ORDER BY {order}) AS {GROUP} FROM (\n{body}\n) AS gold{qualify} ORDER BY {GROUP}"
    )


def _reference(index: int, position: int | None) -> str:
    return f"{PREFIX}{index}" if position is None else f"#{position + 1}"


def _direction(term: exp.Ordered, explicit_nulls: bool) -> str:
    direction = " DESC" if term.args.get("desc") else " ASC"
    if explicit_nulls:
        direction += " NULLS FIRST" if term.args.get("nulls_first") else " NULLS LAST"
    return direction


def _with_terms(bare: exp.Expr, terms: Sequence[exp.Ordered], positions: Sequence[int | None]) -> exp.Expr | None:
    """The query without LIMIT, and the sort terms that are no output columns appended to its select list."""
    bare.set("limit", None)
    bare.set("offset", None)
    distinct = bare.args.get("distinct") if isinstance(bare, exp.Select) else None
    if not (distinct and distinct.args.get("on")):  # DISTINCT ON picks its rows by this very ORDER BY
        bare.set("order", None)
    extra = [
        exp.alias_(term.this.copy(), f"{PREFIX}{i}")
        for i, (term, position) in enumerate(zip(terms, positions, strict=True))
        if position is None
    ]
    if not extra:
        return bare
    if not isinstance(bare, exp.Select):
        return exp.select("*", *extra).from_(exp.Subquery(this=_unwrapped(bare), alias=exp.to_identifier("gold")))
    if distinct and not distinct.args.get("on"):
        if any(item.is_star for item in bare.expressions):
            return None
        chosen = exp.Tuple(expressions=[item.unalias().copy() for item in bare.expressions])
        bare.set("distinct", exp.Distinct(on=chosen))
    bare.set("expressions", [*bare.expressions, *extra])
    return bare


def _unwrapped(tree: exp.Expr) -> exp.Expr:
    return tree.this if isinstance(tree, exp.Subquery) and not tree.args.get("alias") else tree
