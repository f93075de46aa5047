"""The constraints an SQLite file states, for tables that were copied into DuckDB without them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from harness.dialect import open_sqlite, quote
from harness.suite.implied import with_evidence, with_implied_keys
from harness.suite.schema import ForeignKey, Schema, Table, parents_first


def with_sqlite_keys(schema: Schema, path: str | Path) -> Schema:
    """The schema with the file's NOT NULL, PRIMARY KEY, UNIQUE and FOREIGN KEY: every witness will satisfy them.

    A foreign key to a table or column that does not exist is left out, as SQLite itself never minds it.
    """
    source = open_sqlite(path)
    try:
        bare = [_with_keys(source, table, schema) for table in schema.tables]
        tables = with_evidence(with_implied_keys(bare), lambda sql: source.execute(sql).fetchall())
    finally:
        source.close()
    return replace(schema, tables=tuple(parents_first(tables)))


def _with_keys(source: sqlite3.Connection, table: Table, schema: Schema) -> Table:
    info = source.execute(f"PRAGMA table_info({quote(table.name)})").fetchall()
    required = {row[1].lower() for row in info if row[3] or row[5]}
    primary = tuple(row[1].lower() for row in sorted(info, key=lambda row: row[5]) if row[5])
    uniques = [
        tuple(str(part[2]).lower() for part in source.execute(f"PRAGMA index_info({quote(index[1])})") if part[2])
        for index in source.execute(f"PRAGMA index_list({quote(table.name)})").fetchall()
        if index[2] and index[3] == "u"
    ]
    columns = tuple(replace(c, nullable=c.nullable and c.name.lower() not in required) for c in table.columns)
    keys = ((primary,) if primary else ()) + tuple(u for u in uniques if u and u != primary)
    foreign = _foreign(source, table, schema)
    return replace(table, columns=columns, keys=keys, primary_key=primary, implied_key=(), foreign_keys=foreign)


def _foreign(source: sqlite3.Connection, table: Table, schema: Schema) -> tuple[ForeignKey, ...]:
    parts: dict[int, list[tuple[str, str, str | None]]] = {}
    for row in source.execute(f"PRAGMA foreign_key_list({quote(table.name)})"):
        parts.setdefault(row[0], []).append((row[2], row[3], row[4]))
    found = []
    for group in parts.values():
        parent = schema.table(group[0][0])
        names = tuple(name.lower() if name else _sole_key(source, group[0][0]) for _, _, name in group)
        if parent is not None and all(parent.column(n) for n in names):
            found.append(ForeignKey(tuple(child.lower() for _, child, _ in group), parent.name, names))
    return tuple(found)


def _sole_key(source: sqlite3.Connection, table: str) -> str:
    keys = [row[1].lower() for row in source.execute(f"PRAGMA table_info({quote(table)})") if row[5]]
    return keys[0] if len(keys) == 1 else ""
