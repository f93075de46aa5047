"""Two result tables cut to what a person looks at: a few rows, those that the other table lacks first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from harness.answer.bags import pick
from harness.answer.encode import encode
from harness.answer.table import State, Table
from harness.answer.values import Rows, kinds_of

ROWS, COLUMNS, CELL = 12, 16, 60
"""Rows, columns and characters a cell at most."""

Shown = dict[str, Any]
"""`columns`, `rows` (cells as text, None for NULL), `total` rows, and `only`: how many of the shown ones (the first)
the other table lacks."""


def shown_tables(gold: Table, prediction: Table, *, tolerance: float = 1e-6) -> tuple[Shown, Shown]:
    """(gold, prediction) for people; where the numbers of columns differ, no row has a partner."""
    if len(gold.columns) != len(prediction.columns):
        return _shown(gold, list(range(len(gold.rows)))), _shown(prediction, list(range(len(prediction.rows))))
    laid = _laid(gold, prediction)
    kinds = kinds_of(gold.rows) | kinds_of(laid)
    ours, theirs = encode([gold.rows, laid], kinds, tolerance).rows
    return _shown(gold, _left(ours, theirs)), _shown(prediction, _left(theirs, ours))


def shown_states(gold: State, prediction: State, *, tolerance: float = 1e-6) -> tuple[Shown, Shown]:
    """(gold, prediction) of the first table or view that differs, its name beside them as `table`."""
    theirs = {name.lower(): table for name, table in gold.items()}
    ours = {name.lower(): table for name, table in prediction.items()}
    nothing = Table((), (), [])
    for name in dict.fromkeys((*theirs, *ours)):
        one, two = shown_tables(theirs.get(name, nothing), ours.get(name, nothing), tolerance=tolerance)
        if one["only"] or two["only"] or one["columns"] != two["columns"] or (name in theirs) != (name in ours):
            return {**one, "table": name}, {**two, "table": name}
    return _shown(nothing, []), _shown(nothing, [])


def cell_text(value: Any) -> str | None:
    """A cell as text, cut; None for NULL."""
    if value is None:
        return None
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, datetime | date | time | timedelta):
        text = str(value)
    else:
        text = value if isinstance(value, str) else str(value)
    return text if len(text) <= CELL else text[: CELL - 1] + "…"


def _laid(gold: Table, prediction: Table) -> Rows:
    """The prediction's rows with its columns as the gold's names suggest, where these are the same names."""
    wanted = [name.lower() for name in gold.columns]
    places: Mapping[str, int] = {name.lower(): i for i, name in enumerate(prediction.columns)}
    if len(set(wanted)) < len(wanted) or set(wanted) != set(places):
        return prediction.rows
    return pick(prediction.rows, [places[name] for name in wanted])


def _left(rows: Rows, others: Rows) -> list[int]:
    """Places of the rows that find no partner."""
    there = Counter(others)
    left = []
    for i, row in enumerate(rows):
        if there[row] > 0:
            there[row] -= 1
        else:
            left.append(i)
    return left


def _shown(table: Table, left: list[int]) -> Shown:
    alone = set(left)
    places = (left + [i for i in range(len(table.rows)) if i not in alone])[:ROWS]
    return {
        "columns": [cell_text(name) for name in table.columns[:COLUMNS]],
        "rows": [[cell_text(value) for value in table.rows[i][:COLUMNS]] for i in places],
        "total": len(table.rows),
        "only": min(len(left), len(places)),
    }
