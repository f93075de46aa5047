"""Numbers that are the same within the tolerance, as hash keys: sound where rounding to buckets is not.

`close(a, b)`: equal, or within `tolerance` relative to the larger (plus a floor of `tolerance` * 1e-6 absolute, so that
0.1 + 0.2 - 0.3 is 0). Two integers are close only where equal: integers do not round, and ids above 1e6 would else
melt together.

Closeness is no equivalence: 1, 1 + 0.9e-6 and 1 + 1.8e-6 are a chain. All numbers of both tables are sorted and
linked; a component in which everybody is close to everybody becomes one hash key. A longer component becomes one key
too, which is then necessary but not sufficient, and `Numbers.chained` tells the caller to check rows pair by pair
(module `bags`). So two tables match where some pairing of rows has every number close: exact, symmetric, and
monotone in the tolerance.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

from harness.answer.values import Row, Rows

FLOOR_SHARE = 1e-6
"""Absolute floor as a share of the tolerance: 1e-12 for the usual 1e-6."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """How the numbers of some tables are exchanged for hash keys."""

    keys: dict[Any, Any]
    """Number -> the member that stands for its component; numbers that stand for themselves are left out."""
    chained: bool
    """Some component holds two numbers that are not close: equal keys do not suffice."""


def close(a: Any, b: Any, tolerance: float) -> bool:
    """True where two numbers are the same within the tolerance."""
    if a == b:
        return True
    if tolerance == 0 or (isinstance(a, int) and isinstance(b, int)):
        return False
    x, y = float(a), float(b)
    if math.isinf(x) or math.isinf(y):
        return False
    return abs(x - y) <= max(tolerance * max(abs(x), abs(y)), tolerance * FLOOR_SHARE)


def close_cells(a: Any, b: Any, tolerance: float) -> bool:
    """True where two canonical cells are the same within the tolerance, nested values item by item."""
    if a == b:
        return True
    if isinstance(a, (int, float, Decimal)) and isinstance(b, (int, float, Decimal)):
        return close(a, b, tolerance)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(close_cells(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return _close_entries(a, b, tolerance)
    return False


def _close_entries(a: frozenset[Any], b: frozenset[Any], tolerance: float) -> bool:
    """Entries of a STRUCT or MAP: each of `a` takes the first free close one of `b`."""
    free = list(b)
    for entry in a:
        found = next((i for i, other in enumerate(free) if close_cells(entry, other, tolerance)), None)
        if found is None:
            return False
        del free[found]
    return not free


def collect(tables: Iterable[Rows], nested: bool) -> tuple[set[int], set[Any]]:
    """(integers and booleans, finite decimals and floats) of canonical rows."""
    cells: Iterable[Any] = chain.from_iterable(chain.from_iterable(tables))
    if nested:
        cells = _flatten(cells)
    integers: set[int] = set()
    inexact: set[Any] = set()
    for value in cells:
        kind = type(value)
        if kind is float or kind is Decimal:
            inexact.add(value)
        elif kind is int or kind is bool:
            integers.add(value)
    inexact.discard(math.inf)
    inexact.discard(-math.inf)
    return integers, inexact


def _flatten(cells: Iterable[Any]) -> Iterable[Any]:
    for value in cells:
        if isinstance(value, (tuple, frozenset)):
            yield from _flatten(value)
        else:
            yield value


def link(integers: set[int], inexact: set[Any], tolerance: float) -> Numbers:
    """Components of the closeness among these numbers."""
    if not inexact or tolerance == 0:
        return Numbers({}, False)
    keys: dict[Any, Any] = {}
    chained = False
    for component in _components(integers, inexact, tolerance):
        chained = chained or not _is_clique(component, tolerance)
        keys.update(dict.fromkeys(component, component[0]))
    return Numbers(keys, chained)


def _components(integers: set[int], inexact: set[Any], tolerance: float) -> list[list[Any]]:
    """Groups of different numbers that hang together; numbers that stand alone are left out.

    Every link has an inexact end. Seen in ascending order, an inexact number joins the group before it where it is
    close to the last inexact number, or where both are close to one integer.
    """
    order = sorted([(float(number), number) for number in inexact], key=_size)
    whole = sorted(integers)
    floor = tolerance * FLOOR_SHARE
    widened = tolerance * 1.01 / (1 - tolerance)
    groups: list[list[Any]] = []
    group: list[Any] = []
    reached = previous = -math.inf  # the largest integer of the group, the inexact number before
    for size, number in order:
        near: list[int] = []
        if whole:
            reach = abs(size) * widened + floor
            start = bisect_left(whole, size - reach)
            if start < len(whole) and whole[start] <= size + reach:
                stop = bisect_right(whole, size + reach)
                near = [integer for integer in whole[start:stop] if close(integer, number, tolerance)]
        difference = size - previous
        joined = difference <= floor or difference <= tolerance * max(abs(size), abs(previous))
        if group and (joined or (near and near[0] <= reached)):
            group.append(number)
        else:
            if len(group) > 1:
                groups.append(group)
            group, reached = [number], -math.inf
        previous = size
        if near:
            group.extend(near)
            reached = near[-1]
    if len(group) > 1:
        groups.append(group)
    return groups


def _size(pair: tuple[float, Any]) -> float:
    return pair[0]


def _is_clique(component: list[Any], tolerance: float) -> bool:
    whole = {number for number in component if isinstance(number, int)}
    if len(whole) > 1:
        return False
    sizes = [float(number) for number in component]
    return close(min(sizes), max(sizes), tolerance)


def close_rows(one: Row, other: Row, tolerance: float) -> bool:
    """True where two canonical rows are the same cell by cell."""
    return all(close_cells(a, b, tolerance) for a, b in zip(one, other, strict=True))
