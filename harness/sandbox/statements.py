"""The plainest task: one reading statement over one script's tables, its rows as text for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.sandbox.engine import PLACES, Engine, EngineSettings, Failure
from harness.sandbox.watchdog import Watchdog
from harness.sandbox.worker import Reply
from harness.sqltext import Kind


@dataclass(frozen=True, slots=True)
class Statement:
    """What is asked: `script` sets the tables up, `sql` reads them."""

    sql: str
    script: str = ""
    seconds: float = 10.0
    max_rows: int = 1000


class StatementTask:
    """Answers `Statement`s on one kept connection."""

    def __init__(self, settings: EngineSettings, watchdog: Watchdog) -> None:
        self._settings, self._watchdog = settings, watchdog
        self._engine = Engine(settings, watchdog)

    def answer(self, payload: Statement, partial: Reply | None) -> tuple[dict[str, Any], bytes]:
        """`columns`, `types`, `rows` (cells as text, None for NULL), `more`, `seconds`; or `error` and `kind`."""
        try:
            return self._answer(payload), b""
        except Failure as failure:
            body: dict[str, Any] = {"error": failure.message, "kind": failure.kind}
            if failure.kind in PLACES:
                self._engine.close()
                self._engine = Engine(self._settings, self._watchdog)
                body |= {"doubt": True, "retire": failure.kind != "timeout"}
            return body, b""

    def _answer(self, asked: Statement) -> dict[str, Any]:
        kind = self._engine.kind(asked.sql)
        if len(self._engine.statements(asked.sql)) != 1:
            raise Failure("forbidden", "only a single statement is run")
        if kind is not Kind.READ:
            raise Failure("forbidden", f"only a reading statement is run, this one would {kind.value}")
        self._engine.run("BEGIN", asked.seconds)
        try:
            if asked.script:
                if self._engine.kind(asked.script) is Kind.FORBIDDEN:
                    raise Failure("forbidden", "the schema has a statement that is neither CREATE, INSERT nor the like")
                self._engine.run(asked.script, asked.seconds)
            table, seconds = self._engine.query(asked.sql, asked.seconds, asked.max_rows)
        finally:
            self._engine.run("ROLLBACK", asked.seconds)
        return {
            "columns": table.columns,
            "types": table.types,
            "rows": [[None if cell is None else str(cell) for cell in row] for row in table.rows],
            "more": table.truncated,
            "seconds": seconds,
        }


def build(options: EngineSettings, watchdog: Watchdog) -> StatementTask:
    """What a worker builds for `harness.sandbox.statements:build`."""
    return StatementTask(options, watchdog)
