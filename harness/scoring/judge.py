"""The worker's side of scoring: one item, its golds and one prediction in, one verdict out."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from harness.answer import (
    Comparison,
    Table,
    compare,
    compare_states,
    compare_test_suite,
    needs_second_execution,
    strip_distinct,
)
from harness.errors import DataError
from harness.records import RULES, Database, Outcome
from harness.sandbox.engine import PLACES, Failure
from harness.sandbox.space import FileSpace, ScriptSpace, Space
from harness.sandbox.watchdog import Watchdog
from harness.sandbox.worker import Reply
from harness.scoring.desk import Desk
from harness.scoring.gold import Gold, ask_gold, run_reading, run_writing
from harness.scoring.outcomes import outcome_of, reason_of
from harness.scoring.settings import ScoreSettings
from harness.sqltext import Kind, exact_match, extract, normal_text, split_statements, statement_kind

SCORER_FAILED = "the scorer itself failed here, which is a fault to be reported"
STAGE_SCHEMA, STAGE_GOLD, STAGE_PREDICTION = 1, 2, 3
_KEPT_GOLDS = 256
_FALSE = dict.fromkeys(RULES, False)
_MAX_PACKED = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Question:
    """What a worker is asked."""

    database: Database
    golds: tuple[str, ...]
    keys: tuple[str, ...]
    """Cache key of each gold."""
    known: tuple[bytes | None, ...]
    """The packed answer of each gold, where the cache has it."""
    text: str
    """The completion, or the SQL itself."""
    is_sql: bool = False
    finished: bool = True
    witnesses: tuple[str, ...] | None = None
    """Scripts in DuckDB's dialect, each a whole database; None: no suite was asked for."""


@dataclass(slots=True)
class _Ruling:
    """A prediction against one gold."""

    outcome: Outcome
    reason: str
    matches: dict[str, bool]
    road: str = ""
    rows: int | None = None
    seconds: float = 0.0
    suite_match: bool | None = None
    suite_witness: int | None = None


class Judge:
    """Answers `Question`s; keeps recent golds and the databases of its desk."""

    def __init__(self, settings: ScoreSettings, watchdog: Watchdog) -> None:
        self._settings, self._watchdog = settings, watchdog
        self._desk = Desk(settings, watchdog)
        self._golds: OrderedDict[str, Gold] = OrderedDict()

    def answer(self, payload: Question, partial: Reply | None) -> tuple[dict[str, Any], bytes]:
        """The verdict as a document, and the packed golds that the cache lacks."""
        self._watchdog.stage = 0
        document = self._read(payload)
        if partial is not None:
            partial(document)
        try:
            case = _Case(payload, document["sql"], self, twin=document["string_match"])
            document |= case.decide()
            return document, _pack(case.fresh)
        except Failure as failure:
            self._desk.discard()
            return document | self._failed(failure), b""
        except MemoryError as error:
            self._desk.discard()
            return document | self._failed(Failure("memory", str(error) or "the worker's memory is used up")), b""
        except Exception as error:  # ours, not the answer's: said so, and the run goes on
            self._desk.discard()
            return document | self._failed(Failure("scorer", f"{SCORER_FAILED} ({type(error).__name__}: {error})")), b""
        finally:
            self._desk.give_back()

    def _read(self, asked: Question) -> dict[str, Any]:
        """What the text alone tells: the statement, and the grades of exact match against the nearest gold."""
        truncated = False
        sql = asked.text.strip()
        if not asked.is_sql:
            extraction = extract(asked.text, asked.finished)
            sql, truncated = extraction.sql, extraction.truncated
        grades = [exact_match(gold, sql, self._settings.dialects) for gold in asked.golds] if sql else []
        return {
            "sql": sql,
            "truncated": truncated,
            "string_match": any(grade.string for grade in grades),
            "exact_match": any(grade.exact for grade in grades),
            "structural_match": any(grade.structural for grade in grades),
        }

    def _failed(self, failure: Failure) -> dict[str, Any]:
        """A statement that ran out of time or memory, or ended its database: the gold's fault, or the prediction's outcome."""
        stage = self._watchdog.stage
        words = reason_of(failure)
        return fault_at(stage, words) if stage != STAGE_PREDICTION else {
            "outcome": outcome_of(failure).value,
            "reason": f"the prediction did not end within its time ({words})" if failure.kind == "timeout" else words,
            "matches": _FALSE,
            "doubt": True,
            "retire": failure.kind != "timeout",
        }

    # -- what a case needs of the worker

    @property
    def settings(self) -> ScoreSettings:
        """How to score."""
        return self._settings

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
            gold = Gold.unpack(packed)
            self.keep(key, gold)
        return gold

    def keep(self, key: str, gold: Gold) -> None:
        """Remember a gold for the next items that have it."""
        if gold.table is not None and len(gold.table.rows) > 10_000:
            return
        self._golds[key] = gold
        if len(self._golds) > _KEPT_GOLDS:
            self._golds.popitem(last=False)


def fault_at(stage: int, words: str) -> dict[str, Any]:
    """A verdict against the benchmark: its schema or gold could not be run."""
    loading = stage != STAGE_GOLD
    return {
        "outcome": (Outcome.GOLD_UNLOADABLE if loading else Outcome.GOLD_ERROR).value,
        "reason": f"the {'schema' if loading else 'gold'} cannot be run: {words}",
        "matches": dict.fromkeys(RULES),
        "doubt": True,
        "retire": True,
    }


class _Case:
    """One question on its way to a verdict: tables are set up only when something has to run."""

    def __init__(self, asked: Question, sql: str, judge: Judge, *, twin: bool) -> None:
        self._asked, self._sql, self._judge, self._settings = asked, sql, judge, judge.settings
        self._twin = twin
        self._space: ScriptSpace | FileSpace | None = None
        self._tables: dict[tuple[float, bool], tuple[Table, float, Any]] = {}
        self.fresh: dict[str, bytes] = {}

    def decide(self) -> dict[str, Any]:
        """The verdict's document, less what the text alone told."""
        best: dict[str, Any] | None = None
        for index, (sql, key, packed) in enumerate(zip(self._asked.golds, self._asked.keys, self._asked.known, strict=True)):
            gold = self._judge.recall(key, packed) or self._ask(sql, key)
            ruled = self._ruled(gold, sql) | {"gold_index": index, "gold_road": gold.road}
            if gold.fault is None:
                ruled["gold_rows"] = len(gold.table.rows) if gold.table is not None else None
            if best is None or _rank(ruled) > _rank(best):
                best = ruled
            if Outcome(ruled["outcome"]).is_match:
                break
        assert best is not None
        return best

    # -- the gold

    def _ask(self, sql: str, key: str) -> Gold:
        gold = self._load()
        if gold is None:
            assert self._space is not None
            self._judge.stage(STAGE_GOLD)
            statements = self._space.statements if isinstance(self._space, ScriptSpace) else ()
            gold = ask_gold(self._space, sql, statements, self._settings)
        self._judge.keep(key, gold)
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
                errors = () if gold is not None else space.load_script(self._asked.database.script, self._settings.dialects)
                if gold is not None:
                    space.load(gold.statements)
                if errors:
                    return Gold(fault=Outcome.GOLD_UNLOADABLE, reason=f"the schema cannot be loaded: {' '.join(errors[0].split())[:300]}")
        except DataError as error:
            return Gold(fault=Outcome.GOLD_UNLOADABLE, reason=str(error))
        self._space = space
        return None

    # -- the prediction

    def _ruled(self, gold: Gold, gold_sql: str) -> dict[str, Any]:
        if gold.fault is not None:
            return {"outcome": gold.fault.value, "reason": gold.reason, "matches": dict.fromkeys(RULES)}
        ruling = self._refusal(gold) or self._same_text(gold, gold_sql) or self._run(gold)
        return {
            "outcome": ruling.outcome.value,
            "reason": ruling.reason,
            "matches": ruling.matches,
            "road": ruling.road,
            "rows": ruling.rows,
            "execute_seconds": ruling.seconds,
            "suite_match": ruling.suite_match,
            "suite_witness": ruling.suite_witness,
        }

    def _refusal(self, gold: Gold) -> _Ruling | None:
        """The ruling on a prediction that is not run at all."""
        pieces = split_statements(self._sql)
        kind = statement_kind(self._sql)
        if not pieces:
            return _wrong(Outcome.NO_SQL, "no SQL statement was found in the answer")
        if kind is Kind.FORBIDDEN:
            return _wrong(Outcome.FORBIDDEN, f"{pieces[0].split(None, 1)[0].upper()[:20]} is a kind of statement that is not run")
        if gold.writes:
            if kind is not Kind.WRITE:
                return _wrong(Outcome.WRONG_STATE, "the answer only reads where the gold writes")
        elif len(pieces) > 1:
            return _wrong(Outcome.MULTIPLE_STATEMENTS, f"the answer has {len(pieces)} statements where one is asked for")
        elif kind is Kind.WRITE:
            return _wrong(Outcome.FORBIDDEN, "the answer writes where the gold reads")
        return None

    def _same_text(self, gold: Gold, gold_sql: str) -> _Ruling | None:
        """The gold's own words (spaces, comments and case apart) are not run again: a gold with random() has been ruled out."""
        if not self._twin or normal_text(gold_sql) != normal_text(self._sql):
            return None
        vacuous = not gold.changes if gold.writes else not (gold.table and gold.table.rows)
        rows = len(gold.table.rows) if gold.table is not None else None
        matches = dict.fromkeys(RULES, True)
        if vacuous:
            words = "both leave the tables as they were" if gold.writes else "both results are empty"
            return _Ruling(Outcome.VACUOUS_MATCH, words, matches, gold.road, rows)
        return _Ruling(Outcome.CORRECT, "", matches, gold.road, rows)

    def _run(self, gold: Gold) -> _Ruling:
        fault = self._load(gold)
        if fault is not None:
            return _wrong(Outcome.GOLD_UNLOADABLE, fault.reason)
        assert self._space is not None
        self._judge.stage(STAGE_PREDICTION)
        try:
            if gold.writes:
                return self._run_writing(self._space, gold)
            return self._run_reading(self._space, gold)
        except Failure as failure:
            if failure.kind in PLACES:
                raise
            return _wrong(outcome_of(failure), reason_of(failure))

    def _run_reading(self, space: Space, gold: Gold) -> _Ruling:
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
        ruling = _Ruling(comparison.outcome, comparison.reason, matches, road, len(table.rows), took)
        return ruling

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

    def _run_writing(self, space: Space, gold: Gold) -> _Ruling:
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
        return _Ruling(comparison.outcome, comparison.reason, matches, road, None, took)


def _marked(comparison: Comparison, gold: Gold) -> Comparison:
    """A match on a gold that changes nothing tells nothing."""
    if comparison.is_match and not gold.changes:
        return replace(comparison, outcome=Outcome.VACUOUS_MATCH, reason="both leave the tables as they were", vacuous=True)
    return comparison


def _wrong(outcome: Outcome, reason: str) -> _Ruling:
    return _Ruling(outcome, reason, dict(_FALSE))


def _rank(ruled: dict[str, Any]) -> int:
    """Of several golds: a match before a miss before a gold at fault."""
    outcome = Outcome(ruled["outcome"])
    return 2 if outcome.is_match else 0 if outcome.is_gold_fault else 1


def _pack(fresh: dict[str, bytes]) -> bytes:
    """Packed golds by key, in a form the parent cuts without unpickling."""
    return b"".join(
        len(key).to_bytes(2, "little") + key.encode() + len(data).to_bytes(4, "little") + data for key, data in fresh.items()
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
