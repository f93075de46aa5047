"""Which rows could the gold have answered with, and where may each stand: the tie rule as labelled bags.

A label is a tie group: rows of one group may stand in any order, groups come in theirs. The prediction's row at
position i is of the group that stands there in the gold. The pool holds the gold's candidates: where LIMIT cuts
through a group, all its rows are candidates for the places left to it, so that the prediction only has to be
contained in the pool.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from harness.answer.bags import Bag, fits
from harness.answer.encode import Encoded
from harness.answer.order import OrderPlan
from harness.answer.table import Table
from harness.answer.values import Rows


@dataclass(frozen=True, slots=True)
class Expected:
    """What the gold asks of the prediction's rows."""

    pool: Bag
    """Candidates of the gold, labelled; as many as the prediction's rows, or more where a tie was cut."""
    labels: Sequence[Hashable] | None
    """Label of each row position of the prediction; None = any order."""
    cut: bool = False
    """The pool holds more rows than the answer: several answers are right."""
    note: str = ""


def expected(gold: Table, encoded: Encoded, order: OrderPlan | None, keyed: Table | None) -> Expected:
    """The pool and the labels, from the encoded rows of the gold (table 0) and of the keyed run (table 2, if any)."""
    rows, exact = encoded.rows[0], encoded.exact_of(0)
    if order is None:
        return Expected(Bag(rows, None, exact), None)
    if keyed is not None and len(encoded.rows) > 2:
        found = _from_keyed(gold, encoded, order, keyed)
        if found is not None:
            return found
    if order.n_keys == 0:
        return Expected(Bag(rows, None, exact), None)
    labels = _groups(rows, order.key_columns(gold))
    return Expected(Bag(rows, labels, exact), labels)


def _groups(rows: Rows, keys: Sequence[int] | None) -> list[int]:
    """A running number that grows where the sort keys change; where the keys are unknown, at every row."""
    if keys is None:
        return list(range(len(rows)))
    labels: list[int] = []
    group, previous = -1, None
    for row in rows:
        key = tuple([row[i] for i in keys])
        if key != previous:
            group += 1
            previous = key
        labels.append(group)
    return labels


def _from_keyed(gold: Table, encoded: Encoded, order: OrderPlan, keyed: Table) -> Expected | None:
    """Pool and labels from the keyed run; None where the gold's own rows do not fit in (a volatile gold, say)."""
    width, wanted = len(gold.columns), len(gold.rows)
    start, stop = order.offset, order.offset + wanted
    if len(keyed.rows) < stop or len(keyed.columns) <= width:
        return None
    groups = _keyed_groups(encoded.rows[2], width)
    first, last = (groups[start], groups[stop - 1]) if wanted else (0, -1)
    places = [i for i, group in enumerate(groups) if first <= group <= last]
    candidates = [encoded.rows[2][i][:width] for i in places]
    source = encoded.exact_of(2)
    exact = [source[i][:width] for i in places] if source is not None else None
    pool = Bag(candidates, [groups[i] for i in places], exact)
    labels = groups[start:stop]
    if not fits(pool, Bag(encoded.rows[0], labels, encoded.exact_of(0)), None, None):
        return None
    cut = len(candidates) > wanted
    return Expected(pool, labels, cut, _note(order, len(candidates), wanted) if cut else "")


def _keyed_groups(rows: Rows, width: int) -> list[int]:
    """DuckDB's tie groups; neighbours whose sort keys differ by rounding only are one group."""
    labels: list[int] = []
    group = -1
    previous = None
    for row in rows:
        if previous is None or (
            row[-1] != previous[-1] and (len(row) - width == 1 or row[width:-1] != previous[width:-1])
        ):
            group += 1
        labels.append(group)
        previous = row
    return labels


def _note(order: OrderPlan, candidates: int, wanted: int) -> str:
    if order.n_keys == 0:
        return f"the gold has LIMIT without ORDER BY: any {wanted} of its {candidates} rows count as right"
    return (
        f"the gold's LIMIT cuts through tied rows: any choice among the {candidates} for the {wanted} places is right"
    )
