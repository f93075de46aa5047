"""Where the wall time went: seconds by phase, exclusive of each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_spent: Counter[str] = Counter()


def spend(name: str, seconds: float) -> None:
    """Note seconds of a kind of work deep inside another phase; `spent` tells how many there were so far."""
    _spent[name] += seconds  # type: ignore[assignment]


def spent(name: str) -> float:
    """Return the seconds this process has noted under `name` so far."""
    return float(_spent[name])


class Phases:
    """Wall seconds by phase; a phase inside another counts for itself alone, so that the sum is the wall time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.begun = time.perf_counter()
        self._open: list[list[float]] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the time spent in the block, less that of phases inside it, to a phase."""
        start = time.perf_counter()
        inner = [0.0]
        self._open.append(inner)
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._open.pop()
            self.add(name, spent - inner[0])
            if self._open:
                self._open[-1][0] += spent

    def add(self, name: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def split(self, name: str, parts: dict[str, float]) -> None:
        """Take parts out of a phase under names of their own; together they never exceed what the phase took."""
        whole = self.seconds.get(name, 0.0)
        wanted = sum(max(0.0, part) for part in parts.values())
        scale = min(1.0, whole / wanted) if wanted > 0 else 0.0
        for part, seconds in parts.items():
            if seconds > 0:
                self.add(part, seconds * scale)
                self.seconds[name] -= seconds * scale

    @property
    def wall_seconds(self) -> float:
        """Seconds since this was made."""
        return time.perf_counter() - self.begun
