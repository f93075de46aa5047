"""A statement as a canonical tree: equal trees mean equal answers in every database where the statements run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from harness.sqltext.limits import parseable


@dataclass(frozen=True, slots=True)
class Canonical:
    """The canonical form of one statement."""

    dialect: str
    """The dialect it was read in."""
    tree: str
    masked: str
    """The tree with every literal masked."""


def canonical(
    sql: str, dialects: tuple[str, ...], catalog: Mapping[str, Mapping[str, str]] | None = None
) -> Canonical | None:
    """The canonical form in the first dialect that can read `sql`; None where none can."""
    if not parseable(sql):
        return None
    for dialect in dialects or ("duckdb",):
        try:
            tree = sqlglot.parse_one(sql, read=dialect)
        except (sqlglot.errors.SqlglotError, RecursionError, ValueError):
            continue
        text = tree.sql(dialect="duckdb", normalize=True, comments=False)
        masked = tree.transform(lambda node: exp.Placeholder() if isinstance(node, exp.Literal) else node)
        return Canonical(dialect, text, masked.sql(dialect="duckdb", normalize=True, comments=False))
    return None
