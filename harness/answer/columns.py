"""Which column of the prediction is which of the gold? Whole rows stay together; names say nothing.

Two tables match where some assignment of columns makes their bags of rows equal: with rows free as well, that is graph
isomorphism, so there is no cheap exact answer for every case, and trying n! permutations is the wrong one. The way
here:

1. columns as they stand, then told apart by their values alone, then as their names suggest;
2. colour refinement on both tables at once: a column's colour is the multiset of (row colour, value) in it, a row's
   colour the multiset of (column colour, value) in it, until nothing splits further; equal columns and equal rows
   are merged first;
3. where columns still share a colour: single one out on both sides, refine, go on; back up where the sides part.

A found assignment is always checked exactly, so a hash collision can cost time, never a wrong match. The search is
bounded by work (cells looked at), not by the clock: the same tables always get the same verdict. `UndecidedError` is
raised past the bound; known to get there are incidence tables of designs from 19 columns on (Steiner triple systems,
projective planes), in which no two or three columns tell themselves apart from any others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from operator import add
from typing import Any

from harness.answer.bags import Bag, Pairing, fits

WORK_LIMIT = 4_000_000
"""Cell visits of one search, beyond the first pass: under a second on one core of 2020's servers."""


Mark = tuple[int, int]
Accept = Callable[[list[int]], "tuple[int, ...] | None"]


class UndecidedError(Exception):
    """The tables are so symmetric that the search for a column assignment was given up; counts as no match."""


@dataclass(slots=True)
class _Side:
    """One table as columns of small integers over its distinct rows, coloured."""

    columns: list[list[int]]
    row_colours: list[int]
    column_colours: list[int]


class Budget:
    """Counts the work of one search; past the limit it raises `UndecidedError`."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def spend(self, cells: int) -> None:
        """Account for that many cell visits."""
        self.left -= cells
        if self.left < 0:
            raise UndecidedError


def assign_columns(
    reference: Bag,
    prediction: Bag,
    pairing: Pairing | None = None,
    *,
    hint: tuple[int, ...] | None = None,
    limit: int = WORK_LIMIT,
) -> tuple[int, ...] | None:
    """For each column of the reference its column in the prediction, so that the bags are equal; else None.

    Both have the same number of rows and of columns. The columns as they stand are tried first, then the `hint`.
    Raises `UndecidedError`.
    """
    width = len(reference.rows[0]) if reference.rows else 0
    if fits(reference, prediction, None, pairing):
        return tuple(range(width))
    if width < 2:
        return None
    signed = _match_signatures(reference, prediction)
    if isinstance(signed, tuple):
        return signed if fits(reference, prediction, signed, pairing) else None
    if not signed:
        return None
    if hint is not None and fits(reference, prediction, hint, pairing):
        return hint
    sides = _prepare(reference, prediction, merge=pairing is None)
    if sides is None:
        return None
    gold, other, gold_twins, other_twins = sides

    size = len(gold.columns) * len(gold.row_colours)
    search = _Search(Budget(limit + 16 * size))

    def accept(found: list[int]) -> tuple[int, ...] | None:
        columns = _expand(found, gold_twins, other_twins, width)
        return columns if fits(reference, prediction, columns, pairing) else None

    return search.run(gold, other, accept)


def _match_signatures(reference: Bag, prediction: Bag) -> tuple[int, ...] | bool:
    """The columns told apart by their bags of values alone.

    False: some column has no counterpart. True: several columns have the same values, so more work is needed.
    """
    theirs, ours = (
        [frozenset(Counter(column).items()) for column in zip(*bag.rows, strict=True)]
        for bag in (reference, prediction)
    )
    places = {signature: i for i, signature in enumerate(ours)}
    if len(set(theirs)) != len(places) or not all(signature in places for signature in theirs):
        return False
    if len(places) == len(ours):
        return tuple([places[signature] for signature in theirs])
    return Counter(theirs) == Counter(ours)


def _prepare(
    reference: Bag, prediction: Bag, *, merge: bool
) -> tuple[_Side, _Side, list[list[int]], list[list[int]]] | None:
    """Both tables coded, equal rows (and, with `merge`, equal columns) merged; None where the counts already part."""
    codes: dict[Any, int] = {}
    labels: dict[Hashable, int] = {}
    merged = [_merged(bag, codes, labels, merge) for bag in (reference, prediction)]
    (gold, gold_twins), (other, other_twins) = merged
    same = len(gold.row_colours) == len(other.row_colours) and len(gold.columns) == len(other.columns)
    return (gold, other, gold_twins, other_twins) if same else None


def _merged(bag: Bag, codes: dict[Any, int], labels: dict[Hashable, int], merge: bool) -> tuple[_Side, list[list[int]]]:
    """Distinct rows coloured by (label, count), distinct columns coloured by how many are the same."""
    counted = Counter(bag.labelled())
    rows = [key if bag.labels is None else key[1] for key in counted]
    marks = [(None if bag.labels is None else key[0], count) for key, count in counted.items()]
    row_colours = [labels.setdefault(mark, len(labels)) for mark in marks]
    twins: dict[Any, list[int]] = {}
    coded: list[list[int]] = []
    for i, column in enumerate(zip(*rows, strict=True)):
        codes_here = [codes.setdefault(value, len(codes)) for value in column]
        same = twins.setdefault(tuple(codes_here) if merge else i, [])
        if not same:
            coded.append(codes_here)
        same.append(i)
    return _Side(coded, row_colours, [len(same) for same in twins.values()]), list(twins.values())


def _expand(found: list[int], gold_twins: list[list[int]], other_twins: list[list[int]], width: int) -> tuple[int, ...]:
    """Merged columns unfolded: equal columns are interchangeable."""
    columns = [0] * width
    for mine, theirs in enumerate(found):
        for i, j in zip(gold_twins[mine], other_twins[theirs], strict=True):
            columns[i] = j
    return tuple(columns)


class _Search:
    """Refine, and where columns stay alike single one out on both sides, depth-first.

    The gold's side goes one way only, so each of its steps is refined once and kept; the other side has to follow it.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.steps: list[tuple[_Side, list[int]]] = []

    def run(self, gold: _Side, other: _Side, accept: Accept) -> tuple[int, ...] | None:
        """The first column assignment that is accepted."""
        self.steps = [(gold, _refine(gold, None, self.budget))]
        return self._follow(0, other, accept)

    def _follow(self, depth: int, other: _Side, accept: Accept) -> tuple[int, ...] | None:
        gold, trace = self.steps[depth]
        if len(_refine(other, trace, self.budget)) != len(trace):
            return None
        classes = Counter(gold.column_colours)
        if len(classes) == len(gold.columns):
            where = {colour: j for j, colour in enumerate(other.column_colours)}
            return accept([where[colour] for colour in gold.column_colours])
        shared = min((size, colour) for colour, size in classes.items() if size > 1)[1]
        if len(self.steps) == depth + 1:
            single = _single_out(gold, gold.column_colours.index(shared))
            self.steps.append((single, _refine(single, None, self.budget)))
        for candidate, colour in enumerate(other.column_colours):
            if colour == shared:
                found = self._follow(depth + 1, _single_out(other, candidate), accept)
                if found is not None:
                    return found
        return None


def _single_out(side: _Side, column: int) -> _Side:
    colours = list(side.column_colours)
    colours[column] = -1
    return _Side(side.columns, side.row_colours, colours)


def _refine(side: _Side, trace: list[int] | None, budget: Budget) -> list[int]:
    """Split colours until stable, in place, and return the trace: one number for what each step found.

    Sides that follow the same trace have comparable colours. With a `trace` to follow, stops (short) where the side
    parts from it.
    """
    steps: list[int] = []
    parts = -1
    while True:
        budget.spend(len(side.columns) * len(side.row_colours))
        side.row_colours, seen = _numbered(_row_marks(side))
        steps.append(seen)
        if trace is not None and trace[: len(steps)] != steps:
            return steps[:-1]
        side.column_colours, seen = _numbered(_column_marks(side))
        steps.append(seen)
        if trace is not None and trace[: len(steps)] != steps:
            return steps[:-1]
        now = len(set(side.row_colours)) + len(set(side.column_colours))
        if now == parts:
            return steps
        parts = now


def _numbered(marks: list[Mark]) -> tuple[list[int], int]:
    """(colours 0, 1, ... in the order of the marks, a number for the whole bag of marks)."""
    counts = sorted(Counter(marks).items())
    colours = {mark: i for i, (mark, _) in enumerate(counts)}
    return [colours[mark] for mark in marks], hash(tuple(counts))


def _row_marks(side: _Side) -> list[Mark]:
    """(colour, sum of hashes of (column colour, value)) of each row."""
    sums = [0] * len(side.row_colours)
    for colour, column in zip(side.column_colours, side.columns, strict=True):
        table = {code: hash((colour, code, 0x9E37)) for code in set(column)}
        sums = list(map(add, sums, map(table.__getitem__, column)))
    return list(zip(side.row_colours, sums, strict=True))


def _column_marks(side: _Side) -> list[Mark]:
    """(colour, sum of hashes of (row colour, value)) of each column."""
    return [
        (colour, sum(map(hash, zip(side.row_colours, column, strict=True))))
        for colour, column in zip(side.column_colours, side.columns, strict=True)
    ]
