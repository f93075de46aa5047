"""DuckDB's rows as a `Table`, nothing lost: the one place that touches DuckDB, through the object passed in."""

from __future__ import annotations

from typing import Any, Protocol

from harness.answer.table import Table


class Executed(Protocol):
    """What a DuckDB connection (after `execute`), cursor or relation offers."""

    @property
    def description(self) -> list[tuple[Any, ...]] | None: ...

    def fetchmany(self, size: int, /) -> list[tuple[Any, ...]]: ...


def fetch(executed: Executed, max_rows: int) -> Table:
    """At most `max_rows` rows of an executed statement; `truncated` says that there are more."""
    described = executed.description or []
    rows = executed.fetchmany(max_rows + 1) if described else []
    return Table(
        columns=tuple(column[0] for column in described),
        types=tuple(str(column[1]) for column in described),
        rows=rows[:max_rows],
        truncated=len(rows) > max_rows,
    )
