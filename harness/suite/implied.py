"""Keys that column names imply: most schemas shipped inline declare none, yet `singer_id` in `concert` names a singer.

Implied keys steer which rows are made; nothing enforces them.
"""

from __future__ import annotations

from dataclasses import replace

from harness.suite.schema import Column, ForeignKey, Table, type_family


def with_implied_keys(tables: list[Table]) -> list[Table]:
    """The tables with the keys their column names imply, where none were declared."""
    keyed = [t if t.primary_key else replace(t, implied_key=_implied_key(t)) for t in tables]
    return [_with_implied(t, keyed) for t in keyed]


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
    return (name == key and key != "id") or name in _id_names(parent.name) or name in _stems(parent.name)
