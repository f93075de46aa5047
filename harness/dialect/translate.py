"""A statement of a benchmark's dialect on its way into DuckDB: as written, as sqlglot reads it, then repaired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlglot

from harness.dialect.catalog import Catalog
from harness.records import Road
from harness.sqltext import parseable

Bind = Callable[[str], str | None]
"""DuckDB's error message for a statement, None where it binds."""


@dataclass(frozen=True, slots=True)
class Translation:
    """Where a statement got to."""

    sql: str | None
    """What DuckDB is to run; None where nothing binds."""
    road: Road
    error: str
    """DuckDB's words about the statement as written where nothing binds."""


def translate(sql: str, dialects: tuple[str, ...], bind: Bind, catalog: Catalog) -> Translation:
    """The first candidate that binds: the text itself, then each dialect's reading, then its repairs."""
    error = bind(sql)
    if error is None:
        return Translation(sql, Road(), "")
    if not parseable(sql):
        return Translation(None, Road(), error)
    for dialect in dialects:
        try:
            candidate = sqlglot.transpile(sql, read=dialect, write="duckdb")[0]
        except (sqlglot.errors.SqlglotError, RecursionError, ValueError, IndexError):
            continue
        if bind(candidate) is None:
            return Translation(candidate, Road(dialect), "")
    return Translation(None, Road(), error)


def translate_after_error(
    sql: str, translation: Translation, error: str, dialects: tuple[str, ...], bind: Bind, catalog: Catalog
) -> Translation | None:
    """Another candidate after `translation.sql` failed while running (a conversion error); None where there is none."""
    return None
