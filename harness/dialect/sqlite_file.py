"""An SQLite database file: its tables into DuckDB, its schema into a prompt. Read through Python's own sqlite3."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
from sqlglot import exp

from harness.dialect.catalog import Catalog, ForeignKey, quote
from harness.dialect.running import binder
from harness.dialect.sampled import sample_comment
from harness.dialect.translate import read, translate
from harness.errors import DataError


def open_sqlite(path: str | Path) -> sqlite3.Connection:
    """The file, for reading only; bytes that are no UTF-8 are replaced. A DataError where it is no database."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"There is no SQLite database at {file}: check the benchmark's `root`.")
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.text_factory = _lenient
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        raise DataError(f"{file} is not a readable SQLite database ({error}): fetch it again.") from error
    return connection


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


def _rows(source: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    """Every row; text is decoded by sqlite3 itself where it is UTF-8, which takes a tenth of the time."""
    sql = f"SELECT * FROM {quote(table)}"
    source.text_factory = str
    try:
        return source.execute(sql).fetchall()
    except sqlite3.OperationalError:
        source.text_factory = _lenient
        return source.execute(sql).fetchall()
    finally:
        source.text_factory = _lenient


def _columns(rows: list[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
    """The cells column by column; without rows, as many empty columns as are asked for."""
    return zip(*rows, strict=True) if rows else repeat(())


def sqlite_tables(source: sqlite3.Connection) -> list[tuple[str, str]]:
    """(name, CREATE text) of the tables, in the order they were made."""
    rows = source.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()
    return [(name, sql or "") for name, sql in rows if not name.lower().startswith("sqlite_")]


def _lossless(declared: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The narrowest DuckDB type that keeps every value, and the values in it."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return _affinity(declared), values
    if kinds == {int}:
        return "BIGINT", values
    if kinds == {float}:
        return "DOUBLE", values
    if kinds <= {int, float} and all(not isinstance(value, int) or abs(value) <= 2**53 for value in values):
        return "DOUBLE", [None if value is None else float(value) for value in values]
    if kinds == {bytes}:
        return "BLOB", values
    if kinds == {str}:
        return "VARCHAR", values
    return "VARCHAR", [value if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _affinity(declared: str) -> str:
    """DuckDB type for an empty column, by SQLite's own rules for the declared type."""
    name = declared.upper()
    if "INT" in name:
        return "BIGINT"
    if any(word in name for word in ("CHAR", "CLOB", "TEXT", "DATE", "TIME")):
        return "VARCHAR"
    if "BLOB" in name:
        return "BLOB"
    return "DOUBLE" if name else "VARCHAR"


_ARROW = {"BIGINT": pyarrow.int64(), "DOUBLE": pyarrow.float64(), "VARCHAR": pyarrow.string(), "BLOB": pyarrow.binary()}


def materialise_sqlite(path: str | Path, connection: duckdb.DuckDBPyConnection) -> Catalog:
    """Copies every table of an SQLite file into the DuckDB connection; the catalog carries keys."""
    source = open_sqlite(path)
    try:
        return _copy(source, connection)
    finally:
        source.close()


def _copy(source: sqlite3.Connection, connection: duckdb.DuckDBPyConnection) -> Catalog:
    tables: dict[str, dict[str, str]] = {}
    primary: dict[str, tuple[str, ...]] = {}
    foreign: list[ForeignKey] = []
    for name, _ in sqlite_tables(source):
        info = source.execute(f"PRAGMA table_info({quote(name)})").fetchall()
        rows = _rows(source, name)
        columns: dict[str, str] = {}
        arrays = []
        for (_, column, declared, *_rest), cells in zip(info, _columns(rows), strict=False):
            kind, values = _lossless(declared or "", cells)
            columns[column] = kind
            arrays.append(pyarrow.array(values, type=_ARROW[kind]))
        if rows:
            batch = pyarrow.Table.from_arrays(arrays, names=list(columns))
            connection.register("harness_batch", batch)
            connection.execute(f"CREATE TABLE {quote(name)} AS SELECT * FROM harness_batch")
            connection.unregister("harness_batch")
        else:
            definition = ", ".join(f"{quote(column)} {kind}" for column, kind in columns.items())
            connection.execute(f"CREATE TABLE {quote(name)} ({definition})")
        tables[name] = columns
        primary[name] = tuple(row[1] for row in sorted(info, key=lambda row: row[5]) if row[5])
        foreign.extend(_foreign_keys(source, name))
    tables.update(_copy_views(source, connection, Catalog(tables)))
    return Catalog(tables, primary, foreign)


def _copy_views(
    source: sqlite3.Connection, connection: duckdb.DuckDBPyConnection, catalog: Catalog
) -> dict[str, dict[str, str]]:
    """Makes the file's views, in SQLite's meaning; one that cannot be made is left out."""
    made: dict[str, dict[str, str]] = {}
    for name, sql in source.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view' ORDER BY rowid"):
        tree = read(sql or "", "sqlite")
        body = tree.expression if isinstance(tree, exp.Create) else None
        if not isinstance(body, exp.Query):
            continue
        found = translate(body.sql("sqlite"), ("sqlite",), binder(connection), catalog)
        if found.sql is not None:
            connection.execute(f"CREATE VIEW {quote(name)} AS {found.sql}")
            described = connection.execute(f"DESCRIBE {quote(name)}").fetchall()
            made[name] = {row[0]: row[1] for row in described}
    return made


def _foreign_keys(source: sqlite3.Connection, table: str) -> Iterable[ForeignKey]:
    keys: dict[int, list[tuple[Any, ...]]] = {}
    for row in source.execute(f"PRAGMA foreign_key_list({quote(table)})"):
        keys.setdefault(row[0], []).append(row)
    for rows in keys.values():
        rows.sort(key=lambda row: row[1])
        yield ForeignKey(table, tuple(r[3] for r in rows), rows[0][2], tuple(r[4] or "" for r in rows))


def sqlite_schema_text(path: str | Path, sample_rows: int = 0) -> str:
    """The CREATE TABLE statements of the file as written, one a paragraph, with keys.

    With `sample_rows`, each is followed by a comment of up to that many rows, values shortened to 40 characters.
    """
    source = open_sqlite(path)
    try:
        parts = []
        for name, sql in sqlite_tables(source):
            text = sql.strip().rstrip(";") + ";"
            if sample_rows > 0:
                text += "\n" + _sample(source, name, sample_rows)
            parts.append(text)
        return "\n\n".join(parts)
    finally:
        source.close()


def _sample(source: sqlite3.Connection, table: str, count: int) -> str:
    cursor = source.execute(f"SELECT * FROM {quote(table)} LIMIT ?", (count,))
    return sample_comment(table, [column[0] for column in cursor.description], cursor.fetchall(), _text)
