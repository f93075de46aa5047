"""One question on its way to a verdict: golds recalled or asked, the prediction run, every rule judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from harness.dialect import Catalog
from harness.errors import DataError
from harness.records import RULES, Database, Outcome
from harness.sandbox.file_space import FileSpace
from harness.sandbox.script_space import ScriptSpace
from harness.scoring.gold import Gold, ask_gold
from harness.scoring.grades import Grades, gold_form
from harness.scoring.question import STAGE_GOLD, STAGE_PREDICTION, STAGE_SCHEMA, Question
from harness.scoring.ruling import Ruling, refusal, run, same_text, wrong
from harness.scoring.settings import ScoreSettings

_MAX_PACKED = 8 * 2**20


class Bench(Protocol):
    """What a case needs of the worker it runs in."""

    settings: ScoreSettings

    def stage(self, stage: int) -> None:
        """Say what runs now."""

    def lend(self, database: Database, statements: tuple[str, ...]) -> ScriptSpace | FileSpace:
        """Tables for the case, which will run these statements in them."""

    def recall(self, key: str, packed: bytes | None) -> Gold | None:
        """A gold this worker has had, or one from the cache."""

    def keep(self, key: str, gold: Gold) -> None:
        """Remember a gold for the next items that have it."""


class Case:
    """One question on its way to a verdict: tables are set up only when something has to run."""

    def __init__(self, asked: Question, sql: str, judge: Bench, announce: Callable[[dict[str, bool]], None]) -> None:
        """`announce` is told the grades of exact match before the prediction runs: it may not live to tell them."""
        self._asked, self._sql, self._judge, self._settings = asked, sql, judge, judge.settings
        self._announce = announce
        self._grades = Grades(asked.golds, sql, judge.settings.dialects)
        self._names: Catalog | None = None
        self._space: ScriptSpace | FileSpace | None = None
        self.fresh: dict[str, bytes] = {}
        self.matched: Gold | None = None
        """The gold that the prediction matches under the default rule ..."""
        self.matched_at = 0
        """... and its index."""

    def decide_again(self) -> dict[str, Any] | None:
        """The verdict's document against the next gold that the prediction matches too; None where there is none."""
        start = self.matched_at + 1
        # another job has had the tables in the meantime
        self.matched, self._space = None, None
        found = self.decide(start) if start < len(self._asked.golds) else None
        return found if self.matched is not None else None

    def decide(self, start: int = 0) -> dict[str, Any]:
        """The verdict's document, less what the text alone told; golds before `start` are passed over."""
        best: dict[str, Any] | None = None
        for index, (sql, key, packed) in enumerate(
            zip(self._asked.golds, self._asked.keys, self._asked.known, strict=True)
        ):
            if index < start:
                continue
            gold = self._judge.recall(key, packed) or self._ask(sql, key)
            ruled = self._ruled(gold, sql) | {"gold_index": index, "gold_road": gold.road}
            if gold.fault is None:
                ruled["gold_rows"] = len(gold.table.rows) if gold.table is not None else None
            if best is None or _rank(ruled) > _rank(best):
                best = ruled
            if Outcome(ruled["outcome"]).is_match:
                self.matched, self.matched_at = gold, index
                break
        assert best is not None
        self._grades.compare_rest(self._names)
        return best | self._grades.document()

    # -- the gold

    def _ask(self, sql: str, key: str) -> Gold:
        gold = self._load()
        if gold is None:
            assert self._space is not None
            self._judge.stage(STAGE_GOLD)
            statements = self._space.statements if isinstance(self._space, ScriptSpace) else ()
            # the names are those of the tables before a gold writes
            form = gold_form(sql, self._settings.dialects, self._space.catalog)
            gold = replace(ask_gold(self._space, sql, statements, self._settings), form=form)
        self._judge.keep(key, gold)
        if self._settings.cache_dir:
            packed = gold.pack()
            if len(packed) <= _MAX_PACKED:
                self.fresh[key] = packed
        return gold

    def _load(self, gold: Gold | None = None) -> Gold | None:
        """Set the tables up; a gold with a fault where they cannot be."""
        if self._space is not None:
            return None
        self._judge.stage(STAGE_SCHEMA)
        try:
            space = self._judge.lend(self._asked.database, (*self._asked.golds, self._sql))
            if isinstance(space, ScriptSpace):
                errors = (
                    () if gold is not None else space.load_script(self._asked.database.script, self._settings.dialects)
                )
                if gold is not None:
                    space.load(gold.statements)
                if errors:
                    return Gold(
                        fault=Outcome.GOLD_UNLOADABLE,
                        reason=f"the schema cannot be loaded: {' '.join(errors[0].split())[:300]}",
                    )
        except DataError as error:
            return Gold(fault=Outcome.GOLD_UNLOADABLE, reason=str(error))
        self._space = space
        return None

    # -- the prediction

    def _ruled(self, gold: Gold, gold_sql: str) -> dict[str, Any]:
        if gold.fault is not None:
            return {"outcome": gold.fault.value, "reason": gold.reason, "matches": dict.fromkeys(RULES)}
        ruling = refusal(self._sql, gold) or same_text(self._sql, gold, gold_sql) or self._run(gold, gold_sql)
        return ruling.document()

    def _run(self, gold: Gold, gold_sql: str) -> Ruling:
        fault = self._load(gold)
        if fault is not None:
            return wrong(Outcome.GOLD_UNLOADABLE, fault.reason)
        assert self._space is not None
        self._judge.stage(STAGE_PREDICTION)
        self._names = self._space.catalog
        self._grades.compare(gold_sql, gold.form, self._names)
        self._announce(self._grades.document())
        return run(self._space, self._sql, gold, self._settings)


def _rank(ruled: dict[str, Any]) -> int:
    """Of several golds: a match before a miss before a gold at fault."""
    outcome = Outcome(ruled["outcome"])
    return 2 if outcome.is_match else 0 if outcome.is_gold_fault else 1


def fault_at(stage: int, words: str, cause: str = "") -> dict[str, Any]:
    """A verdict against the benchmark: its schema or gold could not be run.

    `cause`: the kind of a `Failure`, or how the process was lost; where memory may be short, the remedy is named.
    """
    loading = stage != STAGE_GOLD
    if cause in ("memory", "crash"):
        words += f"; if {'the database' if loading else 'it'} needs more memory, raise score.memory_bytes"
        words += " or take a sample of its rows" if loading else ""
    return {
        "outcome": (Outcome.GOLD_UNLOADABLE if loading else Outcome.GOLD_ERROR).value,
        "reason": f"the {'schema' if loading else 'gold'} cannot be run: {words}",
        "matches": dict.fromkeys(RULES),
        "doubt": True,
        "retire": True,
    }
