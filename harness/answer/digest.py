"""One short text for an answer, so that equal answers of many samples can be counted without keeping them.

Equal digests mean the same answer under the default rule with the columns as they stand: rows as a bag, numbers by
value to six significant digits. The reverse does not always hold (columns in another order, numbers that straddle a
rounding border), which splits a vote and never forges one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from harness.answer.table import State, Table
from harness.answer.values import Rows, canonical, kinds_of

_WHOLE = 1_000_000
"""From here on integers are told apart although six digits would not."""
_AS_THEY_ARE = frozenset([int, str, bytes, type(None)])


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
    if kinds_of(rows) <= _AS_THEY_ARE:
        return sorted(map(repr, rows))
    return sorted([repr(tuple([_plain(value) for value in row])) for row in rows])


def _plain(value: Any) -> Any:
    """A cell as one of the kinds whose `repr` says what it is: equal cells alike, unlike cells unlike."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is bool:
        return int(value)
    if kind is float or kind is Decimal:
        return _number(value)
    plain = canonical(value)
    if isinstance(plain, tuple):
        return tuple([_plain(one) for one in plain])
    if isinstance(plain, frozenset):
        return ("{", *sorted([repr(_plain(one)) for one in plain]))
    return (type(plain).__name__, str(plain))


def _number(value: Any) -> Any:
    """Six significant digits; an integer where that is one, and where a large number is one but for noise."""
    number = float(value)
    if not math.isfinite(number):
        return ("number", f"{number}")
    if abs(number) >= _WHOLE and abs(number - round(number)) < 1e-3:
        return int(value) if isinstance(value, Decimal) else round(number)
    short = float(f"{number:.6g}")
    return int(short) if short.is_integer() and abs(short) < _WHOLE else short
