"""Rows wished for together: one per table of a SELECT, joined, making its predicates true, or one of them false.

A predicate is walked with the truth wanted of it (AND, OR, NOT, IN, EXISTS, scalar subqueries); leaves become
conditions on single cells, equalities tie cells together, and each tie is given one value that fits them all.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

from sqlglot import exp

from harness.suite.builder import Builder, Row
from harness.suite.conditions import Condition, Constant, condition
from harness.suite.pools import Pools
from harness.suite.schema import Column
from harness.suite.scopes import Cell, Scope, Scopes, boolean_parts
from harness.suite.values import fitting, holds

Slot = tuple[int, str, str]
"""(scope, alias, column): one cell of the rows wished for."""


class Wish:
    """The rows one round asks for: slots, what each must satisfy, and which are equal."""

    def __init__(
        self, pools: Pools, rng: random.Random, pinned: dict[Slot, Constant] | None = None, fresh: bool = False
    ) -> None:
        """`pinned` fixes slots; `fresh` gives ties that no predicate asks about a value no row has yet."""
        self.fresh = fresh
        self.pools = pools
        self.scopes: Scopes = pools.scopes
        self.rng = rng
        self.pinned = pinned or {}
        self.members: dict[tuple[int, str], str] = {}
        self._heads: dict[Slot, Slot] = {}
        self._conditions: dict[Slot, list[tuple[Condition, bool]]] = {}
        self._done: set[int] = set()

    def include(self, scope: Scope, flip: float, depth: int = 0) -> None:
        """Ask for one row of each of the scope's tables; with `flip` as its chance, one predicate is made false."""
        if scope.index in self._done or depth > 5:
            return
        self._done.add(scope.index)
        for alias, source in scope.sources.items():
            if isinstance(source, str):
                self.members[(scope.index, alias)] = source
            else:
                for inner in self.scopes.query(source):
                    self.include(inner, flip, depth + 1)
        parts = boolean_parts(scope)
        leaves = [leaf for part in parts for leaf in _conjuncts(part)]
        wrong = self.rng.randrange(len(leaves)) if leaves and self.rng.random() < flip else -1
        for i, leaf in enumerate(leaves):
            self._want(leaf, i != wrong, scope, depth)
        self._natural(scope)

    def include_having(self, scope: Scope, lone: bool) -> None:
        """What HAVING asks of an aggregate, asked of the single values: true, or now and then false.

        A group whose values are alike has them as its average, least and greatest; a lone row's value is its sum.
        """
        having = scope.node.args.get("having")
        for leaf in _conjuncts(having.this) if having is not None else ():
            made = condition(leaf, self.scopes)
            column = leaf.find(exp.Column)
            if made is None or column is None or made.measure not in ("avg", "min", "max", *(("sum",) if lone else ())):
                continue
            slot = self.slot(column)
            if slot is not None:
                asked = replace(made, measure="value")
                self._conditions.setdefault(slot, []).append((asked, self.rng.random() < 0.7))

    def rows(self, builder: Builder) -> list[tuple[str, Row, tuple[int, str]]]:
        """(table, wanted values, member) with one value for each tie."""
        values: dict[Slot, Constant] = {}
        wanted: dict[tuple[int, str], Row] = {member: {} for member in self.members}
        slots = list(dict.fromkeys([*self._conditions, *self._heads, *self.pinned]))
        for slot in slots:
            member = slot[:2]
            if member not in wanted:
                continue
            head = self._head(slot)
            if head not in values:
                values[head] = self._value(head, slots, builder)
            cell = (self.members[member], slot[2])
            column = self._column(cell)
            if column is not None:
                fitted = fitting([values[head]], column) if values[head] is not None else []
                if fitted or values[head] is None:
                    wanted[member][slot[2]] = fitted[0] if fitted else None
        return [(self.members[m], row, m) for m, row in wanted.items()]

    def tie(self, a: Slot, b: Slot) -> None:
        """The two slots hold the same value."""
        self._heads[self._head(b)] = self._head(a)

    def slot(self, column: exp.Column, scope: Scope | None = None) -> Slot | None:
        """The slot a column reference names, through derived tables too."""
        found = self.scopes.resolve(column, scope)
        if found is None:
            return None
        place, alias, cell = found
        if place is not None and alias:
            return (place.index, alias, cell[1])
        return next(((m[0], m[1], cell[1]) for m, table in reversed(self.members.items()) if table == cell[0]), None)

    def _column(self, cell: Cell) -> Column | None:
        table = self.pools.schema.table(cell[0])
        return table.column(cell[1]) if table else None

    def _head(self, slot: Slot) -> Slot:
        while self._heads.get(slot, slot) != slot:
            slot = self._heads[slot]
        return slot

    def _value(self, head: Slot, slots: list[Slot], builder: Builder) -> Constant:
        tied = [s for s in slots if self._head(s) == head]
        for slot in tied:
            if slot in self.pinned:
                return self.pinned[slot]
        asked = [c for s in tied for c in self._conditions.get(s, ())]
        cells = [(self.members[s[:2]], s[2]) for s in tied if s[:2] in self.members]
        if self.fresh and cells and len(tied) > 1 and not asked:
            column = self._column(cells[0])
            if column is not None:
                return builder.never_seen(cells[0], column)
        candidates = [v for cell in cells for v in self.pools.pool(cell).special]
        candidates += [v for cell in cells for v in self.pools.pool(cell).plain[: builder.recipe.domain + 2]]
        if any(not truth for _, truth in asked) and self.rng.random() < builder.recipe.nulls:
            return None
        if any(c.operator == "null" and truth for c, truth in asked):
            return None
        if not candidates:
            return None
        best = max(sum(holds(c, v) == truth for c, truth in asked) for v in candidates)
        good = [v for v in candidates if sum(holds(c, v) == truth for c, truth in asked) == best]
        return good[self.rng.randrange(len(good))]

    def _want(self, node: exp.Expr, truth: bool, scope: Scope, depth: int) -> None:
        if isinstance(node, exp.Paren):
            self._want(node.this, truth, scope, depth)
        elif isinstance(node, exp.Not):
            self._want(node.this, not truth, scope, depth)
        elif isinstance(node, exp.And | exp.Or):
            sides = [node.this, node.expression]
            one = self.rng.randrange(2)
            all_alike = isinstance(node, exp.And) == truth
            for i, side in enumerate(sides):
                self._want(side, truth if all_alike or i == one else not truth, scope, depth)
        elif isinstance(node, exp.Exists):
            self._subquery(node.this, truth, None, scope, depth)
        elif isinstance(node, exp.In) and node.args.get("query") is not None:
            self._subquery(node.args["query"], truth, node.this, scope, depth)
        elif isinstance(node, exp.EQ) and isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Column):
            left, right = self.slot(node.this, None), self.slot(node.expression, None)
            if left and right and truth:
                self.tie(left, right)
        elif node.find(exp.Subquery) is not None and isinstance(node, exp.Binary):
            inner = node.find(exp.Subquery)
            outer = node.this if isinstance(node, exp.EQ) else None
            self._subquery(inner.this if inner is not None else node, truth, outer, scope, depth)
        else:
            self._leaf(node, truth)

    def _leaf(self, node: exp.Expr, truth: bool) -> None:
        made = condition(node, self.scopes)
        column = node.find(exp.Column)
        if made is None or column is None:
            return
        slot = self.slot(column)
        if slot is not None:
            self._conditions.setdefault(slot, []).append((made, truth))

    def _subquery(self, query: exp.Expr, truth: bool, outer: exp.Expr | None, scope: Scope, depth: int) -> None:
        """The inner rows too; tied to the outer column where membership is wanted."""
        if not truth and self.rng.random() < 0.5:
            return
        for inner in self.scopes.query(query):
            self.include(inner, 0.0, depth + 1)
            output = inner.node.expressions[0].unalias() if inner.node.expressions else None
            while isinstance(output, exp.Min | exp.Max | exp.AnyValue | exp.Cast):
                output = output.this
            if truth and isinstance(outer, exp.Column) and isinstance(output, exp.Column):
                left, right = self.slot(outer), self.slot(output)
                if left and right:
                    self.tie(left, right)

    def _natural(self, scope: Scope) -> None:
        """USING and NATURAL: same-named columns of the scope's tables are equal."""
        aliases = scope.tables()
        for join in scope.node.args.get("joins") or ():
            names = [i.name.lower() for i in join.args.get("using") or ()]
            if str(join.args.get("method") or "").upper() == "NATURAL" and isinstance(join.this, exp.Table):
                names = sorted(self.scopes.columns.get(join.this.name.lower(), set()))
            for name in names:
                holders = [a for a, t in aliases if name in self.scopes.columns[t]]
                for first, second in itertools.pairwise(holders):
                    self.tie((scope.index, first, name), (scope.index, second, name))


def _conjuncts(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Paren):
        return _conjuncts(node.this)
    if isinstance(node, exp.And):
        return _conjuncts(node.this) + _conjuncts(node.expression)
    return [node]


def group_slots(wish: Wish, scope: Scope) -> list[Slot]:
    """The slots that make two rows of a scope fall into one group."""
    group = scope.node.args.get("group")
    keys = [k for k in (group.expressions if group is not None else ()) if isinstance(k, exp.Column)]
    if group is None:
        keys = [o.unalias() for o in scope.node.expressions[:1]]
    slots = [wish.slot(k, None) for k in keys if isinstance(k, exp.Column)]
    return [s for s in slots if s is not None]
