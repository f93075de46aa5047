"""A DuckDB database file: its tables into another DuckDB, its schema into a prompt; opened for reading only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from harness.dialect.catalog import Catalog, ForeignKey, quote
from harness.dialect.sampled import sample_comment
from harness.errors import DataError

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "temp_directory": "",
    "threads": 1,
    "memory_limit": "512MiB",
}
_BY_TEXT = re.compile(r"HUGEINT|BIGNUM|VARINT|\bBIT\b|\bTIME WITH TIME ZONE|\bTIME_NS|GEOMETRY|VARIANT")
"""Types whose values Arrow does not carry whole: they travel as text."""
_BATCH = "harness_batch"


@dataclass(frozen=True, slots=True)
class FileTable:
    """One base table of a file."""

    schema: str
    name: str
    sql: str
    """The CREATE TABLE statement, as DuckDB writes it."""
    columns: tuple[tuple[str, str], ...]
    """(name, type), in order."""
    file: str = ""
    """What the open file is called as a catalog."""

    @property
    def qualified(self) -> str:
        """The name as SQL writes it: with its schema where that is not `main`."""
        return quote(self.name) if self.schema == "main" else f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def in_file(self) -> str:
        """The name within the open file, whole: a schema may be called like the file."""
        return f"{quote(self.file)}.{quote(self.schema)}.{quote(self.name)}"


def open_duckdb(path: str | Path) -> duckdb.DuckDBPyConnection:
    """The file, for reading only and without access to anything else; a DataError where it cannot be opened."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"There is no DuckDB database at {file}: check the path.")
    try:
        connection = duckdb.connect(str(file), read_only=True, config=_CONFIG)
        connection.execute("SET enable_progress_bar = false")
        # a file written by a newer DuckDB may open and fail at its catalog only
        connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone()
    except duckdb.Error as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        remedy = "close the program that has it open" if "lock" in reason.lower() else "write it with this DuckDB"
        if isinstance(error, duckdb.OutOfMemoryException):
            remedy = "it does not fit into memory; scoring takes what score.memory_bytes allows"
        raise DataError(f"{file} is not a readable DuckDB database ({reason}): {remedy}.") from None
    return connection


def duckdb_tables(source: duckdb.DuckDBPyConnection) -> list[FileTable]:
    """The base tables of an open file, in the order they were made."""
    (file,) = source.execute("SELECT current_database()").fetchone() or ("",)
    columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, name, kind in source.execute(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY table_oid, column_index"
    ).fetchall():
        columns.setdefault((schema, table), []).append((name, kind))
    return [
        FileTable(schema, name, sql or "", tuple(columns.get((schema, name), ())), file)
        for schema, name, sql in source.execute(
            "SELECT schema_name, table_name, sql FROM duckdb_tables() WHERE NOT internal ORDER BY table_oid"
        ).fetchall()
    ]


def materialise_duckdb(path: str | Path, connection: duckdb.DuckDBPyConnection) -> Catalog:
    """Copies the tables and views of a DuckDB file into the connection; the catalog carries keys.

    Every schema comes along, and keys and checks where this DuckDB takes them; a view that cannot be made here (it
    reads files, say) is left out.
    """
    with closing(open_duckdb(path)) as source:
        tables = duckdb_tables(source)
        for schema in sorted({table.schema for table in tables} - {"main"}):
            connection.execute(f"CREATE SCHEMA {quote(schema)}")
        _sequences(source, connection)
        for table in _made(tables, connection):
            _fill(table, source, connection)
        shown = {table.name: dict(table.columns) for table in tables}
        shown.update(_views(source, connection))
        primary, foreign = _keys(source)
        return Catalog(shown, primary, foreign)


def _sequences(source: duckdb.DuckDBPyConnection, connection: duckdb.DuckDBPyConnection) -> None:
    """Sequences that go on where the file's stand, for columns that number themselves."""
    for schema, name, start, step, last in source.execute(
        "SELECT schema_name, sequence_name, start_value, increment_by, last_value FROM duckdb_sequences()"
    ).fetchall():
        following = start if last is None else last + step
        connection.execute(
            f"CREATE SEQUENCE {quote(schema)}.{quote(name)} INCREMENT BY {step} "
            f"{'MINVALUE' if step > 0 else 'MAXVALUE'} {following} START WITH {following}"
        )


def _made(tables: list[FileTable], connection: duckdb.DuckDBPyConnection) -> Iterator[FileTable]:
    """Makes the tables, parents first, and yields each when it can be filled; keys are given up before a table is."""
    waiting = list(tables)
    while waiting:
        left = []
        for table in waiting:
            try:
                connection.execute(table.sql)
            except duckdb.Error:
                left.append(table)
                continue
            yield table
        if len(left) == len(waiting):
            for table in left:
                _make_plain(table, connection)
                yield table
            return
        waiting = left


def _make_plain(table: FileTable, connection: duckdb.DuckDBPyConnection) -> None:
    definition = ", ".join(f"{quote(name)} {kind}" for name, kind in table.columns)
    connection.execute(f"CREATE TABLE {table.qualified} ({definition})")


def _fill(table: FileTable, source: duckdb.DuckDBPyConnection, connection: duckdb.DuckDBPyConnection) -> None:
    try:
        _insert(table, source, connection)
    except duckdb.Error:
        # a generated column, or rows that break a key by this DuckDB's reading: the values count, not the rules
        connection.execute(f"DROP TABLE {table.qualified} CASCADE")
        _make_plain(table, connection)
        _insert(table, source, connection)


def _insert(table: FileTable, source: duckdb.DuckDBPyConnection, connection: duckdb.DuckDBPyConnection) -> None:
    values = ", ".join(
        f"CAST({quote(name)} AS VARCHAR) AS {quote(name)}" if _BY_TEXT.search(kind) else quote(name)
        for name, kind in table.columns
    )
    connection.register(_BATCH, source.sql(f"SELECT {values} FROM {table.in_file}").to_arrow_reader())
    try:
        connection.execute(f"INSERT INTO {table.qualified} SELECT * FROM {_BATCH}")
    finally:
        connection.unregister(_BATCH)


def _views(source: duckdb.DuckDBPyConnection, connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    made: dict[str, dict[str, str]] = {}
    for name, sql in source.execute(
        "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY view_oid"
    ).fetchall():
        try:
            connection.execute(sql)
            made[name] = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {quote(name)}").fetchall()}
        except duckdb.Error:
            continue
    return made


def _keys(source: duckdb.DuckDBPyConnection) -> tuple[dict[str, tuple[str, ...]], list[ForeignKey]]:
    primary: dict[str, tuple[str, ...]] = {}
    foreign: list[ForeignKey] = []
    for table, kind, names, parent, parent_names in source.execute(
        "SELECT table_name, constraint_type, constraint_column_names, referenced_table, referenced_column_names "
        "FROM duckdb_constraints() WHERE constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY') ORDER BY table_oid"
    ).fetchall():
        if kind == "PRIMARY KEY":
            primary[table] = tuple(names)
        else:
            foreign.append(ForeignKey(table, tuple(names), parent, tuple(parent_names)))
    return primary, foreign


def duckdb_schema_text(path: str | Path, sample_rows: int = 0) -> str:
    """The CREATE TABLE statements of the file, one a paragraph, with keys.

    With `sample_rows`, each is followed by a comment of up to that many rows, values shortened to 40 characters.
    """
    with closing(open_duckdb(path)) as source:
        parts = []
        for table in duckdb_tables(source):
            text = table.sql.strip().rstrip(";") + ";"
            parts.append(text + ("\n" + _sample(source, table, sample_rows) if sample_rows > 0 else ""))
        return "\n\n".join(parts)


def _sample(source: duckdb.DuckDBPyConnection, table: FileTable, count: int) -> str:
    rows = source.execute(f"SELECT * FROM {table.in_file} LIMIT ?", [count]).fetchall()
    return sample_comment(table.name, [name for name, _ in table.columns], rows)
