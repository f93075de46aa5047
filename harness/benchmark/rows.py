"""Rows -> items: columns by mapping, every fault named by file and row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from harness.benchmark.seen import SeenIds
from harness.benchmark.sources import Row
from harness.config import BenchmarkFile, Columns
from harness.errors import DataError
from harness.records import Database, Item

Rows = Iterable[tuple[int, Row]]


def id_text(value: Any) -> str | None:
    """An id as text: 7, 7.0 and "7" are the same id; None where the value cannot be one."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return str(value) if isinstance(value, int) or (isinstance(value, str) and value != "") else None


def script_key(script: str) -> str:
    """Content digest of a context script."""
    return hashlib.sha256(script.encode("utf-8", "surrogatepass")).hexdigest()


def items_of_rows(rows: Rows, settings: BenchmarkFile, where: str) -> Iterator[Item]:
    """Items whose row carries its own schema (`rows` layout)."""
    columns = settings.columns
    for number, identity, row in with_ids(rows, columns, where):
        place = f"{where} row {number} (id {identity})"
        context = text_of(row, columns.context, place, "context", empty=True)
        database = Database(key=script_key(context), script=context)
        yield Item(
            id=identity,
            question=text_of(row, columns.question, place, "question"),
            context=context,
            golds=golds_of(row, columns, place),
            database=database,
            cluster=_tag(row.get(columns.database)) or database.key[:12],
            tags=tags_of(row, settings.tags),
        )


def with_ids(rows: Rows, columns: Columns, where: str) -> Iterator[tuple[int, str, Row]]:
    """Yields (row number, id, row); a row without an id has its number; duplicates are refused by name."""
    seen = SeenIds()
    for number, row in rows:
        value = row.get(columns.id)
        identity = str(number) if value is None else id_text(value)
        if identity is None:
            raise DataError(f"{where} row {number}: '{columns.id}' is {value!r}, but an id is text or a whole number.")
        earlier = seen.earlier(identity, number)
        if earlier is not None:
            raise DataError(f"{where} row {number}: id '{identity}' is already that of row {earlier}; make ids unique.")
        yield number, identity, row
    if not seen.count:
        raise DataError(f"{where} holds no row; name a file with questions.")


def text_of(row: Row, column: str, place: str, what: str, *, empty: bool = False) -> str:
    """The text in a column; a DataError where it is absent, no text, or blank."""
    if column not in row:
        raise DataError(
            f"{place} has no {what}: no column '{column}' among {', '.join(map(str, row))}; "
            f"map it with benchmark.columns.{what}=COLUMN."
        )
    value = row[column]
    if value is None or (isinstance(value, str) and not value.strip() and not empty):
        raise DataError(f"{place} has no {what}: '{column}' is empty; fill it in or remove the row.")
    if not isinstance(value, str):
        raise DataError(f"{place}: '{column}' is {type(value).__name__} where text belongs.")
    return value


def golds_of(row: Row, columns: Columns, place: str) -> tuple[str, ...]:
    """The acceptable golds: text, a list of texts, or (in a CSV cell) a JSON list of texts."""
    value = row.get(columns.gold)
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _json_list(value)
    if not isinstance(value, (list, tuple)):
        return (text_of(row, columns.gold, place, "gold"),)
    if not value or not all(isinstance(gold, str) and gold.strip() for gold in value):
        raise DataError(f"{place} has no gold: '{columns.gold}' must be text or a list of non-empty texts.")
    return tuple(dict.fromkeys(value))


def _json_list(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def tags_of(row: Row, names: Iterable[str]) -> dict[str, str]:
    """The slicing columns a row has."""
    return {name: _tag(row[name]) for name in names if _tag(row.get(name))}


def _tag(value: Any) -> str:
    return "" if value is None or isinstance(value, (list, dict)) else str(value)
