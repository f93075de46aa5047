"""Witnesses: small databases that satisfy the schema and lie round the edges of one gold.

`STRATEGIES` is the list of ways to fill the tables; witness number i of an item is made by strategy i modulo their
number, from a seed that depends on schema, gold and i alone, so the same item gives the same bytes everywhere.
A witness is the INSERT statements that fill *empty* tables, parents first.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from harness.dialect import quote
from harness.suite.builder import Builder, Recipe, Row
from harness.suite.conditions import Constant
from harness.suite.pools import Pools
from harness.suite.schema import Schema, Table
from harness.suite.scopes import Scope
from harness.suite.solve import Slot, Wish, group_slots
from harness.suite.values import as_cell, literal

Strategy = Callable[[Builder, "Plan"], None]


class Plan:
    """What is known of an item before any witness is made: pools, and the SELECTs worth rows of their own."""

    def __init__(self, schema: Schema, gold: exp.Expr, others: tuple[exp.Expr, ...] = ()) -> None:
        self.schema = schema
        self.pools = Pools(schema, (gold, *others))
        scopes = self.pools.scopes
        used = {table for scope in scopes.all for _, table in scope.tables()}
        self.used = [t.name.lower() for t in schema.tables if t.name.lower() in used]
        self.unused = [t.name.lower() for t in schema.tables if t.name.lower() not in used]
        self.starts = [s for s in scopes.all if s.parent is None or _is_operand(s)] or scopes.all[:1]
        limits = [_whole(node.expression) for node in gold.find_all(exp.Limit, exp.Offset)]
        self.cut = min(sum(limits), 40)
        """Rows a LIMIT and OFFSET let pass: more are needed to see the cut."""
        self.sizes = self.pools.counts()


def witness(plan: Plan, number: int, seed: str) -> tuple[int, dict[str, list[Row]]]:
    """(strategy's place, rows by lower-case table name) of one witness."""
    place = number % len(STRATEGIES)
    return place, filled(plan, STRATEGIES[place], f"{seed}/{number}", number // len(STRATEGIES))


def filled(plan: Plan, strategy: Strategy, seed: str, turn: int) -> dict[str, list[Row]]:
    """The rows a strategy makes from a seed, by lower-case table name; `turn` says how often it was asked before."""
    digest = hashlib.sha256(seed.encode()).digest()
    builder = Builder(plan.pools, Recipe(), random.Random(int.from_bytes(digest[:8], "big")), turn)
    strategy(builder, plan)
    return builder.rows


def insert_statements(schema: Schema, rows: dict[str, list[Row]]) -> dict[str, str]:
    """Lower-case table name -> its INSERT, parents first; tables without rows are left out."""
    return {name: "\n".join(found) for name, found in inserts(schema, rows).items()}


def inserts(schema: Schema, rows: dict[str, list[Row]]) -> dict[str, list[str]]:
    """As `insert_statements`, the statements of a table one by one."""
    return {
        table.name.lower(): _inserts(table, rows[table.name.lower()])
        for table in schema.tables
        if rows.get(table.name.lower())
    }


def _inserts(table: Table, rows: list[Row]) -> list[str]:
    names = [c.name for c in table.writable]
    lines = ["(" + ", ".join(literal(row[n.lower()]) for n in names) + ")" for row in rows]
    head = f"INSERT INTO {table.qualified} ({', '.join(map(quote, names))}) VALUES"
    if table.names_itself:
        # DuckDB checks each statement against the rows that were there before it
        return [f"{head} {line};" for line in lines]
    return [f"{head} {', '.join(lines)};"]


def directed(builder: Builder, plan: Plan) -> None:
    """Joined rows that make the gold's predicates true, or all but one of them."""
    builder.recipe = replace(builder.recipe, domain=5, nulls=0.03)
    _tuples(builder, plan, rounds=4, flip=0.5)
    _noise(builder, plan, 3)


def boundaries(builder: Builder, plan: Plan) -> None:
    """Rows at and beside every constant, all other values distinct."""
    builder.recipe = replace(builder.recipe, domain=8, special=0.8, nulls=0.0, wide=True)
    _tuples(builder, plan, rounds=5, flip=0.6)
    _noise(builder, plan, 4)


def distinct_values(builder: Builder, plan: Plan) -> None:
    """Values that never repeat: orders without ties, groups of one."""
    builder.recipe = replace(builder.recipe, domain=10, special=0.35, nulls=0.0, wide=True, unmatched=0.0)
    _tuples(builder, plan, rounds=4, flip=0.3)
    _noise(builder, plan, 8)


def few_values(builder: Builder, plan: Plan) -> None:
    """One to three values a column: ties, duplicates, averages that are values, keys matched many times."""
    domain = (1, 3, 2)[builder.turn % 3]
    builder.recipe = replace(builder.recipe, domain=domain, special=0.4 if domain == 2 else 0.0, nulls=0.0, skew=True)
    _tuples(builder, plan, rounds=3, flip=0.4)
    _noise(builder, plan, 10)
    for name in plan.used:
        for _ in range(3):
            builder.duplicate(name)


def missing_values(builder: Builder, plan: Plan) -> None:
    """NULL wherever it may stand, and keys without a partner."""
    builder.recipe = replace(builder.recipe, domain=4, nulls=0.35, unmatched=0.4)
    _tuples(builder, plan, rounds=4, flip=0.4)
    _noise(builder, plan, 8)


def group_sizes(builder: Builder, plan: Plan) -> None:
    """Groups of one, of many, and of each size the gold asks about, one less and one more."""
    nulls = builder.rng.choice((0.0, 0.25))
    builder.recipe = replace(builder.recipe, domain=8, nulls=nulls, wide=True, unmatched=0.0, max_rows=_room(plan))
    asked = sorted({n + d for n in plan.sizes for d in (-1, 0, 1) if n + d > 0})[:6] or [1, 2, 4, 3]
    for scope in plan.starts:
        for size in asked:
            _group(builder, plan, scope, size, flip=0.0)
    _noise(builder, plan, 3)


def ranked(builder: Builder, plan: Plan) -> None:
    """More groups than a LIMIT lets pass, each of another size, all true."""
    nulls = builder.rng.choice((0.0, 0.2))
    builder.recipe = replace(builder.recipe, domain=10, nulls=nulls, wide=True, unmatched=0.05, max_rows=_room(plan))
    for scope in plan.starts:
        if scope.node.args.get("group") is None and not plan.sizes:
            for _ in range(plan.cut + 4):
                _group(builder, plan, scope, 1, flip=0.1)
        else:
            for size in range(1, 5 + min(plan.cut, 3)):
                _group(builder, plan, scope, size, flip=0.0)
    _noise(builder, plan, 4)


def unmatched(builder: Builder, plan: Plan) -> None:
    """Parents without children and, where the schema lets them, children without parents."""
    nulls = builder.rng.choice((0.02, 0.4))
    builder.recipe = replace(builder.recipe, domain=8, nulls=nulls, unmatched=0.5, wide=True, max_rows=_room(plan))
    sizes = [n + d for n in plan.sizes[:2] for d in (0, 1) if n + d > 0] or [1, 2, 3]
    for scope in plan.starts:
        for i, size in enumerate(sizes):
            for lonely in range(min(len(scope.tables()), 3)):
                _group(builder, plan, scope, size, flip=0.0, without=lonely)
            _group(builder, plan, scope, sizes[-1 - i], flip=0.1)
    _noise(builder, plan, 2)


def shipped(builder: Builder, plan: Plan) -> None:
    """The shipped rows, a few of them changed in one cell, and a few more."""
    builder.recipe = replace(builder.recipe, domain=6, nulls=0.05)
    for table in plan.schema.tables:
        name = table.name.lower()
        names = [c.name.lower() for c in table.columns]
        for values in plan.schema.rows.get(name, ())[:15]:
            row = {n: None if v is None else as_cell(v) for n, v in zip(names, values, strict=True)}
            free = [n for n in names if not any(n in key for key in table.keys)]
            if free and builder.rng.random() < 0.4:
                row.pop(free[builder.rng.randrange(len(free))])
            builder.add(name, row)
    _tuples(builder, plan, rounds=2, flip=0.5)
    _noise(builder, plan, 4)


def one_empty(builder: Builder, plan: Plan) -> None:
    """One of the gold's tables empty (the last ones first), where the keys allow."""
    builder.recipe = replace(builder.recipe, domain=4)
    _tuples(builder, plan, rounds=3, flip=0.2)
    _noise(builder, plan, 5)
    children = [n for n in reversed(plan.used) if not _is_needed(plan.schema, n)]
    if children:
        builder.rows[children[builder.rng.randrange(len(children))]] = []


STRATEGIES: tuple[Strategy, ...] = (
    directed,
    boundaries,
    distinct_values,
    missing_values,
    group_sizes,
    few_values,
    ranked,
    unmatched,
    shipped,
    one_empty,
)


def _tuples(builder: Builder, plan: Plan, rounds: int, flip: float) -> None:
    for _ in range(rounds):
        for scope in plan.starts:
            _group(builder, plan, scope, builder.rng.choice((1, 1, 2, 3)), flip)
        if len(plan.starts) > 1:
            _together(builder, plan)


def _group(builder: Builder, plan: Plan, scope: Scope, size: int, flip: float, without: int = -1) -> None:
    """`size` joined tuples that fall into one group of the scope, all lacking the table number `without`."""
    pinned: dict[Slot, Constant] = {}
    for _ in range(size):
        wish = Wish(plan.pools, builder.rng, dict(pinned), fresh=without >= 0)
        wish.include(scope, flip)
        wish.include_having(scope, lone=size == 1)
        placed = _place(builder, wish, without)
        for slot in group_slots(wish, scope):
            row = placed.get(slot[:2])
            if row is not None and slot[2] in row:
                pinned[slot] = row[slot[2]]


def _together(builder: Builder, plan: Plan) -> None:
    """One tuple of each operand of a set operation, alike in what they return."""
    wish = Wish(plan.pools, builder.rng)
    for scope in plan.starts:
        wish.include(scope, 0.0)
    first = plan.starts[0].node
    for other in plan.starts[1:]:
        for a, b in zip(first.expressions, other.node.expressions, strict=False):
            left, right = a.unalias(), b.unalias()
            if isinstance(left, exp.Column) and isinstance(right, exp.Column):
                one, two = wish.slot(left), wish.slot(right)
                if one and two:
                    wish.tie(one, two)
    _place(builder, wish)


def _place(builder: Builder, wish: Wish, without: int = -1) -> dict[tuple[int, str], Row]:
    placed: dict[tuple[int, str], Row] = {}
    for i, (table, row, member) in enumerate(wish.rows(builder)):
        if i == without:
            placed[member] = row
            continue
        made = builder.add(table, row)
        if made is not None:
            placed[member] = made
    return placed


def _noise(builder: Builder, plan: Plan, count: int) -> None:
    for table in plan.schema.tables:
        name = table.name.lower()
        if name in plan.used:
            for _ in range(count):
                builder.add(name, {})
        else:
            builder.fill(name, 3)


def _is_operand(scope: Scope) -> bool:
    return isinstance(scope.node.parent, exp.SetOperation) and scope.parent is None


def _is_needed(schema: Schema, name: str) -> bool:
    return any(
        not key.loose and key.table.lower() == name and t.name.lower() != name
        for t in schema.tables
        for key in t.foreign_keys
    )


def _room(plan: Plan) -> int:
    return min(30 + 3 * max(plan.sizes, default=0) + 2 * plan.cut, 220)


def _whole(node: exp.Expr | None) -> int:
    return int(str(node.this)) if isinstance(node, exp.Literal) and str(node.this).isdigit() else 0
