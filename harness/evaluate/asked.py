"""One statement run in a confined worker for its rows: what `harness ask` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import DataError
from harness.records import Database
from harness.sandbox.engine import Failure
from harness.sandbox.jobs import Job
from harness.sandbox.pool import Pool
from harness.sandbox.script_space import ScriptSpace
from harness.sandbox.watchdog import Watchdog
from harness.scoring.desk import Desk
from harness.scoring.gold import run_reading
from harness.scoring.outcomes import reason_of
from harness.scoring.settings import ScoreSettings
from harness.sqltext import Kind, statement_kind

_TASK = "harness.evaluate.asked:build"
_ROWS_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Rows:
    """A statement's result as JSON can hold it."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """Numbers, text, true, false and null as they are; everything else as text."""
    error: str = ""
    """Why there are no rows."""


def rows_of(sql: str, database: Database, settings: ScoreSettings) -> Rows:
    """Run one reading statement on a schema in a worker process."""
    with Pool(_TASK, settings, workers=1, memory_bytes=settings.memory_bytes) as pool:
        (answer,) = pool.run(iter([Job((sql, database))]))
    if answer.lost:
        return Rows((), (), f"The statement did not end within its limits ({answer.lost}).")
    return Rows(answer.body["columns"], answer.body["rows"], answer.body["error"])


class Asked:
    """The worker's side."""

    def __init__(self, settings: ScoreSettings, watchdog: Watchdog) -> None:
        self._settings = settings
        self._desk = Desk(settings, watchdog)

    def answer(self, payload: tuple[str, Database], partial: Any) -> tuple[dict[str, Any], bytes]:
        """Rows, or the sentence that says why there are none."""
        sql, database = payload
        try:
            return self._rows(sql, database), b""
        except Failure as failure:
            self._desk.discard()
            return _failed(reason_of(failure)), b""
        except DataError as error:
            return _failed(str(error)), b""
        finally:
            self._desk.give_back()

    def _rows(self, sql: str, database: Database) -> dict[str, Any]:
        space = self._desk.lend(database, (sql,))
        error = self._loaded(space, database) if isinstance(space, ScriptSpace) else ""
        if error:
            return _failed(f"The schema does not load: {error}")
        if statement_kind(sql) is not Kind.READ:
            return _failed("The answer is no reading statement, so it was not run.")
        try:
            table, _, _ = run_reading(space, sql, self._settings.gold_seconds, self._settings)
        except Failure as failure:
            return _failed(reason_of(failure))
        rows = [[_plain(value) for value in row] for row in table.rows[:_ROWS_SHOWN]]
        return {"columns": list(table.columns), "rows": rows, "error": ""}

    def _loaded(self, space: ScriptSpace, database: Database) -> str:
        """Set the tables up; DuckDB's words where it cannot be done."""
        try:
            errors = space.load_script(database.script, self._settings.dialects)
        except Failure as failure:
            return reason_of(failure)
        return errors[0] if errors else ""


def _failed(reason: str) -> dict[str, Any]:
    return {"columns": [], "rows": [], "error": reason}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    return str(value)


def build(options: ScoreSettings, watchdog: Watchdog) -> Asked:
    """What a worker builds for this task."""
    return Asked(options, watchdog)
