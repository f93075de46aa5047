"""Telling another answer from the gold's on one witness, and whether that witness may judge at all.

A witness may judge only where the gold is a function of the data: no LIMIT that cuts through a tie, no ANY_VALUE over
several values, no answer that follows the order of insertion. Elsewhere the gold's own answer is arbitrary, and a right
prediction could be called wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from harness.answer import OrderPlan, State, Table, compare, compare_states, order_plan
from harness.suite.execute import Executor, StatementError

WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop, exp.Alter, exp.Merge)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: rows, or the state it left behind."""

    table: Table | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A LIMIT somewhere in the gold, as a query that shows the rows on both sides of it."""

    sql: str
    keys: tuple[int, ...]
    """Columns that hold the sort keys; none where nothing is sorted."""
    width: int
    """Output columns proper; the rest are keys."""
    first: int
    last: int
    """Rows kept: first (from 0) up to, not including, last."""


class Judge:
    """The gold of one item, ready to be run on witness after witness."""

    def __init__(self, gold_sql: str, tree: exp.Expr) -> None:
        self.sql = gold_sql
        self.writes = isinstance(tree, WRITES)
        self.plan: OrderPlan | None = None if self.writes else order_plan(gold_sql)
        self.cuts = [cut for cut in map(_cut, tree.find_all(exp.Limit)) if cut is not None]
        self.variants = _variants(tree)
        self.follows_insertion = _follows_insertion(tree)

    def answer(self, executor: Executor, sql: str) -> Answer:
        """Run a statement on the loaded witness; raises StatementError."""
        if self.writes:
            return Answer(state=executor.state(sql))
        return Answer(table=executor.query(sql))

    def fixed_answer(self, executor: Executor, backwards: Callable[[], None]) -> tuple[Answer, Table | None] | None:
        """(the gold's answer, its keyed rows) on the loaded witness; None where it is arbitrary or fails.

        `backwards` loads the same rows in the opposite order.
        """
        try:
            gold = self.answer(executor, self.sql)
            if gold.table is not None and gold.table.truncated:
                return None
            keyed = self._keyed(executor, gold)
            if any(self._is_tied(executor, cut) for cut in self.cuts):
                return None
            for variant in self.variants:
                if self.differs(gold, self.answer(executor, variant), keyed):
                    return None
            if self.follows_insertion:
                backwards()
                if self.differs(gold, self.answer(executor, self.sql), keyed):
                    return None
        except StatementError:
            return None
        return gold, keyed

    def differs(self, gold: Answer, other: Answer, keyed: Table | None) -> bool:
        """Whether the default rule tells the two answers apart."""
        if gold.state is not None and other.state is not None:
            return not compare_states(gold.state, other.state).is_match
        if gold.table is None or other.table is None:
            return True
        one, two = gold.table, other.table
        if two.truncated or len(one.columns) != len(two.columns):
            return True
        if one.rows == two.rows:
            return False
        if len(one.rows) != len(two.rows) or _surely_other(one, two):
            return True
        return not compare(one, two, self.plan, keyed).is_match

    def _keyed(self, executor: Executor, gold: Answer) -> Table | None:
        plan = self.plan
        if plan is None or gold.table is None or plan.keyed_sql is None or not plan.needs_keyed(gold.table):
            return None
        try:
            keyed = executor.query(plan.keyed_sql)
        except StatementError:
            return None
        return None if keyed.truncated else keyed

    def _is_tied(self, executor: Executor, cut: Cut) -> bool:
        try:
            rows = executor.query(cut.sql).rows
        except StatementError:
            return False
        return any(_splits_tie(rows, place, cut) for place in {cut.first, cut.last} if 0 < place < len(rows))


def _splits_tie(rows: list[tuple[Any, ...]], place: int, cut: Cut) -> bool:
    def key(row: tuple[Any, ...]) -> str:
        return repr([row[k] for k in cut.keys])

    here = key(rows[place])
    if key(rows[place - 1]) != here:
        return False
    return len({repr(row[: cut.width]) for row in rows if key(row) == here}) > 1


def _surely_other(one: Table, two: Table) -> bool:
    """True where rows as bags of cells differ and no float is near: no column order can make them equal."""
    for row in (*one.rows[:1], *two.rows[:1]):
        if any(not isinstance(cell, int | str | None) or isinstance(cell, bool) for cell in row):
            return False
    try:
        return Counter(_bag(r) for r in one.rows) != Counter(_bag(r) for r in two.rows)
    except TypeError:
        return False


def _bag(row: tuple[Any, ...]) -> tuple[str, ...]:
    for cell in row:
        if not isinstance(cell, int | str | None) or isinstance(cell, bool):
            raise TypeError
    return tuple(sorted(repr(cell) for cell in row))


def _cut(limit: exp.Limit) -> Cut | None:
    """The query round a LIMIT, sorted, without the LIMIT, its sort keys appended."""
    query = limit.parent
    size = limit.expression
    if not isinstance(query, exp.Query) or not (isinstance(size, exp.Literal) and str(size.this).isdigit()):
        return None
    offset = query.args.get("offset")
    first = int(str(offset.expression.this)) if offset is not None and isinstance(offset.expression, exp.Literal) else 0
    whole = query.copy()
    whole.set("limit", None)
    whole.set("offset", None)
    order = whole.args.get("order")
    names = [o.alias_or_name.lower() for o in query.selects]
    if "*" in names:
        return None
    keys: list[int] = []
    for term in order.expressions if order is not None else ():
        key = term.this
        if isinstance(key, exp.Literal) and not key.is_string:
            keys.append(int(str(key.this)) - 1)
        elif isinstance(key, exp.Column) and not key.table and key.name.lower() in names:
            keys.append(names.index(key.name.lower()))
        elif isinstance(whole, exp.Select) and whole.args.get("distinct") is None:
            whole.append("expressions", exp.alias_(key.copy(), f"suite_key_{len(keys)}"))
            keys.append(len(whole.expressions) - 1)
        else:
            return None
    last = first + int(str(size.this))
    common = query.find_ancestor(exp.With) is None and query.root().args.get("with_")
    if common and not whole.args.get("with_"):
        whole.set("with_", common.copy())
    return Cut(whole.sql("duckdb"), tuple(keys), len(names), first, last)


_ANY = (exp.AnyValue, exp.First, exp.Last)


def _variants(tree: exp.Expr) -> list[str]:
    """The gold with MIN, and with MAX, wherever it takes any value of a group."""
    if tree.find(*_ANY) is None:
        return []
    texts = []
    for kind in (exp.Min, exp.Max):
        copy = tree.copy()
        for node in list(copy.find_all(*_ANY)):
            if node is copy or isinstance(node.parent, exp.Window):
                continue
            node.replace(kind(this=node.this.copy()))
        texts.append(copy.sql("duckdb"))
    return texts


_ARBITRARY = ("arg_", "list", "array_agg", "string_agg", "arbitrary")
"""Beginnings of functions that answer by whichever row came first."""


def _follows_insertion(tree: exp.Expr) -> bool:
    """True where the answer may depend on the order in which rows were inserted."""
    if tree.find(exp.Window, exp.GroupConcat, exp.ArrayAgg, exp.Limit, exp.ArgMax, exp.ArgMin) is not None:
        return True
    if any(str(node.this).lower().startswith(_ARBITRARY) for node in tree.find_all(exp.Anonymous)):
        return True
    if any(_may_give_many(node) for node in tree.find_all(exp.Subquery)):
        return True
    return any(node.args.get("on") is not None for node in tree.find_all(exp.Distinct))


def _may_give_many(node: exp.Subquery) -> bool:
    """True for a subquery used as one value that is not one by construction (dialects take the first row)."""
    inner = node.this
    if isinstance(node.parent, exp.From | exp.Join | exp.In | exp.Exists | exp.SetOperation | exp.CTE):
        return False
    return not (isinstance(inner, exp.Select) and not inner.args.get("group") and inner.find(exp.AggFunc) is not None)


def depends_on_chance(tree: exp.Expr) -> bool:
    """True where two runs over the same rows may differ: no suite can judge such a gold."""
    if tree.find(exp.Rand, exp.Randn, exp.Uuid, exp.TableSample) is not None:
        return True
    return any(str(node.this).lower() in ("random", "uuid", "gen_random_uuid") for node in tree.find_all(exp.Anonymous))
