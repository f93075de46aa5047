"""A prediction that is right on the shipped rows, asked again on witness databases.

First the kept ones of the gold's suite; where it passes them all and has constants that the gold lacks, a few more
that are made for it (`harness.suite.own`), judged only where the gold has an answer of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.answer import Table, compare, compare_states
from harness.answer.shown import shown_states, shown_tables
from harness.sandbox.engine import PLACES, Failure
from harness.sandbox.script_space import ScriptSpace
from harness.scoring.desk import SEES_ALL as _SEES_ALL
from harness.scoring.gold import Gold, run_reading, run_writing
from harness.scoring.outcomes import reason_of
from harness.scoring.room import Room
from harness.scoring.settings import ScoreSettings
from harness.sqltext import split_statements
from harness.suite.execute import StatementError
from harness.suite.facts import schema_of_text
from harness.suite.judge import Judge
from harness.suite.neighbours import parse
from harness.suite.own import own_witnesses
from harness.suite.record import Trial
from harness.suite.schema import with_ancestors

_WORD = re.compile(r"\w+")
_VIEW = re.compile(r"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?VIEW\b", re.IGNORECASE | re.MULTILINE)
INSERTS = 2000
"""Characters of a witness shown with a lucky match; `harness witness` prints all of it."""


@dataclass(frozen=True, slots=True)
class SuiteRuling:
    """What the witnesses say."""

    match: bool | None
    """None where the gold answers on none of them."""
    witness: int | None = None
    """Index of the first witness that tells the prediction from the gold; those made for it follow the kept ones."""
    case: str = ""
    """That witness with both answers, as JSON."""
    broken: bool = False
    """The database must not be used again."""


Answered = tuple[Any, Table | None]
"""What the gold gives on a witness: a table or a state, and the table's keyed rows."""


class _Told(Exception):  # noqa: N818 -- a verdict that ends the asking
    """The prediction answers otherwise than the gold."""

    def __init__(self, gold: dict[str, Any] | None, answer: dict[str, Any]) -> None:
        super().__init__()
        self.gold, self.answer = gold, answer


def judge_suite(space: ScriptSpace, trial: Trial, gold: Gold, sql: str, settings: ScoreSettings) -> SuiteRuling:
    """The same answer under the default rule on every witness on which the gold answers at all."""
    asking = _Asking(space, gold, sql, settings)
    index = 0
    inserts: tuple[str, ...] = ()
    answered = False
    try:
        heads = _named(trial, gold, sql)
        space.load_attached(tuple(split_statements(trial.schema)))
        for index, script in enumerate(trial.witnesses):  # noqa: B007 -- said of the witness that tells
            inserts = _seen(split_statements(script), heads)
            answered = asking.on_kept(inserts) or answered
        own = own_witnesses(trial, gold.sql, asking.final) if answered else ()
        for index, (rows, backwards) in enumerate(own, len(trial.witnesses)):  # noqa: B007
            inserts = _seen(rows, heads)
            asking.on_own(inserts, _seen(backwards, heads))
    except _Told as told:
        return SuiteRuling(False, index, _case(index, inserts, told))
    except StatementError:
        return SuiteRuling(None)
    except Failure as failure:
        return SuiteRuling(None, None, "", failure.kind in PLACES)
    return SuiteRuling(True if answered else None)


class _Asking:
    """One gold and one prediction, asked on witness after witness."""

    def __init__(self, space: ScriptSpace, gold: Gold, sql: str, settings: ScoreSettings) -> None:
        self._gold, self._settings = gold, settings
        self._room = Room(space, settings.floor_seconds)
        self._pieces = split_statements(sql)
        self._found = ""
        self._judge: Judge | None = None

    @property
    def final(self) -> str:
        """The prediction in DuckDB's words, once it has run."""
        return self._found

    def on_kept(self, inserts: Sequence[str]) -> bool:
        """Whether the gold answers on a witness of its suite; `_Told` where the prediction does otherwise."""
        self._room.load(inserts)
        try:
            answered = self._asked_gold()
            if answered is None:
                return False
            self._compare(answered)
        finally:
            self._room.empty()
        return True

    def on_own(self, inserts: Sequence[str], backwards: Sequence[str]) -> None:
        """`_Told` where the prediction answers otherwise on a witness made for it and the gold's answer is its own."""
        if self._judge is None:
            tree = parse(self._gold.sql)
            assert tree is not None
            self._judge = Judge(self._gold.sql, tree)
        try:
            self._room.load(inserts)
            fixed = self._judge.fixed_answer(self._room, lambda: self._room.load(backwards))
            if fixed is not None:
                self._room.load(inserts)
                answer, keyed = fixed
                self._compare((answer.state if self._gold.writes else answer.table, keyed))
        except StatementError:
            return
        finally:
            self._room.empty()

    def _asked_gold(self) -> Answered | None:
        gold = self._gold
        try:
            if gold.writes:
                return self._room.state(gold.sql), None
            table = self._room.query(gold.sql)
            keyed = None
            plan = gold.plan
            if plan is not None and plan.keyed_sql is not None and plan.needs_keyed(table):
                keyed = self._room.query(plan.keyed_sql)
        except StatementError:
            return None
        return None if table.truncated or (keyed is not None and keyed.truncated) else (table, keyed)

    def _compare(self, answered: Answered) -> None:
        wanted, keyed = answered
        tolerance = self._settings.tolerance
        try:
            given = self._given()
        except Failure as failure:
            if failure.kind in PLACES:
                raise
            shown = shown_states(wanted, {}) if self._gold.writes else shown_tables(wanted, _NOTHING)
            raise _Told(shown[0], {"error": reason_of(failure)}) from None
        if self._gold.writes:
            if not compare_states(wanted, given, tolerance=tolerance).is_match:
                raise _Told(*shown_states(wanted, given, tolerance=tolerance))
            return
        if given.truncated:
            words = f"the answer has more than {self._settings.max_rows} rows"
            raise _Told(shown_tables(wanted, _NOTHING)[0], {"error": words})
        if not compare(wanted, given, self._gold.plan, keyed, tolerance=tolerance).is_match:
            raise _Told(*shown_tables(wanted, given, tolerance=tolerance))

    def _given(self) -> Any:
        """What the prediction gives; its road into DuckDB is looked for once."""
        space, seconds = self._room.space, self._settings.floor_seconds
        if self._gold.writes:
            _, _, ran = run_writing(space, self._pieces, seconds, self._settings)
            self._found = ";\n".join(ran)
            return space.state(seconds)
        if self._found:
            try:
                return space.query(self._found, seconds)[0]
            except Failure as failure:
                if failure.kind in PLACES:
                    raise
        table, _, found = run_reading(space, self._pieces[0], seconds, self._settings)
        self._found = found.sql or self._pieces[0]
        return table


_NOTHING = Table((), (), [])


def _named(trial: Trial, gold: Gold, sql: str) -> tuple[str, ...] | None:
    """Beginnings of the INSERTs that either statement may see: tables they name, and the parents of these.

    None where all may matter: one writes, looks at the catalog, or there are views.
    """
    text = f"{gold.sql}\n{sql}"
    if gold.writes or _SEES_ALL.search(text) or _VIEW.search(trial.schema):
        return None
    schema = schema_of_text(trial.schema, trial.tables)
    words = {word.lower() for word in _WORD.findall(text)}
    named = [t.name.lower() for t in schema.tables if {w.lower() for w in _WORD.findall(t.name)} <= words]
    seen = with_ancestors(schema, named)
    return tuple(f"INSERT INTO {t.qualified} (" for t in schema.tables if t.name.lower() in seen)


def _seen(inserts: Sequence[str], heads: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(inserts) if heads is None else tuple(text for text in inserts if text.startswith(heads))


def _case(index: int, inserts: Sequence[str], told: _Told) -> str:
    """The witness and both answers, as JSON."""
    text = ";\n".join(piece.rstrip("; \n") for piece in inserts) + ";"
    if len(text) > INSERTS:
        note = f"\n-- cut: {len(text):,} characters in all; `harness witness` prints them"
        text = text[: INSERTS - len(note)] + note
    case = {"witness": index, "inserts": text, "gold": told.gold, "answer": told.answer}
    return json.dumps(case, ensure_ascii=False)
