"""Tables to hash keys, jointly: after this, equal rows are equal tuples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.answer.bags import Pairing
from harness.answer.numbers import Numbers, close_rows, collect, link
from harness.answer.values import (
    EXACT_KINDS,
    INEXACT_KINDS,
    NESTED_KINDS,
    Row,
    Rows,
    canonical_rows,
    map_numbers,
    with_numeric_text,
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Several tables' rows as hash keys that are comparable with one another."""

    rows: list[Rows]
    exact: list[Rows] | None
    """The canonical rows before numbers were exchanged; None where equal keys mean equal rows."""
    pairing: Pairing | None
    """Decides for two exact rows, where keys do not suffice."""

    def exact_of(self, table: int) -> Rows | None:
        """The exact rows of one table, if they are needed."""
        return self.exact[table] if self.exact is not None else None


def encode(tables: Sequence[Rows], kinds: set[type], tolerance: float, *, numeric_text: bool = False) -> Encoded:
    """Canonical rows, numbers that are the same within the tolerance replaced by one key.

    `kinds`: the Python types in all these tables; `numeric_text`: text that spells a number is that number.
    """
    if kinds <= EXACT_KINDS and not numeric_text:
        return Encoded(list(tables), None, None)
    if numeric_text and str in kinds:
        tables = [with_numeric_text(rows) for rows in tables]
        kinds = kinds | {float, int}
    rows = [canonical_rows(table, kinds) for table in tables]
    nested = bool(kinds & NESTED_KINDS)
    if not nested and not kinds & INEXACT_KINDS:
        return Encoded(rows, None, None)
    numbers = link(*collect(rows, nested), tolerance)
    if not numbers.keys:
        return Encoded(rows, None, None)
    keyed = [_exchange(table, numbers, nested) for table in rows]
    if not numbers.chained:
        return Encoded(keyed, None, None)

    def pairing(one: Row, other: Row) -> bool:
        return close_rows(one, other, tolerance)

    return Encoded(keyed, rows, pairing)


def _exchange(rows: Rows, numbers: Numbers, nested: bool) -> Rows:
    keys = numbers.keys
    if nested:
        return [tuple([map_numbers(value, lambda number: keys.get(number, number)) for value in row]) for row in rows]
    return [tuple([keys.get(value, value) for value in row]) for row in rows]
