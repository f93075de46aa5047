"""A prediction against one gold: refused, taken as the gold's own words, or run and compared under every rule."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

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
from harness.records import RULES, Outcome
from harness.sandbox.engine import PLACES, Failure
from harness.sandbox.space import Space
from harness.scoring.gold import Gold, run_reading, run_writing
from harness.scoring.outcomes import outcome_of, reason_of
from harness.scoring.settings import ScoreSettings
from harness.sqltext import Kind, normal_text, split_statements, statement_kind

ALL_FALSE = dict.fromkeys(RULES, False)


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

    def document(self) -> dict[str, Any]:
        """Its part of a verdict's document."""
        return {
            "outcome": self.outcome.value,
            "reason": self.reason,
            "matches": self.matches,
            "road": self.road,
            "rows": self.rows,
            "execute_seconds": self.seconds,
            "answer_digest": self.digest,
            "table": self.tables[0],
            "gold_table": self.tables[1],
        }


def refusal(sql: str, gold: Gold) -> Ruling | None:
    """The ruling on a prediction that is not run at all."""
    pieces = split_statements(sql)
    kind = statement_kind(sql)
    if not pieces:
        return wrong(Outcome.NO_SQL, "no SQL statement was found in the answer")
    if kind is Kind.FORBIDDEN:
        piece = next((piece for piece in pieces if statement_kind(piece) is Kind.FORBIDDEN), pieces[0])
        words = " ".join(piece.split(None, 2)[:2]).upper()[:40]
        return wrong(Outcome.FORBIDDEN, f"{words} ... is a kind of statement that is not run")
    if gold.writes:
        if kind is not Kind.WRITE:
            return wrong(Outcome.WRONG_STATE, "the answer only reads where the gold writes")
    elif len(pieces) > 1:
        return wrong(Outcome.MULTIPLE_STATEMENTS, f"the answer has {len(pieces)} statements where one is asked for")
    elif kind is Kind.WRITE:
        return wrong(Outcome.FORBIDDEN, "the answer writes where the gold reads")
    return None


def same_text(sql: str, gold: Gold, gold_sql: str) -> Ruling | None:
    """The gold's own words (spaces, comments and case apart) are not run again; random() has been ruled out."""
    if normal_text(gold_sql) != normal_text(sql):
        return None
    vacuous = not gold.changes if gold.writes else not (gold.table and gold.table.rows)
    rows = len(gold.table.rows) if gold.table is not None else None
    matches = dict.fromkeys(RULES, True)
    if vacuous:
        words = "both leave the tables as they were" if gold.writes else "both results are empty"
        return Ruling(Outcome.VACUOUS_MATCH, words, matches, gold.road, rows, digest=gold.digest)
    return Ruling(Outcome.CORRECT, "", matches, gold.road, rows, digest=gold.digest)


def run(space: Space, sql: str, gold: Gold, settings: ScoreSettings) -> Ruling:
    """The ruling on a prediction that has to be run; `Failure` only where this process may be to blame."""
    try:
        return (_run_writing if gold.writes else _run_reading)(space, sql, gold, settings)
    except Failure as failure:
        if failure.kind in PLACES:
            raise
        return wrong(outcome_of(failure), reason_of(failure))


def _run_reading(space: Space, sql: str, gold: Gold, settings: ScoreSettings) -> Ruling:
    assert gold.table is not None
    seconds = settings.seconds(gold.seconds)
    table, took, found = run_reading(space, split_statements(sql)[0], seconds, settings)
    road = str(found.road)
    if table.truncated:
        words = f"the answer has more than {settings.max_rows} rows, the gold {len(gold.table.rows)}"
        return replace(wrong(Outcome.TOO_MANY_ROWS, words), road=road, seconds=took)
    comparison = compare(gold.table, table, gold.plan, gold.keyed, tolerance=settings.tolerance)
    matches = dict(comparison.matches)
    matches["test_suite"] = _test_suite(space, gold, table, found.sql or sql, seconds)
    return Ruling(
        comparison.outcome,
        comparison.reason,
        matches,
        road,
        len(table.rows),
        took,
        gold.digest if table.rows == gold.table.rows else answer_digest(table),
        ("", "") if comparison.is_match else _shown(gold.table, table, settings.tolerance),
    )


def _test_suite(space: Space, gold: Gold, table: Table, sql: str, seconds: float) -> bool:
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


def _run_writing(space: Space, sql: str, gold: Gold, settings: ScoreSettings) -> Ruling:
    assert gold.state is not None
    seconds = settings.seconds(gold.seconds)
    space.rewind()
    took, roads, _ = run_writing(space, split_statements(sql), seconds, settings)
    state = space.state(seconds)
    space.rewind()
    comparison = _marked(compare_states(gold.state, state, tolerance=settings.tolerance), gold)
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


def wrong(outcome: Outcome, reason: str) -> Ruling:
    """A ruling by which no rule matches."""
    return Ruling(outcome, reason, dict(ALL_FALSE))
