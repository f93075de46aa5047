"""What the tables of an item may hold: types, keys, checks and defaults, as DuckDB understood the schema script.

Read from a live connection and never from the text, so that every dialect road into DuckDB gives the same answer.
Beside the declared keys stand the *implied* ones: most schemas shipped inline declare none, yet `singer_id` in
`concert` plainly names a singer. Implied keys steer which rows are made; nothing enforces them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import duckdb

SHIPPED_ROWS = 200
"""Rows read of each table as a source of values; more would slow the build and teach nothing new."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as DuckDB describes it."""

    name: str
    type: str
    """DuckDB type name, upper case: `INTEGER`, `DECIMAL(10,2)`, `ENUM('a', 'b')`."""
    nullable: bool = True
    generated: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns that name a row of another table."""

    columns: tuple[str, ...]
    table: str
    parent_columns: tuple[str, ...]
    implied: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One base table; names of columns in keys are lower case."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    """PRIMARY KEY and UNIQUE columns, the primary key first."""
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[str, ...] = ()
    implied_key: tuple[str, ...] = ()
    """The column that identifies a row by its name, where no key was declared."""
    qualified: str = ""
    """The name as it is written in SQL."""

    def column(self, name: str) -> Column | None:
        """The column of that name in any case; None where there is none."""
        return next((c for c in self.columns if c.name.lower() == name.lower()), None)

    @property
    def writable(self) -> tuple[Column, ...]:
        """The columns an INSERT may name."""
        return tuple(c for c in self.columns if not c.generated)


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables, the statements that make them empty, and the rows that were shipped."""

    script: str
    """CREATE statements in DuckDB's own words."""
    tables: tuple[Table, ...]
    """Parents before children where the keys allow an order."""
    rows: dict[str, tuple[tuple[Any, ...], ...]] = field(default_factory=dict)
    """Lower-case table name -> shipped rows (at most SHIPPED_ROWS), columns in table order."""

    def table(self, name: str) -> Table | None:
        """The table of that name in any case; None where there is none."""
        return next((t for t in self.tables if t.name.lower() == name.lower()), None)

    @property
    def digest(self) -> str:
        """Hex digest over the statements and the shipped rows."""
        return hashlib.sha256(repr((self.script, sorted(self.rows.items()))).encode()).hexdigest()


def quote(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


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
    tables = [_with_implied(t, tables) for t in _with_implied_keys(tables)]
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


def parents_first(tables: Iterable[Table]) -> list[Table]:
    """Tables ordered so that declared parents come before their children; a circle keeps its given order."""
    waiting = list(tables)
    placed: list[Table] = []
    while waiting:
        pending = {t.name.lower() for t in waiting}
        free = [
            t
            for t in waiting
            if not any(
                not key.implied and key.table.lower() in pending and key.table.lower() != t.name.lower()
                for key in t.foreign_keys
            )
        ]
        chosen = free or waiting[:1]
        placed += chosen
        waiting = [t for t in waiting if t not in chosen]
    return placed


def type_family(duckdb_type: str) -> str:
    """`integer`, `number`, `text`, `date`, `timestamp`, `time`, `boolean` or `other`."""
    name = duckdb_type.upper()
    if name.endswith("]"):
        return "other"
    for family, words in _FAMILIES:
        if name.startswith(words):
            return family
    return "other"


_FAMILIES = (
    ("other", ("INTERVAL", "STRUCT", "MAP", "UNION", "BLOB", "BIT", "UUID", "ENUM", "JSON")),
    ("integer", ("TINYINT", "SMALLINT", "INT", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINT", "UBIGINT", "UHUGE")),
    ("number", ("DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC")),
    ("text", ("VARCHAR", "TEXT", "CHAR", "STRING")),
    ("timestamp", ("TIMESTAMP", "DATETIME")),
    ("date", ("DATE",)),
    ("time", ("TIME",)),
    ("boolean", ("BOOL",)),
)


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
        elif kind == "FOREIGN KEY" and parent.lower() != "":
            foreign.append(ForeignKey(lowered, parent, tuple(n.lower() for n in parent_names)))
    keys = ((primary,) if primary else ()) + tuple(uniques)
    return Table(key[1], columns, keys, primary, tuple(foreign), tuple(checks), (), qualified)


def _with_implied_keys(tables: list[Table]) -> list[Table]:
    return [
        t if t.primary_key else Table(
            t.name, t.columns, t.keys, t.primary_key, t.foreign_keys, t.checks, _implied_key(t), t.qualified
        )
        for t in tables
    ]


def _stems(name: str) -> tuple[str, ...]:
    """The table's name as a column might say it: plural, singular, without an `s`."""
    low = name.lower()
    stems = [low]
    if low.endswith("ies"):
        stems.append(low[:-3] + "y")
    if low.endswith("es"):
        stems.append(low[:-2])
    if low.endswith("s"):
        stems.append(low[:-1])
    return tuple(stems)


def _id_names(name: str) -> tuple[str, ...]:
    return tuple(stem + end for stem in _stems(name) for end in ("_id", "id", "_code", "_key", "_no"))


def _implied_key(table: Table) -> tuple[str, ...]:
    names = [c.name.lower() for c in table.columns]
    wanted = ("id", *_id_names(table.name))
    return next(((n,) for n in names if n in wanted), ())


def _with_implied(table: Table, tables: list[Table]) -> Table:
    """The table with foreign keys its column names imply."""
    declared = {c for key in table.foreign_keys for c in key.columns}
    implied = [
        ForeignKey((column.name.lower(),), parent.name, key, implied=True)
        for column in table.columns
        if column.name.lower() not in declared
        for parent in tables
        if parent.name != table.name
        for key in [parent.primary_key or parent.implied_key]
        if len(key) == 1 and _names_parent(column, parent, key[0], table)
    ]
    return Table(
        table.name,
        table.columns,
        table.keys,
        table.primary_key,
        (*table.foreign_keys, *implied),
        table.checks,
        table.implied_key,
        table.qualified,
    )


def _names_parent(column: Column, parent: Table, key: str, child: Table) -> bool:
    name = column.name.lower()
    other = parent.column(key)
    if other is None or type_family(other.type) != type_family(column.type):
        return False
    if name in (child.primary_key or child.implied_key) and len(child.primary_key or child.implied_key) == 1:
        return False
    return (name == key and key != "id") or name in _id_names(parent.name) or name in _stems(parent.name)


def _shipped(connection: duckdb.DuckDBPyConnection, table: Table) -> list[tuple[Any, ...]]:
    names = ", ".join(quote(c.name) for c in table.columns)
    return _fetch(connection, f"SELECT {names} FROM {table.qualified} LIMIT {SHIPPED_ROWS}")
