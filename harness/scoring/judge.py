"""The worker's side of scoring: one item, its golds and one prediction in, one verdict out."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import Any

from harness.records import Database, Outcome
from harness.sandbox.engine import Failure
from harness.sandbox.file_space import FileSpace
from harness.sandbox.script_space import ScriptSpace
from harness.sandbox.watchdog import Watchdog
from harness.sandbox.worker import Reply
from harness.scoring.case import Case, fault_at
from harness.scoring.desk import Desk
from harness.scoring.gold import Gold, gold_order
from harness.scoring.grades import gold_form, graded
from harness.scoring.outcomes import outcome_of, reason_of
from harness.scoring.question import STAGE_GOLD, STAGE_SCHEMA, STAGE_SUITE, Question
from harness.scoring.ruling import ALL_FALSE
from harness.scoring.settings import ScoreSettings
from harness.scoring.witness import SuiteRuling, judge_suite
from harness.sqltext import extract, normal_text
from harness.suite.record import Trial

SCORER_FAILED = "the scorer itself failed here, which is a fault to be reported"
_KEPT_GOLDS = 256


class Judge:
    """Answers `Question`s; keeps recent golds and the databases of its desk."""

    def __init__(self, settings: ScoreSettings, watchdog: Watchdog) -> None:
        self.settings = settings
        self._watchdog = watchdog
        self._desk = Desk(settings, watchdog)
        self._golds: OrderedDict[str, Gold] = OrderedDict()
        self._documents: dict[int, dict[str, Any]] = {}
        """What reading told of the jobs that are prepared, by the id of their payload."""

    def prepare(self, payload: Question) -> None:
        """Exact match ahead of execution: parsing takes four times as long between two statements of DuckDB."""
        with suppress(Exception):  # whatever it is, answering meets it again and says so
            document = self._documents[id(payload)] = self._read(payload)
            catalog = self._desk.catalog(payload.database)
            if catalog is None or document["string_match"]:
                return
            for sql, key, packed in zip(payload.golds, payload.keys, payload.known, strict=True):
                gold = self.recall(key, packed)
                form = gold_form(sql, self.settings.dialects, catalog) if gold is None else gold.form
                if gold is None:
                    gold_order(sql)
                if form is not None:
                    graded(sql, form, document["sql"], catalog)

    def answer(self, payload: Question, partial: Reply | None) -> tuple[dict[str, Any], bytes]:
        """The verdict as a document, and the packed golds that the cache lacks."""
        self.stage(0)
        document: dict[str, Any] = {"sql": ""}
        fresh: dict[str, bytes] = {}
        try:
            document = self._documents.pop(id(payload), {}) or self._read(payload)
            if partial is not None:
                partial(document)
            known = document

            def announce(grades: dict[str, bool]) -> None:
                if partial is not None:
                    partial(known | grades)

            case = Case(payload, document["sql"], self, announce)
            fresh = case.fresh
            document |= case.decide()
            if any(payload.suites):
                document |= self._suite(payload, case, document, partial)
            return document, _pack(fresh)
        except Failure as failure:
            found = self._failed(failure)
        except MemoryError as error:
            found = self._failed(Failure("memory", str(error) or "the worker's memory is used up"))
        except Exception as error:  # ours, not the answer's: said so, and the run goes on
            found = self._failed(Failure("scorer", f"{SCORER_FAILED} ({type(error).__name__}: {error})"))
        finally:
            self._desk.give_back()
        self._desk.discard()
        return document | found, _pack(fresh)

    def _read(self, asked: Question) -> dict[str, Any]:
        """What the text alone tells: the statement, and whether it is spelt as one of the golds."""
        truncated = False
        sql = asked.text.strip()
        if not asked.is_sql:
            extraction = extract(asked.text, asked.finished)
            sql, truncated = extraction.sql, extraction.truncated
        same = bool(sql) and normal_text(sql) in map(normal_text, asked.golds)
        return {
            "sql": sql,
            "truncated": truncated,
            "string_match": same,
            "exact_match": same,
            "structural_match": same,
        }

    def _suite(self, asked: Question, case: Case, document: dict[str, Any], partial: Reply | None) -> dict[str, Any]:
        """The witness databases' say on a prediction that is right on the shipped rows; others are wrong already.

        Each gold has witnesses of its own: a prediction is right where it passes those of one gold that it matches.
        """
        if Outcome(document["outcome"]).is_gold_fault:
            return {}
        if case.matched is None or document["truncated"]:
            return {"suite_match": False}
        if document["exact_match"] and not asked.suite_always:
            # the same canonical tree answers the same on any database
            return {"suite_match": True}
        if partial is not None:
            partial(document)
        first: SuiteRuling | None = None
        again: dict[str, Any] | None = {}
        while again is not None and case.matched is not None:
            found = self._on_witnesses(asked.suites[case.matched_at], case.matched, document["sql"])
            if found.match:
                return {**again, "suite_match": True}
            if first is None or (found.match is None and first.match is False):
                first = found
            try:
                again = self._next(case)
            except Failure:
                # a gold that could not be asked may have been met
                self._desk.discard()
                return {"suite_match": None}
        assert first is not None
        shown = {"suite_witness": first.witness, "witness_case": first.case} if first.match is False else {}
        return {"suite_match": first.match, **shown}

    def _on_witnesses(self, trial: Trial | None, gold: Gold, sql: str) -> SuiteRuling:
        if trial is None:
            return SuiteRuling(None)
        self.stage(STAGE_SUITE)
        # the witnesses' tables take the place of the shipped ones
        self._desk.give_back()
        space = self._desk.lend(Database(key="suite", script=trial.schema), (gold.sql, sql))
        assert isinstance(space, ScriptSpace)
        found = judge_suite(space, trial, gold, sql, self.settings)
        self._desk.give_back()
        if found.broken:
            self._desk.discard()
        return found

    def _next(self, case: Case) -> dict[str, Any] | None:
        """The ruling against another gold that the prediction matches; None where none is left."""
        try:
            return case.decide_again()
        finally:
            self.stage(STAGE_SUITE)

    def _failed(self, failure: Failure) -> dict[str, Any]:
        """A statement that ran out of time or memory, or ended its database: the gold's fault, or the prediction's."""
        stage, words = self._watchdog.stage, reason_of(failure)
        if stage in (STAGE_SCHEMA, STAGE_GOLD):
            return fault_at(stage, words, failure.kind)
        return {
            "outcome": outcome_of(failure).value,
            "reason": self._late() if failure.kind == "timeout" else words,
            "matches": ALL_FALSE,
            "doubt": True,
            "retire": failure.kind != "timeout",
        }

    def _late(self) -> str:
        floor, factor = self.settings.floor_seconds, self.settings.gold_factor
        return f"the prediction did not end within its time: {floor:g} s, and {factor:g} times what the gold takes"

    def stage(self, stage: int) -> None:
        """Say what runs now."""
        self._watchdog.stage = stage

    def lend(self, database: Database, statements: tuple[str, ...]) -> ScriptSpace | FileSpace:
        """Tables for the case, which will run these statements in them."""
        return self._desk.lend(database, statements)

    def recall(self, key: str, packed: bytes | None) -> Gold | None:
        """A gold this worker has had, or one from the cache."""
        gold = self._golds.get(key)
        if gold is None and packed is not None:
            try:
                gold = Gold.unpack(packed)
            except Exception:  # a cache file that somebody else wrote: the gold is asked again
                return None
            self.keep(key, gold)
        return gold

    def keep(self, key: str, gold: Gold) -> None:
        """Remember a gold for the next items that have it."""
        if gold.table is not None and len(gold.table.rows) > 10_000:
            return
        self._golds[key] = gold
        if len(self._golds) > _KEPT_GOLDS:
            self._golds.popitem(last=False)


def _pack(fresh: dict[str, bytes]) -> bytes:
    """Packed golds by key, in a form the parent cuts without unpickling."""
    return b"".join(
        len(key).to_bytes(2, "little") + key.encode() + len(data).to_bytes(4, "little") + data
        for key, data in fresh.items()
    )


def unpack_golds(blob: bytes) -> dict[str, bytes]:
    """The parent's side of `_pack`; ValueError where the bytes do not add up."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 2], "little")
        key = blob[at + 2 : at + 2 + size].decode("ascii")
        at += 2 + size
        length = int.from_bytes(blob[at : at + 4], "little")
        data = blob[at + 4 : at + 4 + length]
        if len(data) != length:
            raise ValueError("a packed gold is cut short")
        found[key] = data
        at += 4 + length
    return found


def build(options: ScoreSettings, watchdog: Watchdog) -> Judge:
    """What a worker builds for `harness.scoring.judge:build`."""
    return Judge(options, watchdog)
