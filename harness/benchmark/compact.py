"""A schema in few tokens: one line a table, each column with its type, its keys and a few of its values.

`singer(singer_id integer primary key [1, 2], name text ['Joe Sharp', 'Timbaland'], ...)`: a model reads a value right
beside the column that holds it, at about half the tokens of CREATE TABLE text with sample rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

from harness.dialect import duckdb_tables, file_kind, open_duckdb, open_sqlite, quote, sqlite_tables

_LONGEST = 24
"""Characters of a value that are shown."""
_KEYS = (
    "SELECT constraint_type, constraint_column_names, referenced_table, referenced_column_names "
    "FROM duckdb_constraints() WHERE schema_name = ? AND table_name = ? "
    "AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')"
)


@dataclass(slots=True)
class _Column:
    name: str
    type: str
    key: bool = False
    references: str = ""
    values: list[Any] = field(default_factory=list)


def compact_file(path: str, values: int) -> str:
    """The tables of a database file, SQLite or DuckDB, as `compact_sqlite` writes them."""
    return compact_duckdb(path, values) if file_kind(path) == "duckdb" else compact_sqlite(path, values)


@lru_cache(maxsize=1024)
def compact_sqlite(path: str, values: int) -> str:
    """The tables of an SQLite file, with up to `values` distinct values a column, in order of first appearance."""
    with closing(open_sqlite(path)) as source:
        return _text([(name, _columns_of(source, name, values)) for name, _ in sqlite_tables(source)], values)


def _columns_of(source: sqlite3.Connection, table: str, values: int) -> list[_Column]:
    quoted = quote(table)
    columns = [
        _Column(name, kind.lower(), bool(key))
        for _, name, kind, _, _, key in source.execute(f"PRAGMA table_info({quoted})")
    ]
    for row in source.execute(f"PRAGMA foreign_key_list({quoted})"):
        for column in columns:
            if column.name.lower() == row[3].lower():
                column.references = f"{row[2]}({row[4]})" if row[4] else str(row[2])
    if values:
        # a long table shows the values of its beginning: enough to tell what a column holds
        for row in source.execute(f"SELECT * FROM {quoted} LIMIT 50"):
            _collect(columns, row, values)
    return columns


@lru_cache(maxsize=1024)
def compact_duckdb(path: str, values: int) -> str:
    """The tables of a DuckDB file, with up to `values` distinct values a column, in order of first appearance."""
    with closing(open_duckdb(path)) as source:
        tables = []
        for table in duckdb_tables(source):
            columns = {name: _Column(name, kind.lower()) for name, kind in table.columns}
            for kind, names, parent, parent_names in source.execute(_KEYS, [table.schema, table.name]).fetchall():
                for name, there in zip(names, parent_names or [""] * len(names), strict=True):
                    if kind == "PRIMARY KEY":
                        columns[name].key = True
                    else:
                        columns[name].references = f"{parent}({there})"
            if values:
                for row in source.execute(f"SELECT * FROM {table.in_file} LIMIT 50").fetchall():
                    _collect(list(columns.values()), row, values)
            tables.append((table.name if table.schema == "main" else table.qualified, list(columns.values())))
        return _text(tables, values)


def compact_script(script: str, values: int) -> str:
    """The tables of a CREATE / INSERT script; text that sqlglot cannot read is shown as it stands."""
    try:
        statements = sqlglot.parse(script, read="mysql")
    except sqlglot.errors.SqlglotError:
        return script
    tables: dict[str, tuple[str, list[_Column]]] = {}
    for statement in statements:
        if isinstance(statement, exp.Create) and isinstance(statement.this, exp.Schema):
            name = statement.this.this.name
            tables[name.lower()] = (name, [_defined(part) for part in statement.this.find_all(exp.ColumnDef)])
        elif isinstance(statement, exp.Insert) and values:
            _insert(statement, tables, values)
    return _text(tables.values(), values) if tables else script


def _defined(part: exp.ColumnDef) -> _Column:
    kind = part.args.get("kind")
    column = _Column(part.name, kind.sql("mysql").lower() if kind else "")
    for constraint in part.find_all(exp.PrimaryKeyColumnConstraint, exp.Reference):
        if isinstance(constraint, exp.Reference):
            column.references = constraint.this.sql("mysql")
        else:
            column.key = True
    return column


def _insert(statement: exp.Insert, tables: dict[str, tuple[str, list[_Column]]], values: int) -> None:
    target = statement.this
    listed = [part.name.lower() for part in target.expressions] if isinstance(target, exp.Schema) else []
    table = target.this if isinstance(target, exp.Schema) else target
    columns = tables.get(table.name.lower(), ("", []))[1]
    if listed:
        by_name = {column.name.lower(): column for column in columns}
        columns = [by_name[name] for name in listed if name in by_name]
    rows = statement.expression
    if not isinstance(rows, exp.Values):
        return
    for row in rows.expressions:
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        if len(cells) == len(columns):
            _collect(columns, [_literal(cell) for cell in cells], values)


def _literal(cell: exp.Expression) -> Any:
    if isinstance(cell, exp.Literal):
        return cell.this if cell.is_string else _Verbatim(cell.this)
    return None if isinstance(cell, exp.Null) else _Verbatim(cell.sql("mysql"))


class _Verbatim(str):
    """A number or expression that is shown without quotes."""

    __slots__ = ()


def _collect(columns: Sequence[_Column], row: Sequence[Any], values: int) -> None:
    for column, value in zip(columns, row, strict=True):
        if value is not None and len(column.values) < values and value not in column.values:
            column.values.append(value)


def _text(tables: Iterable[tuple[str, list[_Column]]], values: int) -> str:
    return "\n".join(f"{name}({', '.join(_shown(column, values) for column in columns)})" for name, columns in tables)


def _shown(column: _Column, values: int) -> str:
    text = " ".join(part for part in (column.name, column.type) if part)
    text += " primary key" if column.key else ""
    text += f" references {column.references}" if column.references else ""
    shown = ", ".join(_value(value) for value in column.values[:values])
    return f"{text} [{shown}]" if shown else text


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return "blob"
    plain = isinstance(value, (int, float, _Verbatim))
    text = " ".join(str(value).split())
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return text if plain else "'" + text.replace("'", "''") + "'"
