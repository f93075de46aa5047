"""Why two results differ, in one sentence a person can act on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from harness.answer.bags import pick
from harness.answer.table import Table
from harness.answer.values import Row, Rows

_LONGEST_CELL = 40
_MOST_CELLS = 8


def show_value(value: Any) -> str:
    """A cell as SQL would write it, cut to a readable length."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (Decimal, int, float)):
        return str(value)
    if isinstance(value, (datetime, date, time, timedelta)):
        return str(value)
    text = repr(value) if isinstance(value, (str, bytes, list, tuple, dict)) else str(value)
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def show_row(row: Row) -> str:
    """A row in brackets."""
    cells = [show_value(value) for value in row[:_MOST_CELLS]]
    if len(row) > _MOST_CELLS:
        cells.append(f"… {len(row) - _MOST_CELLS} more")
    return f"({', '.join(cells)})"


def counted(number: int, noun: str) -> str:
    """`1 row`, `3 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def column_count(gold: Table, prediction: Table) -> str:
    """How many columns each side has, and their names."""
    return f"gold has {_named(gold)}, the prediction {_named(prediction)}"


def _named(table: Table) -> str:
    names = ", ".join(table.columns[:_MOST_CELLS]) + (", …" if len(table.columns) > _MOST_CELLS else "")
    return f"{counted(len(table.columns), 'column')} ({names})" if table.columns else "no columns"


def row_difference(
    gold_keys: Rows, keys: Rows, gold_rows: Rows, rows: Rows, columns: Sequence[int] | None = None
) -> str:
    """The rows that only one side has, with an example each; keys decide, the rows as fetched are shown."""
    ours = keys if columns is None else pick(keys, columns)
    only_gold = _first_left(gold_keys, Counter(ours))
    only_prediction = _first_left(ours, Counter(gold_keys))
    parts = []
    if only_gold:
        parts.append(f"{counted(len(only_gold), 'row')} only in gold, e.g. {show_row(gold_rows[only_gold[0]])}")
    if only_prediction:
        parts.append(
            f"{counted(len(only_prediction), 'row')} only in the prediction, e.g. {show_row(rows[only_prediction[0]])}"
        )
    return "; ".join(parts)


def _first_left(keys: Rows, others: Counter[Row]) -> list[int]:
    """Indexes of the rows that find no partner on the other side."""
    left = []
    for i, key in enumerate(keys):
        if others[key] > 0:
            others[key] -= 1
        else:
            left.append(i)
    return left


def multiplicity(gold_keys: Rows, keys: Rows, gold_rows: Rows, columns: Sequence[int] | None) -> str:
    """Which row comes how often on either side."""
    theirs, ours = Counter(gold_keys), Counter(keys if columns is None else pick(keys, columns))
    differing = [i for i, key in enumerate(gold_keys) if theirs[key] != ours[key]]
    if not differing:
        return f"the same rows, but gold has {counted(len(gold_keys), 'row')} and the prediction {len(keys)}"
    example = gold_keys[differing[0]]
    distinct = len({gold_keys[i] for i in differing})
    return (
        f"the same distinct rows, but {counted(distinct, 'row')} repeated another number of times, e.g. "
        f"{show_row(gold_rows[differing[0]])}: {theirs[example]} in gold, {ours[example]} in the prediction"
    )


def misplaced(
    gold_keys: Rows, gold_labels: Sequence[Any], keys: Rows, rows: Rows, columns: Sequence[int] | None
) -> str:
    """The first row that stands where another is due."""
    said = "the same rows in another order than the gold's ORDER BY asks for"
    ours = keys if columns is None else pick(keys, columns)
    due: dict[Any, Counter[Row]] = {}
    for key, label in zip(gold_keys, gold_labels, strict=True):
        due.setdefault(label, Counter())[key] += 1
    for i, (key, label) in enumerate(zip(ours, gold_labels, strict=False)):
        if due[label][key] == 0:
            return f"{said}, first at row {i + 1}: {show_row(rows[i])}"
        due[label][key] -= 1
    return said
