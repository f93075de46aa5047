"""What a worker is asked about one item, and the stages it goes through with it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records import Database
from harness.suite.record import Trial

STAGE_SCHEMA, STAGE_GOLD, STAGE_PREDICTION, STAGE_SUITE = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Question:
    """What a worker is asked."""

    database: Database
    golds: tuple[str, ...]
    keys: tuple[str, ...]
    """Cache key of each gold."""
    known: tuple[bytes | None, ...]
    """The packed answer of each gold, where the cache has it."""
    text: str
    """The completion, or the SQL itself."""
    is_sql: bool = False
    finished: bool = True
    suites: tuple[Trial | None, ...] = ()
    """The witnesses of each gold, None where it has none; empty: no suite is asked for."""
    suite_always: bool = False
    """Ask the suite even where the prediction is the gold's own text (for measuring the suite itself)."""
