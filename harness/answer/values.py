"""Cells made comparable: when two values are the same, and as what they go into a hash table.

Principle: two cells are equal under `default` where DuckDB's own `=` says so within a family of types, and never
across text:

- numbers (all integers, DECIMAL, FLOAT, DOUBLE) by value, exactly or within the tolerance (module `numbers`);
- BOOLEAN is the number 1 or 0: `x > 3` answers the same question as `CASE WHEN x > 3 THEN 1 ELSE 0 END`;
- DATE is the TIMESTAMP at its midnight; TIMESTAMPTZ is its instant, equal to the TIMESTAMP that reads the same in UTC;
- INTERVAL as DuckDB compares and fetches it: a month is 30 days;
- text (VARCHAR, ENUM, JSON, BIT) only equals the same text: '007' is not '7', '1' is not 1, '2020-01-01' is no DATE;
- BLOB only BLOB, UUID only UUID, NULL only NULL, NaN only NaN, an infinity only itself;
- LIST and ARRAY item by item in order, STRUCT by field names (any case, any order), MAP by entries in any order.

Column names and declared types play no part here; the rule `strict` asks for alike types besides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from operator import ne
from typing import Any
from uuid import UUID

Row = tuple[Any, ...]
Rows = list[Row]

EXACT_KINDS = frozenset({int, bool, str, bytes, type(None), timedelta, UUID})
"""Python's own == and hash already mean what the rules mean (True == 1 included)."""
INEXACT_KINDS = frozenset({float, Decimal})
NESTED_KINDS = frozenset({list, tuple, dict})
SCALAR_KINDS = EXACT_KINDS | INEXACT_KINDS

_PLAIN_KINDS = frozenset({int, str, bytes, float, type(None)})
"""What sqlite3 hands over."""

NAN = ("NaN",)
"""Every NaN of both sides, as one value."""

_NUMBER_TEXT = re.compile(
    r"\s*([+-]?)(\d+)(\.\d*)?([eE][+-]?\d{1,3})?\s*|\s*([+-]?)(\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII
)
_LONGEST_NUMBER_TEXT = 60


def kinds_of(rows: Rows) -> set[type]:
    """The Python types that occur in the rows, at the top of the cells."""
    return set(map(type, chain.from_iterable(rows)))


def canonical(value: Any) -> Any:
    """The hashable form of a cell, numbers left as they are."""
    kind = type(value)
    if kind in EXACT_KINDS or kind is Decimal:
        return value
    if kind is float:
        return value if value == value else NAN
    if kind is datetime:
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    if kind is date:
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001
    if kind is time:
        return value
    if kind is dict:
        return _canonical_dict(value)
    if isinstance(value, (list, tuple)):
        return ("[", *map(canonical, value))
    return value


def _canonical_dict(value: dict[Any, Any]) -> Any:
    """STRUCT (text keys, one value each) and MAP alike: entries in any order."""
    keys, values = value.get("key"), value.get("value")
    if len(value) == 2 and isinstance(keys, list) and isinstance(values, list) and len(keys) == len(values):
        entries: Iterable[tuple[Any, Any]] = zip(keys, values, strict=True)
        # DuckDB hands over a MAP with unhashable keys in this shape; a struct of two equally long lists reads the same
        return ("{", frozenset((canonical(key), canonical(item)) for key, item in entries))
    return (
        "{",
        frozenset(
            (key.lower() if isinstance(key, str) else canonical(key), canonical(item)) for key, item in value.items()
        ),
    )


def canonical_rows(rows: Rows, kinds: set[type]) -> Rows:
    """The rows with every cell canonical; the list itself where nothing had to change."""
    if kinds <= EXACT_KINDS or (kinds <= SCALAR_KINDS and not _has_nan(rows, kinds)):
        return rows
    return [tuple(map(canonical, row)) for row in rows]


def _has_nan(rows: Rows, kinds: set[type]) -> bool:
    if float not in kinds:
        return False
    cells = list(chain.from_iterable(rows))
    return any(map(ne, cells, cells))


def map_numbers(value: Any, change: Callable[[Any], Any]) -> Any:
    """A canonical cell with its numbers exchanged, inside nested values too."""
    kind = type(value)
    if kind is int or kind is float or kind is Decimal or kind is bool:
        return change(value)
    if kind is tuple:
        return tuple(map_numbers(item, change) for item in value)
    if kind is frozenset:
        return frozenset(map_numbers(item, change) for item in value)
    return value


@lru_cache(maxsize=65536)
def number_from_text(text: str) -> Any:
    """The number a text spells (rule `lenient`), else the text itself; 'nan' and 'inf' stay text."""
    if len(text) > _LONGEST_NUMBER_TEXT:
        return text
    found = _NUMBER_TEXT.fullmatch(text)
    if found is None:
        return text
    if found.group(2) and not found.group(3) and not found.group(4):
        return int(text)
    return float(text)


def has_numeric_text(rows: Rows) -> bool:
    """True where some cell is text that spells a number."""
    return any(number_from_text(text) is not text for text in {v for v in chain.from_iterable(rows) if type(v) is str})


def with_numeric_text(rows: Rows) -> Rows:
    """The rows with numeric text read as numbers, nested values left alone."""
    return [tuple([number_from_text(value) if type(value) is str else value for value in row]) for row in rows]


def plain(value: Any) -> Any:
    """A cell as sqlite3 would hand it over: what the published evaluators compare with Python's ==."""
    kind = type(value)
    if kind is int or kind is str or kind is bytes or value is None:
        return value
    if kind is float:
        return value if value == value else None
    if kind is bool:
        return int(value)
    if kind is Decimal:
        return float(value)
    if kind is datetime:
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return str(moment)
    if kind in NESTED_KINDS:
        return canonical(value)
    return str(value)


def plain_rows(rows: Rows, kinds: set[type]) -> Rows:
    """The rows in the types of sqlite3."""
    if kinds <= _PLAIN_KINDS and not _has_nan(rows, kinds):
        return rows
    return [tuple(map(plain, row)) for row in rows]


@lru_cache(maxsize=4096)
def type_family(name: str) -> str:
    """What `strict` calls alike: BIGINT and HUGEINT, not INTEGER and DOUBLE; '' is the type of NULL, alike to any."""
    name = name.strip().strip('"').upper()
    if name.endswith("]"):
        return f"list of {type_family(name[: name.rindex('[')])}"
    head = name.split("(", 1)[0].strip()
    return _FAMILIES.get(head, head.lower())


_FAMILIES = {
    "NULL": "",
    "SQLNULL": "",
    **dict.fromkeys(
        (
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
            "BIGNUM",
            "VARINT",
        ),
        "integer",
    ),
    **dict.fromkeys(("FLOAT", "DOUBLE", "REAL"), "float"),
    **dict.fromkeys(("VARCHAR", "ENUM", "JSON", "TEXT", "CHAR"), "text"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "timestamp"),
    **dict.fromkeys(("TIME", "TIME_NS"), "time"),
}


def types_alike(gold: tuple[str, ...], prediction: tuple[str, ...]) -> bool:
    """True where the columns, by position, are of one family each."""
    if gold == prediction:
        return True
    if len(gold) != len(prediction):
        return False
    for one, other in zip(gold, prediction, strict=True):
        first, second = type_family(one), type_family(other)
        if first != second and first and second:
            return False
    return True
