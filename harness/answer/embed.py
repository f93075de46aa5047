"""Columns laid onto columns where the sides differ in size: extra columns in the prediction, or a pool of tied rows.

Depth-first, one gold column after the other (fewest candidates first); after each step the bag of row prefixes of the
prediction must be contained in the pool's. Bounded by work like the search of module `columns`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from harness.answer.bags import Bag, Pairing, contained, fits
from harness.answer.columns import WORK_LIMIT, Budget


@dataclass(slots=True)
class _Search:
    """The coded columns of both sides and what is chosen so far."""

    pool: Bag
    prediction: Bag
    pairing: Pairing | None
    theirs: list[list[int]]
    ours: list[list[int]]
    order: list[int]
    candidates: list[list[int]]
    budget: Budget
    equal: bool
    chosen: dict[int, int] = field(default_factory=dict)


def embed_columns(
    pool: Bag,
    prediction: Bag,
    width: int,
    pairing: Pairing | None = None,
    *,
    hint: tuple[int, ...] | None = None,
    limit: int = WORK_LIMIT,
) -> tuple[int, ...] | None:
    """For each of the pool's `width` columns a prediction column of its own, so that its rows lie in the pool.

    The prediction has at most as many rows and at least as many columns. Raises `UndecidedError` past the work limit.
    """
    have = len(prediction.rows[0]) if prediction.rows else width
    if have < width or len(prediction.rows) > len(pool.rows):
        return None
    identity = tuple(range(width))
    if not prediction.rows or fits(pool, prediction, identity, pairing):
        return identity
    if hint is not None and fits(pool, prediction, hint, pairing):
        return hint
    codes: dict[Any, int] = {}
    theirs, ours = _coded(pool, width, codes), _coded(prediction, have, codes)
    equal = len(pool.rows) == len(prediction.rows)
    labels: dict[Any, int] = {}
    start_theirs, start_ours = _label_codes(pool, labels), _label_codes(prediction, labels)
    budget = Budget(limit + 4 * (width + have) * len(pool.rows))
    candidates = _candidates(theirs, ours, start_theirs, start_ours, equal)
    if not all(candidates):
        return None
    order = sorted(range(width), key=lambda i: len(candidates[i]))
    search = _Search(pool, prediction, pairing, theirs, ours, order, candidates, budget, equal)
    return _extend(search, 0, start_theirs, start_ours)


def _coded(bag: Bag, width: int, codes: dict[Any, int]) -> list[list[int]]:
    flat = [codes.setdefault(value, len(codes)) for value in chain.from_iterable(bag.rows)]
    return [flat[i::width] for i in range(width)]


def _label_codes(bag: Bag, labels: dict[Any, int]) -> list[int]:
    if bag.labels is None:
        return [0] * len(bag.rows)
    return [labels.setdefault(label, len(labels)) for label in bag.labels]


def _candidates(
    theirs: list[list[int]], ours: list[list[int]], their_labels: list[int], our_labels: list[int], equal: bool
) -> list[list[int]]:
    """For each gold column the prediction's columns whose values fit by themselves."""
    our_counts = [Counter(zip(our_labels, column, strict=True)) for column in ours]
    found = []
    for column in theirs:
        counts = Counter(zip(their_labels, column, strict=True))
        found.append([j for j, mine in enumerate(our_counts) if contained(mine, counts, equal=equal)])
    return found


def _extend(search: _Search, depth: int, their_prefix: list[int], our_prefix: list[int]) -> tuple[int, ...] | None:
    if depth == len(search.order):
        columns = tuple(search.chosen[i] for i in range(len(search.order)))
        return columns if fits(search.pool, search.prediction, columns, search.pairing) else None
    gold_column = search.order[depth]
    ids: dict[tuple[int, int], int] = {}
    their_next = _prefixes(their_prefix, search.theirs[gold_column], ids)
    their_counts = Counter(their_next)
    used = set(search.chosen.values())
    tried: set[tuple[int, ...]] = set()
    for column in search.candidates[gold_column]:
        if column in used or (same := tuple(search.ours[column])) in tried:
            continue
        tried.add(same)
        search.budget.spend(2 * len(same))
        our_next = _prefixes(our_prefix, search.ours[column], ids)
        if contained(Counter(our_next), their_counts, equal=search.equal):
            search.chosen[gold_column] = column
            found = _extend(search, depth + 1, their_next, our_next)
            if found is not None:
                return found
            del search.chosen[gold_column]
    return None


def _prefixes(prefix: Sequence[int], column: Sequence[int], ids: dict[tuple[int, int], int]) -> list[int]:
    return [ids.setdefault(pair, len(ids)) for pair in zip(prefix, column, strict=True)]
