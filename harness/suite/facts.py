"""A schema's tables as text and back: a suite carries them, so that more witnesses can be made where it judges."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from typing import Any

from harness.suite.schema import Column, ForeignKey, Schema, Table


def tables_text(tables: Iterable[Table]) -> str:
    """The tables as one JSON document, the same bytes for the same tables; what is as usual is left out."""
    return json.dumps([_facts(table) for table in tables], ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=32)
def schema_of_text(script: str, text: str) -> Schema:
    """The schema of a suite's CREATE statements and `tables_text`, without shipped rows."""
    return Schema(script, tuple(_table(facts) for facts in json.loads(text)))


def _facts(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.default is MISSING or value != field.default:
            found[field.name] = (
                [_facts(v) if is_dataclass(v) else v for v in value] if isinstance(value, tuple) else value
            )
    return found


def _table(facts: dict[str, Any]) -> Table:
    parts = {name: _tuples(value) for name, value in facts.items() if name not in ("columns", "foreign_keys")}
    columns = tuple(Column(**column) for column in facts["columns"])
    keys = tuple(ForeignKey(**{n: _tuples(v) for n, v in key.items()}) for key in facts.get("foreign_keys", ()))
    return Table(**parts, columns=columns, foreign_keys=keys)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
