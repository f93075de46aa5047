"""A suite: the few witnesses that tell the most neighbours from the gold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
from sqlglot import exp

from harness.suite.builder import Row
from harness.suite.execute import Executor, StatementError, plain_executor
from harness.suite.judge import WRITES, Answer, Judge, depends_on_chance
from harness.suite.neighbours import Neighbour, neighbours, parse
from harness.suite.reading import read_schema, schema_of_script
from harness.suite.record import VERSION, Suite, SuiteSettings
from harness.suite.schema import Schema, Table
from harness.suite.vacuity import trivial_queries
from harness.suite.witness import STRATEGIES, Plan, insert_statements, witness

Source = str | Schema | Callable[[], duckdb.DuckDBPyConnection]
"""A DuckDB script, a schema read before, or what opens a connection that holds the tables and shipped rows."""


@dataclass(slots=True)
class _Trial:
    """One witness that may judge, and which targets it tells from the gold."""

    number: int
    strategy: str
    rows: dict[str, list[Row]]
    kills: set[int]
    answer: str
    """The gold's own answer."""


def build_suite(
    source: Source,
    gold_sql: str,
    settings: SuiteSettings | None = None,
    *,
    others: Sequence[str] = (),
    prelude: Sequence[str] = (),
    executor: Callable[[str, float], Executor] = plain_executor,
) -> Suite:
    """The suite of one gold; `others` are golds of other items on the schema, which it should be told from.

    `prelude` holds the SET statements of the benchmark's dialect; `executor` opens a place to run statements from
    (script, deadline in seconds). Never raises for what the gold or the schema is: a suite without witnesses says why.
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
        room = executor(";\n".join((*prelude, schema.script)), settings.deadline_seconds)
    except duckdb.Error as error:
        return Suite(reason=f"the schema does not load: {str(error).splitlines()[0]}")
    try:
        return _Search(schema, gold_sql, tree, settings, room, others).suite()
    finally:
        close = getattr(room, "close", None)
        if close is not None:
            close()


def told_by_more(
    schema: Schema, gold_sql: str, suite: Suite, settings: SuiteSettings, prelude: Sequence[str] = ()
) -> set[str]:
    """Which survivors of a suite some witness of another, larger search tells from the gold: its misses.

    The larger search is `settings` (other seed, more candidates); it never counts what the suite already kills.
    """
    tree = parse(gold_sql)
    if tree is None or not suite.survivors:
        return set()
    with plain_executor(";\n".join((*prelude, schema.script)), settings.deadline_seconds) as room:
        search = _Search(schema, gold_sql, tree, settings, room, ())
        return search.told(set(suite.survivors))


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
        tree: exp.Expr,
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
        trivial = [] if self.judge.writes else trivial_queries(tree, schema, others)
        self.targets = found + [Neighbour(sql, "trivial") for sql in trivial if executor.binds(sql)]
        self.answer = ""
        self.varies = self.judge.writes
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
            schema=self.schema.script,
            witnesses=tuple("\n".join(insert_statements(self.schema, t.rows).values()) for t in kept),
            strategies=tuple(t.strategy for t in kept),
            neighbours=self.count,
            killable=sum(i < self.count for i in told),
            killed=sum(i < self.count for i in killed),
            discriminating=self._is_discriminating(kept, killed),
            tried=self.tried,
            rejected=self.rejected,
            violations=self.violations,
            survivors=survivors,
        )

    def told(self, wanted: set[str]) -> set[str]:
        """Of neighbours named `rule: statement`, those that some candidate tells from the gold."""
        names = [f"{n.rule}: {n.sql}" for n in self.targets[: self.count]]
        alive = {i for i, name in enumerate(names) if name in wanted}
        start = set(alive)
        for number in range(self.settings.candidates):
            if not alive:
                break
            alive -= self._told(witness(self.plan, number, self.seed)[1], sorted(alive)) or set()
        return {names[i] for i in start - alive}

    def _first_pass(self) -> tuple[list[_Trial], set[int]]:
        """Every witness against the targets still alive; (witnesses that told something, targets never told)."""
        alive = set(range(len(self.targets)))
        trials: list[_Trial] = []
        idle = 0
        for number in range(self.settings.candidates):
            if (not alive and self.varies) or idle >= self.settings.patience:
                break
            self.tried += 1
            place, rows = witness(self.plan, number, self.seed)
            told = self._told(rows, sorted(alive))
            if told is None:
                idle += 1
                continue
            alive -= told
            news = not self.varies and bool(trials) and self.answer != trials[0].answer
            self.varies = self.varies or news
            idle = 0 if told else idle + 1
            if told or news or not trials:
                trials.append(_Trial(number, STRATEGIES[place].__name__, rows, told, self.answer))
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
        if len({t.answer for t in kept}) == 1 and len(kept) < self.settings.max_witnesses:
            kept += [t for t in trials if t.answer != kept[0].answer][:1]
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
        self.answer = "" if gold.table is None else repr(gold.table.rows)
        return {i for i in targets if self._is_told(self.targets[i].sql, gold, keyed)}

    def _is_told(self, sql: str, gold: Answer, keyed: object) -> bool:
        try:
            other = self.judge.answer(self.executor, sql)
        except StatementError as error:
            return error.kind == "run"
        return self.judge.differs(gold, other, keyed)  # type: ignore[arg-type]

    def _is_discriminating(self, kept: list[_Trial], killed: set[int]) -> bool:
        """Every trivial query is told from the gold, and no constant is its answer everywhere."""
        varies = self.judge.writes or len({t.answer for t in kept}) > 1
        return varies and all(i in killed for i in range(self.count, len(self.targets)))

    def _inserts(self, rows: dict[str, list[Row]], backwards: bool = False) -> list[str]:
        """INSERTs of the tables the gold can see (and their parents)."""
        turned = {t.name.lower() for t in self.schema.tables if backwards and not t.names_itself}
        texts = insert_statements(self.schema, {n: r[::-1] if n in turned else r for n, r in rows.items()})
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
