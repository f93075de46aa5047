"""A prediction that is right on the shipped rows, asked again on an item's witness databases."""

from __future__ import annotations

from dataclasses import dataclass

from harness.answer import compare, compare_states
from harness.sandbox.engine import PLACES, Failure
from harness.sandbox.space import ScriptSpace
from harness.scoring.gold import Gold, run_reading, run_writing
from harness.scoring.settings import ScoreSettings
from harness.sqltext import split_statements


@dataclass(frozen=True, slots=True)
class SuiteRuling:
    """What the witnesses say."""

    match: bool | None
    """None where the gold answers on none of them."""
    witness: int | None = None
    """Index of the first witness that tells the prediction from the gold."""
    broken: bool = False
    """The database must not be used again."""


def judge_suite(
    space: ScriptSpace, suite: tuple[str, tuple[str, ...]], gold: Gold, sql: str, settings: ScoreSettings
) -> SuiteRuling:
    """The same answer under the default rule on every witness on which the gold answers at all."""
    seconds = settings.floor_seconds
    asked = False
    try:
        space.load_attached(tuple(split_statements(suite[0])))
        for index, script in enumerate(suite[1]):
            try:
                same = _same(space, tuple(split_statements(script)), gold, sql, seconds, settings)
            finally:
                space.rewind()
            if same is False:
                return SuiteRuling(False, index)
            asked = asked or bool(same)
    except Failure as failure:
        return SuiteRuling(None, None, failure.kind in PLACES)
    return SuiteRuling(True if asked else None)


def _same(
    space: ScriptSpace, inserts: tuple[str, ...], gold: Gold, sql: str, seconds: float, settings: ScoreSettings
) -> bool | None:
    """Whether the prediction answers as the gold does on one witness; None where the gold does not answer."""
    for statement in inserts:
        space.write(statement, seconds)
    pieces = split_statements(sql)
    if gold.writes:
        for statement in split_statements(gold.sql):
            space.write(statement, seconds)
        wanted = space.state(seconds)
        space.rewind()
        for statement in inserts:
            space.write(statement, seconds)
        try:
            run_writing(space, pieces, seconds, settings)
            given = space.state(seconds)
        except Failure as failure:
            return _failed(failure)
        return compare_states(wanted, given, tolerance=settings.tolerance).is_match
    try:
        table, _ = space.query(gold.sql, seconds)
        plan = gold.plan
        keyed = None
        if plan is not None and plan.keyed_sql is not None and plan.needs_keyed(table):
            keyed, _ = space.query(plan.keyed_sql, seconds)
    except Failure as failure:
        if failure.kind in PLACES:
            raise
        return None
    if table.truncated or (keyed is not None and keyed.truncated):
        return None
    try:
        given_table, _, _ = run_reading(space, pieces[0], seconds, settings)
    except Failure as failure:
        return _failed(failure)
    return compare(table, given_table, plan, keyed, tolerance=settings.tolerance).is_match


def _failed(failure: Failure) -> bool:
    """A prediction that fails where the gold answers is told apart, unless this process is to blame."""
    if failure.kind in PLACES:
        raise failure
    return False
