"""Trivial queries: what an item's databases must at least tell from the gold for its verdict to mean anything."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from harness.suite.schema import Schema

_WORK = ("where", "group", "having", "joins", "distinct", "limit", "qualify")


def trivial_queries(tree: exp.Expr, schema: Schema, others: Sequence[str] = ()) -> list[str]:
    """SELECT * of each table (unless that is what the gold is), the empty result, and golds of other items.

    A constant needs no statement here: the gold tells itself from every constant by answering differently twice.
    """
    queries = [] if _is_plain(tree) else [f"SELECT * FROM {t.qualified}" for t in schema.tables]
    nothing = tree.copy()
    if isinstance(nothing, exp.Query):
        queries.append(f"SELECT * FROM ({nothing.sql('duckdb')}) AS gold WHERE FALSE")
    own = tree.sql("duckdb").lower()
    return queries + [sql for sql in dict.fromkeys(others) if sql.strip().rstrip(";").lower() != own]


def _is_plain(tree: exp.Expr) -> bool:
    if not isinstance(tree, exp.Select) or any(tree.args.get(part) for part in _WORK):
        return False
    return tree.find(exp.AggFunc, exp.Window, exp.Subquery) is None
