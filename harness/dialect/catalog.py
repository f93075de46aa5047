"""The tables a statement may name: what translation and exact match need to know of a database, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

TEXT_TYPES = ("VARCHAR", "CHAR", "TEXT", "STRING", "BPCHAR", "ENUM")
NUMBER_TYPES = [
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "INT",
    "REAL",
]


def quote(name: str) -> str:
    """An identifier in double quotes, as SQLite and DuckDB read it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`table`(columns) refers to `parent`(parent_columns)."""

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


class Catalog(Mapping[str, Mapping[str, str]]):
    """Table -> column -> DuckDB type, looked up without regard to case; hashable, so that it can key a cache."""

    __slots__ = ("_classes", "_hash", "_tables", "foreign_keys", "primary_keys")

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, str]],
        primary_keys: Mapping[str, tuple[str, ...]] | None = None,
        foreign_keys: Iterable[ForeignKey] = (),
    ) -> None:
        self._tables = {
            table.lower(): {column.lower(): kind for column, kind in columns.items()}
            for table, columns in tables.items()
        }
        self.primary_keys = {table.lower(): key for table, key in (primary_keys or {}).items()}
        self.foreign_keys = tuple(foreign_keys)
        self._classes: dict[str, frozenset[str]] | None = None
        self._hash = hash(tuple((table, tuple(columns.items())) for table, columns in self._tables.items()))

    def __getitem__(self, table: str) -> Mapping[str, str]:
        return self._tables[table.lower()]

    def __contains__(self, table: object) -> bool:
        return isinstance(table, str) and table.lower() in self._tables

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Catalog) and self._tables == other._tables

    def column_classes(self, column: str) -> frozenset[str]:
        """The classes (`text`, `number`, `other`) columns of this name have in any table; empty: there is none."""
        if self._classes is None:
            self._classes = {}
            for columns in self._tables.values():
                for name, kind in columns.items():
                    self._classes[name] = self._classes.get(name, frozenset()) | {type_class(kind)}
        return self._classes.get(column.lower(), frozenset())


def type_class(kind: str) -> str:
    """`text`, `number` or `other` for a DuckDB type name."""
    base = kind.upper().split("(")[0].strip()
    if base.startswith(TEXT_TYPES) and not base.endswith("]"):
        return "text"
    return "number" if base in NUMBER_TYPES else "other"


def read_catalog(connection: object) -> Catalog:
    """The tables and views of a DuckDB connection's current database (its own schemas, nothing built in)."""
    rows = connection.execute(  # type: ignore[attr-defined]
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE NOT internal AND database_name IN (current_database(), 'temp') ORDER BY table_oid, column_index"
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = kind
    return Catalog(tables)
