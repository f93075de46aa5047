"""What is compared: one fetched result as a value. No I/O, no DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.records import Outcome


@dataclass(frozen=True, slots=True)
class Table:
    """One result: column names (repeats kept), DuckDB type names, and rows as tuples of Python values."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool = False
    """True where fetching stopped at the row limit: the rest is unknown, and the table must not be compared."""


State = Mapping[str, Table]
"""A database after a writing statement: table or view name (any case) -> its contents."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The judgement of one prediction against one gold, every rule from the same pair of tables."""

    matches: Mapping[str, bool]
    """Rule name (`harness.records.RULES`, `test_suite` only where asked for) -> match."""
    outcome: Outcome
    """`correct`, `vacuous_match` or one of the `wrong_*`: what the default rule says."""
    reason: str = ""
    """One sentence a person can act on; empty only for `correct`."""
    vacuous: bool = False
    """Both sides empty with the same number of columns: right, but it tells little."""
    note: str = ""
    """What made the gold's answer one of several right ones (a LIMIT through tied rows); else empty."""

    @property
    def is_match(self) -> bool:
        """True where the default rule calls the prediction right."""
        return self.outcome.is_match
