"""The schema of a live connection or of a script, read from DuckDB itself and never from the text."""

from __future__ import annotations

from typing import Any

import duckdb

from harness.dialect import quote
from harness.suite.implied import with_evidence, with_implied_keys
from harness.suite.schema import Column, ForeignKey, Schema, Table, parents_first

SHIPPED_ROWS = 200
"""Rows read of each table as a source of values; more would slow the build and teach nothing new."""


def read_schema(connection: duckdb.DuckDBPyConnection) -> Schema:
    """The schema and shipped rows of a live connection."""
    columns = _columns(connection)
    tables = []
    for schema_name, name in _fetch(
        connection,
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary ORDER BY table_oid",
    ):
        key = (schema_name, name)
        qualified = quote(name) if schema_name == "main" else f"{quote(schema_name)}.{quote(name)}"
        tables.append(_table(connection, key, qualified, columns.get(key, ())))
    tables = with_implied_keys(tables)
    tables = with_evidence(tables, lambda sql: _fetch(connection, sql))
    rows = {t.name.lower(): tuple(_shipped(connection, t)) for t in tables}
    return Schema(schema_script(connection), tuple(parents_first(tables)), rows)


def schema_of_script(script: str) -> Schema:
    """The schema and shipped rows of a DuckDB script (CREATE TABLE, perhaps INSERT); raises duckdb.Error."""
    with duckdb.connect(config={"threads": 1, "enable_external_access": False}) as connection:
        connection.execute(script)
        return read_schema(connection)


def schema_script(connection: duckdb.DuckDBPyConnection) -> str:
    """CREATE statements that make the connection's tables and views anew, empty."""
    statements = [
        f"CREATE SCHEMA IF NOT EXISTS {quote(name)};"
        for (name,) in _fetch(
            connection,
            "SELECT DISTINCT schema_name FROM duckdb_tables() WHERE NOT internal AND schema_name <> 'main' ORDER BY 1",
        )
    ]
    for name, labels in _fetch(
        connection,
        "SELECT type_name, labels FROM duckdb_types() WHERE NOT internal AND logical_type = 'ENUM' ORDER BY type_oid",
    ):
        values = ", ".join("'" + label.replace("'", "''") + "'" for label in labels)
        statements.append(f"CREATE TYPE {quote(name)} AS ENUM ({values});")
    for function, order in (("duckdb_sequences()", "sequence_oid"), ("duckdb_tables()", "table_oid")):
        statements += [sql for (sql,) in _fetch(connection, f"SELECT sql FROM {function} ORDER BY {order}")]
    statements += [
        sql for (sql,) in _fetch(connection, "SELECT sql FROM duckdb_views() WHERE NOT internal ORDER BY view_oid")
    ]
    return "\n".join(statements)


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], tuple[Column, ...]]:
    generated = {
        (schema, table, name)
        for schema, table, sql in _fetch(connection, "SELECT schema_name, table_name, sql FROM duckdb_tables()")
        if " GENERATED ALWAYS AS" in sql
        for name in [_name_before_generated(part) for part in sql.split(" GENERATED ALWAYS AS")[:-1]]
    }
    found: dict[tuple[str, str], tuple[Column, ...]] = {}
    for schema, table, name, kind, nullable in _fetch(
        connection,
        "SELECT schema_name, table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY table_oid, column_index",
    ):
        column = Column(name, kind.upper() if not kind.startswith("ENUM") else kind, bool(nullable))
        if (schema, table, name) in generated:
            column = Column(column.name, column.type, column.nullable, generated=True)
        found[(schema, table)] = (*found.get((schema, table), ()), column)
    return found


def _name_before_generated(text: str) -> str:
    """The column name in `... , name TYPE` (quoted where DuckDB quotes it)."""
    depth, start = 0, 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if (letter == "," and depth == 1) or (letter == "(" and depth == 1):
            start = i + 1
    definition = text[start:].strip()
    return definition[1 : definition.index('"', 1)] if definition.startswith('"') else definition.split(" ")[0]


def _table(
    connection: duckdb.DuckDBPyConnection, key: tuple[str, str], qualified: str, columns: tuple[Column, ...]
) -> Table:
    constraints = connection.execute(
        "SELECT constraint_type, expression, constraint_column_names, referenced_table, referenced_column_names "
        "FROM duckdb_constraints() WHERE schema_name = ? AND table_name = ? ORDER BY constraint_index",
        list(key),
    ).fetchall()
    primary: tuple[str, ...] = ()
    uniques: list[tuple[str, ...]] = []
    foreign: list[ForeignKey] = []
    checks: list[str] = []
    for kind, expression, names, parent, parent_names in constraints:
        lowered = tuple(n.lower() for n in names)
        if kind == "PRIMARY KEY":
            primary = lowered
        elif kind == "UNIQUE":
            uniques.append(lowered)
        elif kind == "CHECK":
            checks.append(expression)
        elif kind == "FOREIGN KEY":
            foreign.append(ForeignKey(lowered, parent, tuple(n.lower() for n in parent_names)))
    keys = ((primary,) if primary else ()) + tuple(uniques)
    return Table(key[1], columns, keys, primary, tuple(foreign), tuple(checks), (), qualified)


def _shipped(connection: duckdb.DuckDBPyConnection, table: Table) -> list[tuple[Any, ...]]:
    names = ", ".join(quote(c.name) for c in table.columns)
    return _fetch(connection, f"SELECT {names} FROM {table.qualified} LIMIT {SHIPPED_ROWS}")
