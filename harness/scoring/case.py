"""One question on its way to a verdict: golds recalled or asked, the prediction run, every rule judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.answer import (
    Comparison,
    Table,
    answer_digest,
    compare,
    compare_states,
    compare_test_suite,
    needs_second_execution,
    state_digest,
    strip_distinct,
)
from harness.answer.shown import shown_tables
from harness.dialect import Catalog
from harness.errors import DataError
from harness.records import RULES, Database, Outcome
from harness.sandbox.engine import PLACES, Failure
from harness.sandbox.space import FileSpace, ScriptSpace, Space
from harness.scoring.gold import Gold, ask_gold, run_reading, run_writing
from harness.scoring.grades import Grades, gold_form
from harness.scoring.outcomes import outcome_of, reason_of
from harness.scoring.question import STAGE_GOLD, STAGE_PREDICTION, STAGE_SCHEMA, Question
from harness.scoring.settings import ScoreSettings
from harness.sqltext import Kind, normal_text, split_statements, statement_kind

ALL_FALSE = dict.fromkeys(RULES, False)
_MAX_PACKED = 8 * 2**20


@dataclass(slots=True)
class Ruling:
    """A prediction against one gold."""

    outcome: Outcome
    reason: str
    matches: dict[str, bool]
    road: str = ""
    rows: int | None = None
    seconds: float = 0.0
    digest: str = ""
    """Of the prediction's answer; empty where it did not run."""
    tables: tuple[str, str] = ("", "")
    """The prediction's and the gold's answer as JSON, where they differ."""


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
        ruling = self._refusal(gold) or self._same_text(gold, gold_sql) or self._run(gold, gold_sql)
        return {
            "outcome": ruling.outcome.value,
            "reason": ruling.reason,
            "matches": ruling.matches,
            "road": ruling.road,
            "rows": ruling.rows,
            "execute_seconds": ruling.seconds,
            "answer_digest": ruling.digest,
            "table": ruling.tables[0],
            "gold_table": ruling.tables[1],
        }

    def _refusal(self, gold: Gold) -> Ruling | None:
        """The ruling on a prediction that is not run at all."""
        pieces = split_statements(self._sql)
        kind = statement_kind(self._sql)
        if not pieces:
            return _wrong(Outcome.NO_SQL, "no SQL statement was found in the answer")
        if kind is Kind.FORBIDDEN:
            piece = next((piece for piece in pieces if statement_kind(piece) is Kind.FORBIDDEN), pieces[0])
            words = " ".join(piece.split(None, 2)[:2]).upper()[:40]
            return _wrong(Outcome.FORBIDDEN, f"{words} ... is a kind of statement that is not run")
        if gold.writes:
            if kind is not Kind.WRITE:
                return _wrong(Outcome.WRONG_STATE, "the answer only reads where the gold writes")
        elif len(pieces) > 1:
            return _wrong(
                Outcome.MULTIPLE_STATEMENTS, f"the answer has {len(pieces)} statements where one is asked for"
            )
        elif kind is Kind.WRITE:
            return _wrong(Outcome.FORBIDDEN, "the answer writes where the gold reads")
        return None

    def _same_text(self, gold: Gold, gold_sql: str) -> Ruling | None:
        """The gold's own words (spaces, comments and case apart) are not run again; random() has been ruled out."""
        if normal_text(gold_sql) != normal_text(self._sql):
            return None
        vacuous = not gold.changes if gold.writes else not (gold.table and gold.table.rows)
        rows = len(gold.table.rows) if gold.table is not None else None
        matches = dict.fromkeys(RULES, True)
        if vacuous:
            words = "both leave the tables as they were" if gold.writes else "both results are empty"
            return Ruling(Outcome.VACUOUS_MATCH, words, matches, gold.road, rows, digest=gold.digest)
        return Ruling(Outcome.CORRECT, "", matches, gold.road, rows, digest=gold.digest)

    def _run(self, gold: Gold, gold_sql: str) -> Ruling:
        fault = self._load(gold)
        if fault is not None:
            return _wrong(Outcome.GOLD_UNLOADABLE, fault.reason)
        assert self._space is not None
        self._judge.stage(STAGE_PREDICTION)
        self._names = self._space.catalog
        self._grades.compare(gold_sql, gold.form, self._names)
        self._announce(self._grades.document())
        try:
            if gold.writes:
                return self._run_writing(self._space, gold)
            return self._run_reading(self._space, gold)
        except Failure as failure:
            if failure.kind in PLACES:
                raise
            return _wrong(outcome_of(failure), reason_of(failure))

    def _run_reading(self, space: Space, gold: Gold) -> Ruling:
        assert gold.table is not None
        seconds = self._settings.seconds(gold.seconds)
        table, took, found = run_reading(space, split_statements(self._sql)[0], seconds, self._settings)
        road = str(found.road)
        if table.truncated:
            words = f"the answer has more than {self._settings.max_rows} rows, the gold {len(gold.table.rows)}"
            return replace(_wrong(Outcome.TOO_MANY_ROWS, words), road=road, seconds=took)
        comparison = compare(gold.table, table, gold.plan, gold.keyed, tolerance=self._settings.tolerance)
        matches = dict(comparison.matches)
        matches["test_suite"] = self._test_suite(space, gold, table, found.sql or self._sql, seconds)
        return Ruling(
            comparison.outcome,
            comparison.reason,
            matches,
            road,
            len(table.rows),
            took,
            gold.digest if table.rows == gold.table.rows else answer_digest(table),
            ("", "") if comparison.is_match else _shown(gold.table, table, self._settings.tolerance),
        )

    def _test_suite(self, space: Space, gold: Gold, table: Table, sql: str, seconds: float) -> bool:
        """The official rule: DISTINCT stripped from both sides; asked again only where one side has it."""
        assert gold.table is not None
        if not needs_second_execution(gold.sql, sql):
            return compare_test_suite(gold.table, table, gold.sql)
        left = gold.plain or gold.table
        right = table
        if needs_second_execution("", sql):
            try:
                right, _ = space.query(strip_distinct(sql), seconds)
            except Failure as failure:
                if failure.kind in PLACES:
                    raise
                return False
        return not right.truncated and compare_test_suite(left, right, strip_distinct(gold.sql))

    def _run_writing(self, space: Space, gold: Gold) -> Ruling:
        assert gold.state is not None
        seconds = self._settings.seconds(gold.seconds)
        space.rewind()
        took, roads, _ = run_writing(space, split_statements(self._sql), seconds, self._settings)
        state = space.state(seconds)
        space.rewind()
        comparison = _marked(compare_states(gold.state, state, tolerance=self._settings.tolerance), gold)
        matches = dict(comparison.matches)
        matches.setdefault("test_suite", comparison.is_match)
        road = next((road for road in roads if road != "duckdb"), "duckdb")
        return Ruling(comparison.outcome, comparison.reason, matches, road, None, took, state_digest(state))


def _marked(comparison: Comparison, gold: Gold) -> Comparison:
    """A match on a gold that changes nothing tells nothing."""
    if comparison.is_match and not gold.changes:
        return replace(
            comparison, outcome=Outcome.VACUOUS_MATCH, reason="both leave the tables as they were", vacuous=True
        )
    return comparison


def _shown(gold: Table, prediction: Table, tolerance: float) -> tuple[str, str]:
    """Both answers as a person reads them, as JSON: the prediction's, the gold's."""
    theirs, ours = shown_tables(gold, prediction, tolerance=tolerance)
    return json.dumps(ours, ensure_ascii=False), json.dumps(theirs, ensure_ascii=False)


def _wrong(outcome: Outcome, reason: str) -> Ruling:
    return Ruling(outcome, reason, dict(ALL_FALSE))


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
