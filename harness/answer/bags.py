"""Two bags of rows, the columns already laid side by side: equality and containment.

A `Bag` is rows with labels: rows may only be paired within one label (a tie group of the gold's ORDER BY). Rows carry
hash keys (module `numbers`); where those do not suffice, rows with equal keys are paired by a bipartite matching.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import repeat
from typing import Any

from harness.answer.values import Row, Rows


@dataclass(frozen=True, slots=True)
class Bag:
    """Rows as hash keys, one label a row."""

    rows: Rows
    labels: Sequence[Hashable] | None = None
    """None = one label for all."""
    exact: Rows | None = None
    """The same rows before numbers were exchanged for keys; None where the keys suffice."""

    def labelled(self, columns: Sequence[int] | None = None) -> list[Any]:
        """One hashable a row: the row, or (label, row); `columns` picks and orders."""
        rows: Sequence[Any] = self.rows if columns is None else pick(self.rows, columns)
        return list(rows) if self.labels is None else list(zip(self.labels, rows, strict=True))


MOST_PAIRS = 1_000_000
"""Bound on the cell-by-cell comparisons of one group of rows with equal keys: about a second."""

Pairing = Callable[[Row, Row], bool]
"""Whether a row of the reference and one of the prediction are the same, cell by cell."""


def pick(rows: Rows, columns: Sequence[int]) -> Rows:
    """The rows with these columns in this order."""
    return [tuple([row[i] for i in columns]) for row in rows]


def _included(ours: list[Any], theirs: list[Any]) -> bool:
    """Bag inclusion of lists; sets suffice where the larger side repeats nothing."""
    distinct = set(theirs)
    if len(distinct) == len(theirs):
        found = set(ours)
        return len(found) == len(ours) and found <= distinct
    return contained(Counter(ours), Counter(theirs), equal=len(ours) == len(theirs))


def contained(ours: Counter[Any], theirs: Counter[Any], *, equal: bool) -> bool:
    """Bag inclusion; with `equal` (as many on both sides) it is equality, which dict decides several times faster."""
    if equal:
        return dict.__eq__(ours, theirs)
    return all(count <= theirs[key] for key, count in ours.items())


def fits(reference: Bag, prediction: Bag, columns: Sequence[int] | None, pairing: Pairing | None) -> bool:
    """True where every row of the prediction, its columns picked, takes a row of its own in the reference.

    With equally many rows that is equality of bags. `pairing` None: the hash keys decide.
    """
    theirs = reference.labelled()
    ours = prediction.labelled(columns)
    if len(ours) > len(theirs):
        return False
    same_keys = _included(ours, theirs)
    if not same_keys or pairing is None or reference.exact is None or prediction.exact is None:
        return same_keys
    exact = prediction.exact if columns is None else pick(prediction.exact, columns)
    return _pairs_up(theirs, reference.exact, ours, exact, pairing)


def _pairs_up(theirs: list[Any], their_rows: Rows, ours: list[Any], our_rows: Rows, pairing: Pairing) -> bool:
    """A matching that serves every one of our rows, key group by key group."""
    groups: dict[Any, tuple[Rows, Rows]] = defaultdict(lambda: ([], []))
    for key, row in zip(theirs, their_rows, strict=True):
        groups[key][0].append(row)
    for key, row in zip(ours, our_rows, strict=True):
        groups[key][1].append(row)
    return all(_saturates(left, right, pairing) for left, right in groups.values() if right)


def _saturates(left: Rows, right: Rows, pairing: Pairing) -> bool:
    """True where each right row gets a left one of its own: equal rows, rows in order, else Kuhn's augmenting paths.

    Past `MOST_PAIRS` pairs the first two must do: so many rows in one chain of near values are not paired otherwise.
    """
    if not Counter(right) - Counter(left):
        return True
    if len(left) == len(right) and all(map(pairing, sorted(left, key=_sizes), sorted(right, key=_sizes))):
        return True
    if len(left) * len(right) > MOST_PAIRS:
        return False
    edges = [[j for j, row in enumerate(left) if pairing(row, wanted)] for wanted in right]
    taken: list[int | None] = list(repeat(None, len(left)))
    return all(_augment(start, edges, taken) for start in sorted(range(len(right)), key=lambda i: len(edges[i])))


def _sizes(row: Row) -> list[float]:
    """A sort key for rows that differ in their numbers only."""
    return [float(value) if isinstance(value, (int, float, Decimal)) else 0.0 for value in row]


def _augment(start: int, edges: list[list[int]], taken: list[int | None]) -> bool:
    """Breadth-first search for a free place, then the switch along the path; `taken[j]` = who holds place j."""
    came_from: dict[int, int] = {}
    frontier = [start]
    while frontier:
        following: list[int] = []
        for one in frontier:
            for place in edges[one]:
                if place in came_from:
                    continue
                came_from[place] = one
                holder = taken[place]
                if holder is None:
                    _switch(place, came_from, edges, taken, start)
                    return True
                following.append(holder)
        frontier = following
    return False


def _switch(place: int, came_from: dict[int, int], edges: list[list[int]], taken: list[int | None], start: int) -> None:
    held = {holder: spot for spot, holder in enumerate(taken) if holder is not None}
    while True:
        one = came_from[place]
        previous = held.get(one)
        taken[place] = one
        if one == start or previous is None:
            return
        place = previous
