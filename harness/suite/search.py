"""The search behind a suite: witness after witness against the statements still to be told from the gold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from harness.suite.builder import Row
from harness.suite.execute import Executor, StatementError
from harness.suite.facts import tables_text
from harness.suite.judge import Answer, Judge
from harness.suite.neighbours import Neighbour
from harness.suite.record import VERSION, Suite, SuiteSettings
from harness.suite.schema import Schema, with_ancestors
from harness.suite.witness import STRATEGIES, Plan, insert_statements, witness


@dataclass(slots=True)
class Found:
    """One witness that may judge, and which targets it tells from the gold."""

    number: int
    strategy: str
    rows: dict[str, list[Row]]
    kills: set[int]
    answer: str
    """The gold's own answer."""


class Search:
    """The search for one gold's witnesses."""

    def __init__(
        self,
        schema: Schema,
        gold_sql: str,
        tree: exp.Expr,
        settings: SuiteSettings,
        executor: Executor,
        targets: list[Neighbour],
        count: int,
    ) -> None:
        """`targets` are what is to be told from the gold, the first `count` of them neighbours."""
        self.schema = schema
        self.settings = settings
        self.executor = executor
        self.judge = Judge(gold_sql, tree)
        self.plan = Plan(schema, tree)
        self.seed = f"{VERSION}/{settings.seed}/{hashlib.sha256((schema.script + gold_sql).encode()).hexdigest()}"
        self.needed = with_ancestors(schema, self.plan.used)
        self.count, self.targets = count, targets
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
            tables=tables_text(self.schema.tables),
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

    def told(self, alive: set[int] | None = None) -> set[int]:
        """Of some targets (all), those that any candidate tells from the gold."""
        start = set(range(len(self.targets))) if alive is None else alive
        left = set(start)
        for number in range(self.settings.candidates):
            if not left:
                break
            left -= self._told(witness(self.plan, number, self.seed)[1], sorted(left)) or set()
        return start - left

    def told_on(self, inserts: Sequence[str], targets: list[int]) -> set[int]:
        """Which targets one database that was found fit to judge tells from the gold."""
        try:
            self.executor.load(inserts)
        except StatementError:
            return set()
        fixed = self.judge.fixed_answer(self.executor, lambda: None)
        return {i for i in targets if fixed is not None and self._is_told(self.targets[i].sql, *fixed)}

    def _first_pass(self) -> tuple[list[Found], set[int]]:
        """Every witness against the targets still alive; (witnesses that told something, targets never told)."""
        alive = set(range(len(self.targets)))
        trials: list[Found] = []
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
                trials.append(Found(number, STRATEGIES[place].__name__, rows, told, self.answer))
        return trials, alive

    def _second_pass(self, trials: list[Found], alive: set[int]) -> list[Found]:
        """From the last witness back: each takes over what it can, so that early ones fall away."""
        wanted = set(range(len(self.targets))) - alive
        kept: list[Found] = []
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
        inserts = self._inserts(rows)
        try:
            self.executor.load(inserts)
        except StatementError:
            self.violations += 1
            return None
        fixed = self.judge.fixed_answer(self.executor, lambda: self.executor.load(self._inserts(rows, backwards=True)))
        if fixed is None:
            self.rejected += 1
            return None
        if self.judge.follows_insertion:
            # others are asked on the rows as the witness is kept, not on the turned ones
            self.executor.load(inserts)
        gold, keyed = fixed
        self.answer = "" if gold.table is None else repr(gold.table.rows)
        return {i for i in targets if self._is_told(self.targets[i].sql, gold, keyed)}

    def _is_told(self, sql: str, gold: Answer, keyed: object) -> bool:
        try:
            other = self.judge.answer(self.executor, sql)
        except StatementError as error:
            return error.kind == "run"
        return self.judge.differs(gold, other, keyed)  # type: ignore[arg-type]

    def _is_discriminating(self, kept: list[Found], killed: set[int]) -> bool:
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


def _cover(trials: list[Found], limit: int) -> list[Found]:
    """At most `limit` trials that together tell the most (greedy)."""
    kept: list[Found] = []
    told: set[int] = set()
    while len(kept) < limit:
        best = max((t for t in trials if t not in kept), key=lambda t: (len(t.kills - told), -t.number), default=None)
        if best is None or not best.kills - told:
            break
        kept.append(best)
        told |= best.kills
    return kept
