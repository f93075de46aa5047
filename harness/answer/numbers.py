"""Numbers that are the same within the tolerance, as hash keys: sound where rounding to buckets is not.

`close(a, b)`: equal, or within `tolerance` relative to the larger (plus a floor of `tolerance` * 1e-6 absolute, so that
0.1 + 0.2 - 0.3 is 0). Two integers are close only where equal: integers do not round, and ids above 1e6 would else melt together.

Closeness is no equivalence: 1, 1 + 0.9e-6 and 1 + 1.8e-6 are a chain. All numbers of both tables are sorted and linked; a
component in which everybody is close to everybody becomes one hash key. A longer component becomes one key too, which is
then necessary but not sufficient, and `Numbers.chained` tells the caller to check rows pair by pair (module `bags`).
So two tables match where some pairing of rows has every number close: exact, symmetric, and monotone in the tolerance.
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
    order = sorted(inexact, key=float)
    whole = sorted(integers)
    components: list[list[Any]] = []
    last_integer: int | None = None
    previous: Any = None
    for number in order:
        near = _near(whole, number, tolerance)
        joined = previous is not None and close(previous, number, tolerance)
        joined = joined or (bool(near) and last_integer is not None and near[0] <= last_integer)
        if joined:
            components[-1].append(number)
            components[-1].extend(near)
        else:
            components.append([number, *near])
            last_integer = None
        if near:
            last_integer = near[-1] if last_integer is None else max(last_integer, near[-1])
        previous = number
    keys: dict[Any, Any] = {}
    chained = False
    for component in components:
        if len(component) == 1:
            continue
        chained = chained or not _is_clique(component, tolerance)
        keys.update(dict.fromkeys(component, component[0]))
    return Numbers(keys, chained)


def _near(whole: list[int], number: Any, tolerance: float) -> list[int]:
    """The integers close to an inexact number, in order."""
    if not whole:
        return []
    centre = float(number)
    reach = abs(centre) * tolerance * 1.01 / (1 - tolerance) + tolerance * FLOOR_SHARE
    start, stop = bisect_left(whole, centre - reach), bisect_right(whole, centre + reach)
    return [integer for integer in whole[start:stop] if close(integer, number, tolerance)]


def _is_clique(component: list[Any], tolerance: float) -> bool:
    if len({number for number in component if isinstance(number, int)}) > 1:
        return False
    return close(float(min(component, key=float)), float(max(component, key=float)), tolerance)


def close_rows(one: Row, other: Row, tolerance: float) -> bool:
    """True where two canonical rows are the same cell by cell."""
    return all(close_cells(a, b, tolerance) for a, b in zip(one, other, strict=True))
