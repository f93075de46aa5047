"""Neighbours: statements one small slip away from the gold, the slips models make.

Each rule is one function `rule(tree, scene) -> edits`, where an edit is a node of the tree and what stands in its
place; the tree itself is never changed for good. `tests/fixtures/suite/<rule>.sql` shows each rule at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from harness.suite.mutate_joins import join_column, join_drop, join_kind, set_operator, subquery_quantifier
from harness.suite.mutate_predicates import (
    between_bound,
    comparison,
    connective,
    constant_value,
    having_drop,
    in_list,
    like_pattern,
    null_test,
    predicate_drop,
    predicate_negate,
)
from harness.suite.mutate_select import (
    aggregate,
    arithmetic,
    assignment,
    case_branch,
    distinct,
    grouping,
    limit_offset,
    null_default,
    order_direction,
    order_key,
    projection,
    window,
)
from harness.suite.scene import Edit, Scene
from harness.suite.schema import Schema

Rule = Callable[[exp.Expr, Scene], Iterator[Edit]]

RULES: tuple[Rule, ...] = (
    comparison,
    constant_value,
    aggregate,
    predicate_drop,
    predicate_negate,
    connective,
    distinct,
    join_kind,
    join_column,
    join_drop,
    grouping,
    having_drop,
    order_direction,
    order_key,
    limit_offset,
    set_operator,
    null_test,
    null_default,
    like_pattern,
    between_bound,
    in_list,
    subquery_quantifier,
    window,
    case_branch,
    arithmetic,
    projection,
    assignment,
)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A statement that is not the gold, and the rule that made it."""

    sql: str
    rule: str


def parse(sql: str) -> exp.Expr | None:
    """The gold's tree; None where sqlglot cannot read it (then it has no neighbours)."""
    try:
        parsed = sqlglot.parse(sql, read="duckdb")
    except (SqlglotError, RecursionError):
        return None
    statements = [s for s in parsed if s is not None and not isinstance(s, exp.Semicolon)]
    if len(statements) != 1 or isinstance(statements[0], exp.Command):
        return None
    return statements[0]


def neighbours(gold_sql: str, schema: Schema, limit: int = 0) -> list[Neighbour]:
    """The gold's neighbours in DuckDB's dialect, each text once; with a limit, a fair share of every rule."""
    tree = parse(gold_sql)
    if tree is None:
        return []
    scene = Scene(tree, schema)
    seen = {tree.sql("duckdb", comments=False)}
    by_rule: list[list[Neighbour]] = []
    for rule in RULES:
        made = []
        for sql in _texts(tree, rule, scene):
            if sql not in seen:
                seen.add(sql)
                made.append(Neighbour(sql, rule.__name__))
        by_rule.append(made)
    return _fair_share(by_rule, limit)


def _texts(tree: exp.Expr, rule: Rule, scene: Scene) -> list[str]:
    texts = []
    for node, new in list(rule(tree, scene)):
        if node is tree:
            texts.append(new.sql("duckdb", comments=False))
            continue
        node.replace(new)
        texts.append(tree.sql("duckdb", comments=False))
        new.replace(node)
    return texts


def _fair_share(by_rule: list[list[Neighbour]], limit: int) -> list[Neighbour]:
    total = sum(map(len, by_rule))
    if not limit or total <= limit:
        return [n for made in by_rule for n in made]
    taken: list[list[Neighbour]] = [[] for _ in by_rule]
    depth = 0
    while sum(map(len, taken)) < limit:
        for made, kept in zip(by_rule, taken, strict=True):
            if depth < len(made) and sum(map(len, taken)) < limit:
                kept.append(made[depth])
        depth += 1
    return [n for kept in taken for n in kept]
