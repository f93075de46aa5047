"""The worker's side of an audit: one item's golds, asked twice, and what is odd about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from harness.answer import Table, compare
from harness.errors import DataError
from harness.records import Database, Outcome
from harness.sandbox.engine import PLACES, Failure
from harness.sandbox.file_space import FileSpace
from harness.sandbox.script_space import ScriptSpace
from harness.sandbox.watchdog import Watchdog
from harness.sandbox.worker import Reply
from harness.scoring.case import fault_at
from harness.scoring.desk import Desk
from harness.scoring.gold import CLOCK_WORDS, VOLATILE, Gold, ask_gold
from harness.scoring.outcomes import reason_of
from harness.scoring.question import STAGE_GOLD, STAGE_SCHEMA
from harness.scoring.settings import ScoreSettings

_OTHER_THREADS = 4
_SEED = 20_011


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a worker is asked: the golds of one item on its database."""

    database: Database
    golds: tuple[str, ...]


class Inspector:
    """Answers `Inspection`s with one finding a gold; keeps two DuckDBs, the second with more threads."""

    def __init__(self, settings: ScoreSettings, watchdog: Watchdog) -> None:
        self._settings, self._watchdog = settings, watchdog
        self._desk = Desk(settings, watchdog)
        self._other = Desk(settings, watchdog, threads=_OTHER_THREADS)

    def answer(self, payload: Inspection, partial: Reply | None) -> tuple[dict[str, Any], bytes]:
        """`outcome` (empty: usable), `reason`, `road`, `schema_roads`, `findings` of the item's best gold."""
        best: dict[str, Any] | None = None
        for sql in payload.golds:
            try:
                found = self._inspect(payload.database, sql)
            except Failure as failure:
                self._desk.discard()
                found = fault_at(self._watchdog.stage, reason_of(failure), failure.kind) | {"findings": []}
            finally:
                self._desk.give_back()
            if best is None or (best["outcome"] and not found["outcome"]):
                best = found
        return best or {"outcome": Outcome.GOLD_ERROR.value, "reason": "the item has no gold", "findings": []}, b""

    def _inspect(self, database: Database, sql: str) -> dict[str, Any]:
        self._watchdog.stage = STAGE_SCHEMA
        try:
            space = self._desk.lend(database, (sql,))
            errors = _load(space, database, self._settings)
        except DataError as error:
            errors = (str(error),)
        if errors:
            words = f"the schema cannot be loaded: {' '.join(errors[0].split())[:300]}"
            return {"outcome": Outcome.GOLD_UNLOADABLE.value, "reason": words, "findings": []}
        self._watchdog.stage = STAGE_GOLD
        gold = ask_gold(space, sql, (), self._settings)
        findings = _findings(gold, sql)
        if gold.fault is None and gold.table is not None and not self._same_again(database, gold):
            findings.append("nondeterministic")
        return {
            "outcome": gold.fault.value if gold.fault is not None else "",
            "reason": gold.reason,
            "road": gold.road,
            "findings": findings,
        }

    def _same_again(self, database: Database, gold: Gold) -> bool:
        """The same answer with the rows in another order and more threads; True too where it cannot be asked."""
        assert gold.table is not None
        try:
            space = self._other.lend(database, (gold.sql,))
            if _load(space, database, self._settings):
                return True
            with space.shuffled(_SEED):
                again, _ = space.query(gold.sql, self._settings.gold_seconds)
        except Failure as failure:
            if failure.kind in PLACES:
                self._other.discard()
            return True
        finally:
            self._other.give_back()
        return compare(gold.table, again, gold.plan, gold.keyed, tolerance=self._settings.tolerance).is_match


def _load(space: ScriptSpace | FileSpace, database: Database, settings: ScoreSettings) -> tuple[str, ...]:
    return space.load_script(database.script, settings.dialects) if isinstance(space, ScriptSpace) else ()


def _findings(gold: Gold, sql: str) -> list[str]:
    """What a person should know of a gold although it can be scored."""
    found = []
    if VOLATILE.search(sql):
        found.append("random")
    if CLOCK_WORDS.search(sql):
        found.append("clock")
    if gold.fault is not None:
        return found
    if gold.writes and not gold.changes:
        found.append("no_op_write")
    if gold.table is not None:
        if not gold.table.rows:
            found.append("empty")
        if _cuts_a_tie(gold, gold.table):
            found.append("tie_under_limit")
    return found


def _cuts_a_tie(gold: Gold, table: Table) -> bool:
    """The gold's LIMIT leaves out rows that are as good as one it kept."""
    if gold.plan is None or not gold.plan.may_cut(table):
        return False
    # any other table will do: the note is about the gold
    other = replace(table, rows=[*table.rows, *table.rows[:1]])
    return bool(compare(table, other, gold.plan, gold.keyed).note)


def build(options: ScoreSettings, watchdog: Watchdog) -> Inspector:
    """What a worker builds for `harness.scoring.inspect:build`."""
    return Inspector(options, watchdog)
