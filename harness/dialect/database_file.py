"""A database file of either kind, told by its first bytes and never by its name: SQLite or DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import duckdb

from harness.dialect.catalog import Catalog
from harness.dialect.duckdb_file import duckdb_schema_text, materialise_duckdb
from harness.dialect.sqlite_file import materialise_sqlite, sqlite_schema_text

FileKind = Literal["duckdb", "sqlite"]
_DUCKDB_AT, _DUCKDB, _SQLITE = 8, b"DUCK", b"SQLite format 3\0"


def file_kind(path: str | Path) -> FileKind | None:
    """What a file is; None where it is neither or cannot be read. An empty file is an SQLite one without tables."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:
        return None
    if head[_DUCKDB_AT : _DUCKDB_AT + 4] == _DUCKDB:
        return "duckdb"
    return "sqlite" if head in (b"", _SQLITE) else None


def materialise_file(path: str | Path, connection: duckdb.DuckDBPyConnection) -> Catalog:
    """Copies every table of a database file into the connection; a DataError where it is unreadable."""
    if file_kind(path) == "duckdb":
        return materialise_duckdb(path, connection)
    return materialise_sqlite(path, connection)


def file_schema_text(path: str | Path, sample_rows: int = 0) -> str:
    """The CREATE TABLE statements of a database file, with sample rows where asked for."""
    if file_kind(path) == "duckdb":
        return duckdb_schema_text(path, sample_rows)
    return sqlite_schema_text(path, sample_rows)
