"""The prompts an engine works through, and what a pass over them took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

STEPS = 16
"""Decode steps between two looks at which sequences are done."""
_WIDTH = 64
"""Positions are rounded up to this, so that a like benchmark reuses the cache of the last."""


@dataclass(frozen=True, slots=True)
class Work:
    """One prompt as ids, and how many ids may answer it."""

    number: int
    ids: Sequence[int]
    limit: int
    id: str = ""
    """Of the request it comes from."""


@dataclass(slots=True)
class Counts:
    """What one pass over the prompts took."""

    prompt_tokens: int = 0
    padded_tokens: int = 0
    output_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    seconds: float = 0.0
    steps: int = 0
    peak_memory_bytes: int | None = None
    joules: float | None = None
    tokenise_seconds: float = 0.0
    compile_seconds: float = 0.0
    """Weights taken, kernels compiled, steps captured: in no other count of seconds."""
    first_token: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of reading prompts together, and how many."""
    between: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of a decode step, and the tokens that came so."""
    notes: list[str] = field(default_factory=list)

    def add(self, groups: Sequence[Sequence[Work]], spans: Sequence[float], captured: float, tokens: int) -> None:
        """Count a turn: the seconds of reading each group, then those of its decode steps, capturing included."""
        *reading, decoding = spans
        self.first_token.extend((seconds, len(group)) for seconds, group in zip(reading, groups, strict=True))
        self.prompt_tokens += sum(len(work.ids) for group in groups for work in group)
        self.prefill_seconds += sum(reading)
        self.decode_seconds += decoding - captured
        self.seconds += sum(spans) - captured
        self.compile_seconds += captured
        self.output_tokens += tokens
        self.steps += STEPS


def room_for(works: Sequence[Work]) -> tuple[int, int]:
    """Return the positions a slot must have, and how many of them new."""
    new = max(work.limit for work in works)
    positions = max(len(work.ids) + work.limit for work in works) + STEPS
    return -(-positions // _WIDTH) * _WIDTH, new


def longest_first(works: Sequence[Work]) -> list[Work]:
    """The order of reading: memory that suffices for the first suffices for all."""
    return sorted(works, key=lambda work: (-len(work.ids), work.number))


def read_together(waiting: Sequence[Work], at: int, free: int, positions: int) -> list[Work]:
    """The next prompts that are read together: at most so many positions, as wide as the first, the longest."""
    width = len(waiting[at].ids)
    count = max(1, min(free, positions // max(1, width)))
    return list(waiting[at : at + count])
