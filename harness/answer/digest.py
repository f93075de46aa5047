"""One short text for an answer, so that equal answers of many samples can be counted without keeping them.

Equal digests mean the same answer under the default rule with the columns as they stand: rows as a bag, numbers by
value to six significant digits. The reverse does not always hold (columns in another order, numbers that straddle a
rounding border), which splits a vote and never forges one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from harness.answer.table import State, Table
from harness.answer.values import Rows, canonical

_WHOLE = 1_000_000
"""From here on integers are told apart although six digits would not."""


def answer_digest(table: Table) -> str:
    """16 hex digits for a result's rows and its number of columns."""
    return _digest([str(len(table.columns)), *_row_texts(table.rows)])


def state_digest(state: State) -> str:
    """16 hex digits for the tables and views that a writing statement leaves, by name, their columns by name."""
    parts = []
    for name, table in sorted((name.lower(), table) for name, table in state.items()):
        columns = sorted((column.lower(), i) for i, column in enumerate(table.columns))
        rows = [tuple([row[i] for _, i in columns]) for row in table.rows]
        parts += [name, *(column for column, _ in columns), *_row_texts(rows)]
    return _digest(parts)


def _digest(parts: Iterable[str]) -> str:
    text = "\x1e".join(parts)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _row_texts(rows: Rows) -> list[str]:
    return sorted(["\x1f".join([_TEXTS.get(type(value), _other)(value) for value in row]) for row in rows])


def _text(value: Any) -> str:
    return "'" + value


def _null(value: Any) -> str:
    return "-"


def _whole(value: Any) -> str:
    return f"{value:.6g}" if -_WHOLE < value < _WHOLE else str(int(value))


def _real(value: Any) -> str:
    number = float(value)
    if not math.isfinite(number):
        return "nan" if number != number else f"{number}"
    if abs(number) >= _WHOLE and abs(number - round(number)) < 1e-3:
        return str(round(number))
    return f"{number:.6g}" if number else "0"


def _other(value: Any) -> str:
    plain = canonical(value)
    if isinstance(plain, tuple):
        return "(" + "\x1d".join([_part(one) for one in plain]) + ")"
    if isinstance(plain, frozenset):
        return "{" + "\x1d".join(sorted([_part(one) for one in plain])) + "}"
    return f"{type(plain).__name__} {plain}"


def _part(value: Any) -> str:
    return _TEXTS.get(type(value), _other)(value)


_TEXTS: dict[type, Callable[[Any], str]] = {}
_TEXTS.update({str: _text, type(None): _null, int: _whole, bool: _whole, float: _real, Decimal: _real})
