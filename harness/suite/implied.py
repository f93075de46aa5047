"""Keys that column names imply: most schemas shipped inline declare none, yet `singer_id` in `concert` names a singer.

The shipped rows have a say: a key that they break is loose, and a column whose values all name rows of another table is
taken for a key whatever it is called. Witnesses keep implied keys, since people write joins that take them for granted,
and fill both ends of a link between two tables, since people write NOT IN over them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.dialect import quote
from harness.suite.schema import Column, ForeignKey, Table, type_family


def with_implied_keys(tables: list[Table]) -> list[Table]:
    """The tables with the keys their column names imply, where none were declared."""
    keyed = [t if t.primary_key else replace(t, implied_key=_implied_key(t)) for t in tables]
    return [_with_implied(t, keyed) for t in keyed]


Fetch = Callable[[str], list[tuple[Any, ...]]]
"""Runs a query on the database that holds the shipped rows."""


def with_evidence(tables: list[Table], fetch: Fetch) -> list[Table]:
    """The tables with implied keys marked loose where the shipped rows break them, and with keys rows alone show."""
    parents = []
    for table in tables:
        key = table.primary_key or table.implied_key
        if len(key) == 1:
            rows = fetch(f"SELECT DISTINCT {quote(key[0])} FROM {table.qualified} LIMIT {_MOST}")
            parents.append((table, key[0], {_bare(value) for (value,) in rows if value is not None}))
    judged = [replace(t, foreign_keys=tuple(_judged(t, parents, fetch))) for t in tables]
    return [replace(t, filled=_filled(t, fetch)) for t in judged]


_Parents = list[tuple[Table, str, set[Any]]]


def _judged(table: Table, parents: _Parents, fetch: Fetch) -> list[ForeignKey]:
    values = {
        c.name.lower(): [_bare(v) for (v,) in fetch(_sample(table, c)) if v is not None]
        for c in table.columns
        if type_family(c.type) in ("integer", "text")
    }
    kept = [
        key if not key.implied else replace(key, loose=not _included(values.get(key.columns[0], []), key, parents))
        for key in table.foreign_keys
    ]
    known = {c for key in kept for c in key.columns} | set(table.primary_key if len(table.primary_key) == 1 else ())
    for column in table.columns:
        name = column.name.lower()
        found = values.get(name, [])
        if name in known or name in table.implied_key or len(found) < _FEWEST or not _telling(found):
            continue
        homes = [(p, k) for p, k, ids in parents if p.name != table.name and ids.issuperset(found)]
        if len(homes) == 1:
            kept.append(ForeignKey((name,), homes[0][0].name, (homes[0][1],), implied=True))
    return kept


def is_link(table: Table) -> bool:
    """True for a table whose rows say which rows of other tables belong together.

    It has two foreign keys or more, and either no identifier of its own or little else in it.
    """
    ends = {c for key in table.foreign_keys for c in key.columns}
    own = [key for key in (*table.keys, table.implied_key) if len(key) == 1 and key[0] not in ends]
    return len(table.foreign_keys) > 1 and (not own or 2 * len(ends) >= len(table.columns))


def _filled(table: Table, fetch: Fetch) -> tuple[str, ...]:
    """The columns nobody expects to be NULL although nothing forbids it (`NOT IN` over a NULL key finds no row)."""
    parts = [c for key in table.keys if len(key) > 1 for c in key]
    parts += [c for key in table.foreign_keys for c in key.columns] if is_link(table) else []
    names = {c.name.lower(): c for c in table.columns if c.nullable}
    kept = [n for n in dict.fromkeys(parts) if n in names and not fetch(_missing(table, names[n]))]
    return tuple(dict.fromkeys((*table.implied_key, *kept)))


def _missing(table: Table, column: Column) -> str:
    return f"SELECT 1 FROM {table.qualified} WHERE {quote(column.name)} IS NULL LIMIT 1"


_FEWEST = 3
_MOST = 20_000


def _sample(table: Table, column: Column) -> str:
    return f"SELECT DISTINCT {quote(column.name)} FROM {table.qualified} LIMIT {_MOST}"


def _telling(values: list[Any]) -> bool:
    """False for small whole numbers, which lie among the identifiers of any table by chance."""
    return all(isinstance(v, str) or (isinstance(v, int) and v >= 100) for v in values)


def _bare(value: Any) -> Any:
    """Blanks round a text are a slip of whoever typed the rows in, not evidence against a key."""
    return value.strip() if isinstance(value, str) else value


def _included(values: list[Any], key: ForeignKey, parents: _Parents) -> bool:
    ids = next((ids for p, k, ids in parents if p.name == key.table and k == key.parent_columns[0]), set())
    return not ids or ids.issuperset(values)


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
    return replace(table, foreign_keys=(*table.foreign_keys, *implied))


def _names_parent(column: Column, parent: Table, key: str, child: Table) -> bool:
    name = column.name.lower()
    other = parent.column(key)
    if other is None or type_family(other.type) != type_family(column.type):
        return False
    if name in (child.primary_key or child.implied_key) and len(child.primary_key or child.implied_key) == 1:
        return False
    ids = {*_id_names(parent.name), *({key} if key != "id" else ())}
    # `address_id` and `home_address_id` both name an address
    return name in ids or name in _stems(parent.name) or name.endswith(tuple(f"_{one}" for one in ids if "_" in one))
