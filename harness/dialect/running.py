"""The whole road of a reading statement, run included: what scoring, suites and the published tables all go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import duckdb

from harness.dialect.catalog import Catalog
from harness.dialect.translate import Bind, Translation, translate, translate_after_error

T = TypeVar("T")


class NoRoadError(Exception):
    """No reading of a statement binds in DuckDB; `translation.error` says why. A value of the caller's, not a fault."""

    def __init__(self, translation: Translation) -> None:
        super().__init__(translation.error)
        self.translation = translation


def run_translated(
    sql: str, dialects: tuple[str, ...], catalog: Catalog, bind: Bind, run: Callable[[str], T]
) -> tuple[T, Translation]:
    """What `run` gives for the statement in DuckDB's words, and the road there.

    A statement that binds and then fails on a value is repaired as its dialect allows and run again. `NoRoadError`
    where nothing binds; what `run` raises where nothing helps.
    """
    found = translate(sql, dialects, bind, catalog)
    while True:
        if found.sql is None:
            raise NoRoadError(found)
        try:
            return run(found.sql), found
        except Exception as error:
            other = translate_after_error(found, str(error), dialects, bind, catalog)
            if other is None or other.sql == found.sql:
                raise
            found = other


def binder(connection: Any) -> Bind:
    """A `Bind` that asks an open DuckDB connection by EXPLAIN: for statements that nobody has to be protected from."""

    def bind(sql: str) -> str | None:
        try:
            connection.execute(f"EXPLAIN {sql}")
        except duckdb.Error as error:
            return str(error)
        return None

    return bind
