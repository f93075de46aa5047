"""A suite: the few witnesses that tell the most neighbours from the gold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import duckdb
from sqlglot import exp

from harness.suite.builder import Row
from harness.suite.execute import DuckDBExecutor, Executor, StatementError
from harness.suite.judge import WRITES, Answer, Judge, depends_on_chance
from harness.suite.neighbours import Neighbour, neighbours, parse
from harness.suite.schema import Schema, Table, read_schema, schema_of_script
from harness.suite.vacuity import trivial_queries
from harness.suite.witness import STRATEGIES, Plan, insert_statements, witness

VERSION = 1
"""Raised whenever the same item would get other witnesses: part of every cache key."""

Source = str | Schema | Callable[[], duckdb.DuckDBPyConnection]
"""A DuckDB script, a schema read before, or what opens a connection that holds the tables and shipped rows."""


@dataclass(frozen=True, slots=True)
class SuiteSettings:
    """How hard a suite is searched for."""

    max_witnesses: int = 8
    candidates: int = 24
    """Witnesses tried at most."""
    patience: int = 10
    """Stop after so many witnesses in a row that told nothing new."""
    max_neighbours: int = 60
    deadline_seconds: float = 2.0
    """A statement is interrupted after this long; witnesses have thirty rows, so only runaways meet it."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Suite:
    """The kept witnesses of one item, and how much they tell."""

    witnesses: tuple[str, ...] = ()
    """Each: INSERT statements (one script) that fill EMPTY tables of the item's schema."""
    strategies: tuple[str, ...] = ()
    """How each witness was made."""
    neighbours: int = 0
    """Neighbours that bind on the schema."""
    killable: int = 0
    """Neighbours that some tried witness told from the gold."""
    killed: int = 0
    """Neighbours that a kept witness tells from the gold."""
    discriminating: bool = False
    """The kept witnesses tell the gold from every trivial query."""
    tried: int = 0
    rejected: int = 0
    """Witnesses on which the gold failed, or had no answer of its own."""
    violations: int = 0
    """Witnesses DuckDB refused for a constraint."""
    survivors: tuple[str, ...] = field(default=())
    """`rule: statement` of neighbours no kept witness tells from the gold."""
    reason: str = ""
    """Why there are no witnesses; empty where there are."""

    def to_json(self) -> str:
        """One JSON document, the same bytes for the same suite."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Suite:
        """A suite read back; raises ValueError, KeyError or TypeError where the text is not one."""
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise TypeError("a suite is a JSON object")
        for name in ("witnesses", "strategies", "survivors"):
            facts[name] = tuple(facts[name])
        return cls(**facts)


@dataclass(slots=True)
class _Trial:
    """One witness that may judge, and which targets it tells from the gold."""

    number: int
    strategy: str
    rows: dict[str, list[Row]]
    kills: set[int]


def build_suite(
    source: Source,
    gold_sql: str,
    settings: SuiteSettings | None = None,
    *,
    others: Sequence[str] = (),
    executor: Callable[[str, float], Executor] = DuckDBExecutor,
) -> Suite:
    """The suite of one gold; `others` are golds of other items on the schema, which it should be told from.

    `executor` opens a place to run statements from (script, deadline in seconds). Never raises for what the gold or
    the schema is: a suite without witnesses says why.
    """
    settings = settings or SuiteSettings()
    tree = parse(gold_sql)
    if tree is None or not isinstance(tree, (exp.Query, *WRITES)):
        return Suite(reason="the gold is not one statement that can be taken apart")
    if depends_on_chance(tree):
        return Suite(reason="the gold's answer depends on chance")
    try:
        schema = _schema(source)
        if not schema.tables:
            return Suite(reason="the schema has no tables")
        room = executor(schema.script, settings.deadline_seconds)
    except duckdb.Error as error:
        return Suite(reason=f"the schema does not load: {str(error).splitlines()[0]}")
    try:
        return _Search(schema, gold_sql, tree, settings, room, others).suite()
    finally:
        close = getattr(room, "close", None)
        if close is not None:
            close()


def suite_key(schema: Schema, gold_sql: str, settings: SuiteSettings, others: Sequence[str] = ()) -> str:
    """Hex digest of everything a suite depends on."""
    facts = (VERSION, duckdb.__version__, schema.digest, gold_sql, sorted(asdict(settings).items()), tuple(others))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _schema(source: Source) -> Schema:
    if isinstance(source, Schema):
        return source
    if isinstance(source, str):
        return schema_of_script(source)
    connection = source()
    try:
        return read_schema(connection)
    finally:
        connection.close()


class _Search:
    """The search for one gold's witnesses."""

    def __init__(
        self,
        schema: Schema,
        gold_sql: str,
        tree: exp.Expression,
        settings: SuiteSettings,
        executor: Executor,
        others: Sequence[str],
    ) -> None:
        self.schema = schema
        self.settings = settings
        self.executor = executor
        self.judge = Judge(gold_sql, tree)
        self.plan = Plan(schema, tree)
        self.seed = f"{VERSION}/{settings.seed}/{hashlib.sha256((schema.script + gold_sql).encode()).hexdigest()}"
        self.needed = _with_ancestors(schema, self.plan.used)
        found = [n for n in neighbours(gold_sql, schema, settings.max_neighbours) if executor.binds(n.sql)]
        self.count = len(found)
        trivial = [] if self.judge.writes else [Neighbour(sql, "trivial") for sql in trivial_queries(tree, schema, others)]
        self.targets = found + [t for t in trivial if executor.binds(t.sql)]
        self.gold_answers: set[str] = set()
        self.not_empty = self.judge.writes
        self.rejected = self.violations = self.tried = 0

    def suite(self) -> Suite:
        """Try witnesses, then keep few."""
        trials, alive = self._first_pass()
        if not trials:
            return Suite(
                tried=self.tried,
                rejected=self.rejected,
                violations=self.violations,
                neighbours=self.count,
                reason="the gold has no answer of its own on any witness",
            )
        kept = self._second_pass(trials, alive)
        killed = set().union(*(t.kills for t in kept))
        told = {i for i in range(len(self.targets)) if i not in alive}
        survivors = tuple(f"{n.rule}: {n.sql}" for i, n in enumerate(self.targets[: self.count]) if i not in killed)
        return Suite(
            witnesses=tuple("\n".join(insert_statements(self.schema, t.rows).values()) for t in kept),
            strategies=tuple(t.strategy for t in kept),
            neighbours=self.count,
            killable=sum(i < self.count for i in told),
            killed=sum(i < self.count for i in killed),
            discriminating=self._is_discriminating(killed),
            tried=self.tried,
            rejected=self.rejected,
            violations=self.violations,
            survivors=survivors,
        )

    def _first_pass(self) -> tuple[list[_Trial], set[int]]:
        """Every witness against the targets still alive; (witnesses that told something, targets never told)."""
        alive = set(range(len(self.targets)))
        trials: list[_Trial] = []
        idle = 0
        for number in range(self.settings.candidates):
            if not alive or idle >= self.settings.patience:
                break
            self.tried += 1
            place, rows = witness(self.plan, number, self.seed)
            told = self._told(rows, sorted(alive))
            if told is None:
                idle += 1
                continue
            alive -= told
            idle = 0 if told else idle + 1
            if told or not trials:
                trials.append(_Trial(number, STRATEGIES[place].__name__, rows, told))
        return trials, alive

    def _second_pass(self, trials: list[_Trial], alive: set[int]) -> list[_Trial]:
        """From the last witness back: each takes over what it can, so that early ones fall away."""
        wanted = set(range(len(self.targets))) - alive
        kept: list[_Trial] = []
        for trial in reversed(trials):
            mine = trial.kills & wanted
            if not mine and kept:
                continue
            others = sorted(wanted - trial.kills) if len(trials) > 1 else []
            more = self._told(trial.rows, others) if others else set()
            trial.kills |= more or set()
            wanted -= trial.kills
            kept.append(trial)
        if len(kept) > self.settings.max_witnesses:
            kept = _cover(kept, self.settings.max_witnesses)
        return sorted(kept, key=lambda t: (-len(t.kills), t.number))

    def _told(self, rows: dict[str, list[Row]], targets: list[int]) -> set[int] | None:
        """Which targets this witness tells from the gold; None where it may not judge."""
        try:
            self.executor.load(self._inserts(rows))
        except StatementError:
            self.violations += 1
            return None
        fixed = self.judge.fixed_answer(self.executor, lambda: self.executor.load(self._inserts(rows, backwards=True)))
        if fixed is None:
            self.rejected += 1
            return None
        gold, keyed = fixed
        self._remember(gold)
        return {i for i in targets if self._is_told(self.targets[i].sql, gold, keyed)}

    def _is_told(self, sql: str, gold: Answer, keyed: object) -> bool:
        try:
            other = self.judge.answer(self.executor, sql)
        except StatementError as error:
            return error.kind == "run"
        return self.judge.differs(gold, other, keyed)  # type: ignore[arg-type]

    def _remember(self, gold: Answer) -> None:
        if gold.table is not None:
            self.gold_answers.add(repr(gold.table.rows))
            self.not_empty = self.not_empty or not gold.is_empty

    def _is_discriminating(self, killed: set[int]) -> bool:
        trivial = range(self.count, len(self.targets))
        varies = self.judge.writes or len(self.gold_answers) > 1
        return self.not_empty and varies and all(i in killed for i in trivial)

    def _inserts(self, rows: dict[str, list[Row]], backwards: bool = False) -> list[str]:
        """INSERTs of the tables the gold can see (and their parents)."""
        texts = insert_statements(self.schema, {n: r[::-1] for n, r in rows.items()} if backwards else rows)
        if self.judge.writes:
            return list(texts.values())
        return [sql for name, sql in texts.items() if name in self.needed]


def _cover(trials: list[_Trial], limit: int) -> list[_Trial]:
    """At most `limit` trials that together tell the most (greedy)."""
    kept: list[_Trial] = []
    told: set[int] = set()
    while len(kept) < limit:
        best = max((t for t in trials if t not in kept), key=lambda t: (len(t.kills - told), -t.number), default=None)
        if best is None or not best.kills - told:
            break
        kept.append(best)
        told |= best.kills
    return kept


def _with_ancestors(schema: Schema, names: Sequence[str]) -> set[str]:
    needed = set(names)
    waiting = list(names)
    while waiting:
        table: Table | None = schema.table(waiting.pop())
        for key in table.foreign_keys if table else ():
            if not key.implied and key.table.lower() not in needed:
                needed.add(key.table.lower())
                waiting.append(key.table.lower())
    return needed

