"""Trivial queries: what an item's databases must at least tell from the gold for its verdict to mean anything.

Golds of other items on the schema are such queries too: `distill.with_others` compares them.
"""

from __future__ import annotations

from sqlglot import exp

from harness.suite.schema import Schema

_WORK = ("where", "group", "having", "joins", "distinct", "limit", "qualify")


def trivial_queries(tree: exp.Expr, schema: Schema) -> list[str]:
    """SELECT * of each table (unless that is what the gold is), and the empty result.

    A constant needs no statement here: the gold tells itself from every constant by answering differently twice.
    """
    queries = [] if _is_plain(tree) else [f"SELECT * FROM {t.qualified}" for t in schema.tables]
    nothing = tree.copy()
    if isinstance(nothing, exp.Query):
        queries.append(f"SELECT * FROM ({nothing.sql('duckdb')}) AS gold WHERE FALSE")
    return queries


def _is_plain(tree: exp.Expr) -> bool:
    if not isinstance(tree, exp.Select) or any(tree.args.get(part) for part in _WORK):
        return False
    return tree.find(exp.AggFunc, exp.Window, exp.Subquery) is None
