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
    """Told by the column's name alone; witnesses keep it all the same, as people take it for granted ..."""
    loose: bool = False
    """... unless the shipped rows break it: then children without a parent may stand."""


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
    filled: tuple[str, ...] = ()
    """Columns that may be NULL by what was declared, and that witnesses never leave NULL: parts of a key, and the ends
    of a link between two tables, unless a shipped row leaves them NULL."""

    def column(self, name: str) -> Column | None:
        """The column of that name in any case; None where there is none."""
        return next((c for c in self.columns if c.name.lower() == name.lower()), None)

    def may_miss(self, column: Column) -> bool:
        """Whether a witness may leave the column NULL."""
        return column.nullable and column.name.lower() not in self.filled

    @property
    def names_itself(self) -> bool:
        """True where a declared key refers to the table itself: its rows must come one by one, parents first."""
        return any(not key.implied and key.table.lower() == self.name.lower() for key in self.foreign_keys)

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
    """Lower-case table name -> shipped rows (the first few hundred), columns in table order."""

    def table(self, name: str) -> Table | None:
        """The table of that name in any case; None where there is none."""
        return next((t for t in self.tables if t.name.lower() == name.lower()), None)

    @property
    def digest(self) -> str:
        """Hex digest over the statements and the shipped rows."""
        return hashlib.sha256(repr((self.script, sorted(self.rows.items()))).encode()).hexdigest()


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


def with_ancestors(schema: Schema, names: Iterable[str]) -> set[str]:
    """The tables of these lower-case names and every table that a declared key of theirs leads to."""
    needed = set(names)
    waiting = list(needed)
    while waiting:
        table = schema.table(waiting.pop())
        for key in table.foreign_keys if table else ():
            if not key.implied and key.table.lower() not in needed:
                needed.add(key.table.lower())
                waiting.append(key.table.lower())
    return needed


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
    ("integer", ("TINYINT", "SMALLINT", "INT", "BIGINT", "HUGEINT")),
    ("integer", ("UTINYINT", "USMALLINT", "UINT", "UBIGINT", "UHUGE")),
    ("number", ("DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC")),
    ("text", ("VARCHAR", "TEXT", "CHAR", "STRING")),
    ("timestamp", ("TIMESTAMP", "DATETIME")),
    ("date", ("DATE",)),
    ("time", ("TIME",)),
    ("boolean", ("BOOL",)),
)
