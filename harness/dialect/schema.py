"""A benchmark's CREATE TABLE / INSERT script into DuckDB, statement by statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlglot

from harness.records import Road
from harness.sqltext import parseable, split_statements

Run = Callable[[str], str | None]
"""Runs a statement; DuckDB's error message, None where it ran."""


@dataclass(frozen=True, slots=True)
class SchemaLoad:
    """What became of a script."""

    statements: tuple[str, ...]
    """What ran in DuckDB, in order: running these again loads the same tables without translating."""
    roads: tuple[Road, ...]
    """One road for each statement that ran."""
    errors: tuple[str, ...]
    """DuckDB's words, one for each statement that could not be loaded; empty: the script is loaded."""


def translate_schema(script: str, dialects: tuple[str, ...], run: Run) -> SchemaLoad:
    """Runs the script's statements through `run`, each by the first road that works."""
    done: list[str] = []
    roads: list[Road] = []
    errors: list[str] = []
    for statement in split_statements(script):
        error = run(statement)
        if error is None:
            done.append(statement)
            roads.append(Road())
            continue
        for dialect in dialects if parseable(statement) else ():
            try:
                candidate = sqlglot.transpile(statement, read=dialect, write="duckdb")[0]
            except (sqlglot.errors.SqlglotError, RecursionError, ValueError, IndexError):
                continue
            if run(candidate) is None:
                done.append(candidate)
                roads.append(Road(dialect))
                break
        else:
            errors.append(error)
    return SchemaLoad(tuple(done), tuple(roads), tuple(errors))
