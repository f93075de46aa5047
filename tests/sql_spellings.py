"""Equivalent spellings and near-misses of a SELECT, made at random: what exact match must and must not accept."""

from __future__ import annotations

import random
from collections.abc import Callable

import sqlglot
from sqlglot import exp

from harness.sqltext.scan import WORD, scan

_FLIP = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE}
_NEGATION = {exp.EQ: exp.NEQ, exp.NEQ: exp.EQ, exp.GT: exp.LTE, exp.LTE: exp.GT, exp.GTE: exp.LT, exp.LT: exp.GTE}


def _pick(rng: random.Random, tree: exp.Expr, *kinds: type[exp.Expr]) -> exp.Expr | None:
    found = list(tree.find_all(*kinds))
    return rng.choice(found) if found else None


def swap_operands(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.And, exp.Or, exp.EQ, exp.NEQ, exp.Add, exp.Mul)
    if node is None:
        return False
    left, right = node.this, node.expression
    node.set("this", right)
    node.set("expression", left)
    return True


def flip_comparison(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, *_FLIP)
    if node is None:
        return False
    node.replace(_FLIP[type(node)](this=node.expression.copy(), expression=node.this.copy()))
    return True


def negate_twice(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, *_NEGATION)
    if node is None or isinstance(node.parent, exp.Join):
        return False
    other = _NEGATION[type(node)](this=node.this.copy(), expression=node.expression.copy())
    node.replace(exp.Not(this=exp.Paren(this=other)))
    return True


def write_out_between(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.Between)
    if node is None or not isinstance(node.args["low"], exp.Literal) or not isinstance(node.args["high"], exp.Literal):
        return False
    low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
    high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
    node.replace(exp.Paren(this=exp.And(this=low, expression=high)))
    return True


def in_of_one(tree: exp.Expr, rng: random.Random) -> bool:
    found = [
        n for n in tree.find_all(exp.EQ) if isinstance(n.expression, exp.Literal) and isinstance(n.this, exp.Column)
    ]
    if not found:
        return False
    node = rng.choice(found)
    node.replace(exp.In(this=node.this.copy(), expressions=[node.expression.copy()]))
    return True


def parentheses(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.EQ, exp.GT, exp.LT, exp.And, exp.Or, exp.Like)
    if node is None:
        return False
    node.replace(exp.Paren(this=exp.Paren(this=node.copy())))
    return True


def count_of_one(tree: exp.Expr, rng: random.Random) -> bool:
    found = [node for node in tree.find_all(exp.Count) if isinstance(node.this, exp.Star)]
    for node in found:
        node.set("this", exp.Literal.number(1))
    return bool(found)


def name_outputs(tree: exp.Expr, rng: random.Random) -> bool:
    if not isinstance(tree, exp.Select):
        return False
    fresh = [
        exp.Alias(this=one.copy(), alias=exp.to_identifier(f"output_{index}"))
        if not one.is_star or isinstance(one, exp.Count)
        else one
        for index, one in enumerate(tree.expressions)
        if not isinstance(one, exp.Alias)
    ]
    if len(fresh) != len(tree.expressions):
        return False
    tree.set("expressions", fresh)
    return True


def rename_tables(tree: exp.Expr, rng: random.Random) -> bool:
    changed = False
    for select in tree.find_all(exp.Select):
        owners = {t.alias.lower(): t for t in _tables(select) if t.alias}
        if len(owners) != len(_tables(select)):
            continue
        for column in tree.find_all(exp.Column):
            if column.table.lower() in owners and column.find_ancestor(exp.Select) is select:
                column.set("table", exp.to_identifier("alias_" + column.table.lower()))
        inner = [c for c in select.find_all(exp.Column) if c.table.lower() in owners]
        for column in inner:
            column.set("table", exp.to_identifier("alias_" + column.table.lower()))
        for name, table in owners.items():
            table.set("alias", exp.TableAlias(this=exp.to_identifier("alias_" + name)))
        changed = changed or bool(owners)
    return changed


def _tables(select: exp.Select) -> list[exp.Expr]:
    start = select.args.get("from_")
    return ([start.this] if start else []) + [join.this for join in select.args.get("joins") or ()]


def comma_join(tree: exp.Expr, rng: random.Random) -> bool:
    changed = False
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        if not joins or any(j.side or j.args.get("using") or j.method or not j.args.get("on") for j in joins):
            continue
        conditions = [join.args["on"].copy() for join in joins]
        for join in joins:
            join.set("on", None)
            join.set("kind", "CROSS")
        where = select.args.get("where")
        parts = conditions + ([exp.Paren(this=where.this.copy())] if where else [])
        select.set("where", exp.Where(this=exp.and_(*parts)))
        changed = True
    return changed


def reverse_joins(tree: exp.Expr, rng: random.Random) -> bool:
    """FROM a JOIN b ON c -> FROM b JOIN a ON c."""
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        outer = any(j.side or j.args.get("using") or j.method for j in joins)
        tables = [t.name.lower() for t in _tables(select)]
        if (
            len(joins) != 1
            or outer
            or len(set(tables)) != 2
            or any(e.is_star for e in select.expressions if not isinstance(e, exp.Count))
        ):
            continue
        if select.args.get("limit") and not select.args.get("order"):
            continue
        first, second = select.args["from_"].this.copy(), joins[0].this.copy()
        select.args["from_"].set("this", second)
        joins[0].set("this", first)
        return True
    return False


def random_case(sql: str, rng: random.Random) -> str:
    return "".join(
        rng.choice((token.text.upper(), token.text.lower())) if token.kind == WORD else token.text
        for token in scan(sql)
    )


SPELLINGS: tuple[Callable[[exp.Expr, random.Random], bool], ...] = (
    swap_operands, flip_comparison, negate_twice, write_out_between, in_of_one, parentheses, count_of_one,
    name_outputs, rename_tables, comma_join, reverse_joins,
)  # fmt: skip


def respell(sql: str, rng: random.Random, changes: int = 3, dialect: str = "sqlite") -> tuple[str, list[str]] | None:
    """An equivalent spelling and the names of the changes; None where sqlglot cannot read `sql`."""
    try:
        tree = sqlglot.parse_one(sql, read=dialect)
    except sqlglot.errors.SqlglotError:
        return None
    done = []
    for change in rng.sample(SPELLINGS, k=len(SPELLINGS)):
        if len(done) < changes and change(tree, rng):
            done.append(change.__name__)
    return random_case(tree.sql(dialect=dialect), rng), done


# near-misses --------------------------------------------------------------------------------------------------------


def other_constant(tree: exp.Expr, rng: random.Random) -> bool:
    found = [n for n in tree.find_all(exp.Literal) if n.find_ancestor(exp.Where, exp.Having)]
    if not found:
        return False
    node = rng.choice(found)
    node.replace(
        exp.Literal.string(node.name + "x") if node.is_string else exp.Literal.number(int(float(node.name)) + 1)
    )
    return True


def other_comparison(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.GT, exp.LT, exp.GTE, exp.LTE)
    if node is None:
        return False
    other = {exp.GT: exp.GTE, exp.GTE: exp.GT, exp.LT: exp.LTE, exp.LTE: exp.LT}[type(node)]
    node.replace(other(this=node.this.copy(), expression=node.expression.copy()))
    return True


def other_aggregate(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.Max, exp.Min, exp.Avg, exp.Sum)
    if node is None:
        return False
    other = {exp.Max: exp.Min, exp.Min: exp.Max, exp.Avg: exp.Sum, exp.Sum: exp.Avg}[type(node)]
    if any(parent.sql() == other(this=node.this.copy()).sql() for parent in tree.find_all(other)):
        return False
    node.replace(other(this=node.this.copy()))
    return True


def other_direction(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.Ordered)
    if node is None:
        return False
    node.set("desc", not node.args.get("desc"))
    node.set("nulls_first", not node.args.get("desc"))
    return True


def toggle_distinct(tree: exp.Expr, rng: random.Random) -> bool:
    if not isinstance(tree, exp.Select):
        return False
    tree.set("distinct", None if tree.args.get("distinct") else exp.Distinct())
    return True


def and_to_or(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.And, exp.Or)
    if node is None or node.this.sql() == node.expression.sql():
        return False
    other = exp.Or if isinstance(node, exp.And) else exp.And
    node.replace(exp.Paren(this=other(this=node.this.copy(), expression=node.expression.copy())))
    return True


def outer_join(tree: exp.Expr, rng: random.Random) -> bool:
    found = [join for join in tree.find_all(exp.Join) if join.args.get("on") and not join.side]
    if not found:
        return False
    node = rng.choice(found)
    node.set("side", "LEFT")
    node.set("kind", None)
    return True


def other_limit(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.Limit)
    if node is None or not isinstance(node.expression, exp.Literal):
        return False
    node.set("expression", exp.Literal.number(int(node.expression.name) + 1))
    return True


def other_set_operator(tree: exp.Expr, rng: random.Random) -> bool:
    node = _pick(rng, tree, exp.Union, exp.Intersect, exp.Except)
    if node is None:
        return False
    other = exp.Union if not isinstance(node, exp.Union) else exp.Intersect
    node.replace(other(this=node.this.copy(), expression=node.expression.copy(), distinct=True))
    return node.parent is not None


def fewer_outputs(tree: exp.Expr, rng: random.Random) -> bool:
    if not isinstance(tree, exp.Select) or len(tree.expressions) < 2:
        return False
    tree.set("expressions", tree.expressions[:-1])
    return True


NEAR_MISSES: tuple[Callable[[exp.Expr, random.Random], bool], ...] = (
    other_constant, other_comparison, other_aggregate, other_direction, toggle_distinct, and_to_or, outer_join,
    other_limit, other_set_operator, fewer_outputs,
)  # fmt: skip


def near_miss(sql: str, rng: random.Random, dialect: str = "sqlite") -> tuple[str, str] | None:
    """A statement that means something else, and the name of the change; None where nothing applies."""
    try:
        tree = sqlglot.parse_one(sql, read=dialect)
    except sqlglot.errors.SqlglotError:
        return None
    for change in rng.sample(NEAR_MISSES, k=len(NEAR_MISSES)):
        if change(tree, rng):
            return tree.sql(dialect=dialect), change.__name__
    return None
