"""Mutation rules for what a row must satisfy: WHERE, ON, HAVING, and the conditions of CASE."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from harness.suite.scene import Edit, Scene
from harness.suite.steps import stepped_days, stepped_numbers

_NEAR: dict[type[exp.Expr], tuple[type[exp.Expr], ...]] = {
    exp.EQ: (exp.NEQ, exp.GTE),
    exp.NEQ: (exp.EQ,),
    exp.GT: (exp.GTE, exp.LT),
    exp.GTE: (exp.GT, exp.LTE),
    exp.LT: (exp.LTE, exp.GT),
    exp.LTE: (exp.LT, exp.GTE),
}
_OPPOSITE: dict[type[exp.Expr], type[exp.Expr]] = {exp.GT: exp.LTE, exp.GTE: exp.LT, exp.LT: exp.GTE, exp.LTE: exp.GT}


def comparison(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """`>` to `>=`, `=` to `<>` and their kin; a join's equality of two columns is left to `join_column`."""
    for node in tree.find_all(*_NEAR):
        if isinstance(node, exp.EQ) and (_is_assignment(node) or _joins_columns(node)):
            continue
        for kind in _NEAR[type(node)]:
            if kind is exp.GTE and isinstance(node, exp.EQ) and not _is_number(node.expression):
                continue
            yield node, kind(this=node.this.copy(), expression=node.expression.copy())


def constant_value(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """A constant off by one, or another value of its column."""
    for node in tree.find_all(exp.Literal):
        if _is_count_of_rows(node) or isinstance(node.parent, exp.Like | exp.ILike | exp.Interval | exp.DataTypeParam):
            continue
        if node.find_ancestor(exp.Where, exp.Having, exp.Join, exp.Case, exp.Update, exp.Values, exp.Tuple) is None:
            continue
        for text in stepped_numbers(str(node.this)) if not node.is_string else _other_texts(node, scene):
            yield node, exp.Literal(this=text, is_string=node.is_string)


def predicate_drop(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """One operand of AND or OR dropped; a lone WHERE dropped whole."""
    for node in tree.find_all(exp.And, exp.Or):
        yield node, node.this.copy()
        yield node, node.expression.copy()
    for where in tree.find_all(exp.Where):
        holder = where.parent
        if holder is not None and not isinstance(where.this, exp.And | exp.Or):
            new = holder.copy()
            new.set("where", None)
            yield holder, new


def predicate_negate(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """IN to NOT IN, LIKE to NOT LIKE, EXISTS to NOT EXISTS, BETWEEN to NOT BETWEEN, and back; `>` to `<=` and kin."""
    for node in tree.find_all(exp.In, exp.Like, exp.ILike, exp.Exists, exp.Between):
        if isinstance(node.parent, exp.Not):
            yield node.parent, node.copy()
        else:
            yield node, exp.Not(this=node.copy())
    for bound in tree.find_all(*_OPPOSITE):
        yield bound, _OPPOSITE[type(bound)](this=bound.this.copy(), expression=bound.expression.copy())


def connective(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """AND to OR, OR to AND."""
    for node in tree.find_all(exp.And, exp.Or):
        kind = exp.Or if isinstance(node, exp.And) else exp.And
        new: exp.Expr = kind(this=node.this.copy(), expression=node.expression.copy())
        yield node, exp.Paren(this=new) if isinstance(node.parent, exp.Connector | exp.Not) else new


def having_drop(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """HAVING dropped whole."""
    for node in tree.find_all(exp.Having):
        holder = node.parent
        if holder is not None:
            new = holder.copy()
            new.set("having", None)
            yield holder, new


def null_test(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """IS NULL to IS NOT NULL and back; rows with NULL let through by `<>` and by NOT IN."""
    for node in tree.find_all(exp.Is):
        if isinstance(node.expression, exp.Null):
            negated = isinstance(node.parent, exp.Not)
            yield (node.parent, node.copy()) if negated and node.parent else (node, exp.Not(this=node.copy()))
    for other in tree.find_all(exp.NEQ, exp.Not):
        side = other.this if isinstance(other, exp.NEQ) else getattr(other.this, "this", None)
        if isinstance(side, exp.Column) and not (isinstance(other, exp.Not) and isinstance(other.this, exp.Is)):
            missing = exp.Is(this=side.copy(), expression=exp.Null())
            yield other, exp.Paren(this=exp.Or(this=other.copy(), expression=missing))


def like_pattern(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """A wildcard fewer or more at either end of a pattern; case minded or not."""
    for node in tree.find_all(exp.Like, exp.ILike):
        pattern = node.expression
        if isinstance(pattern, exp.Literal) and pattern.is_string:
            for text in _other_patterns(str(pattern.this)):
                yield pattern, exp.Literal.string(text)
        kind = exp.ILike if isinstance(node, exp.Like) else exp.Like
        yield node, kind(this=node.this.copy(), expression=node.expression.copy())


def between_bound(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """BETWEEN that excludes its lower bound, and one that excludes its upper one."""
    for node in tree.find_all(exp.Between):
        low, high = node.args["low"], node.args["high"]
        for first, second in ((exp.GT, exp.LTE), (exp.GTE, exp.LT)):
            above = first(this=node.this.copy(), expression=low.copy())
            below = second(this=node.this.copy(), expression=high.copy())
            yield node, exp.Paren(this=exp.And(this=above, expression=below))


def in_list(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """IN with one value fewer (the first, and the last)."""
    for node in tree.find_all(exp.In):
        items = node.expressions
        if len(items) > 1:
            for kept in (items[1:], items[:-1]):
                new = node.copy()
                new.set("expressions", [i.copy() for i in kept])
                yield node, new


def _is_assignment(node: exp.Expr) -> bool:
    return isinstance(node.parent, exp.Update) and node.arg_key == "expressions"


def _joins_columns(node: exp.Expr) -> bool:
    return isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Column)


def _is_number(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string


def _is_count_of_rows(node: exp.Expr) -> bool:
    return isinstance(node.parent, exp.Limit | exp.Offset | exp.Fetch | exp.Ordered | exp.Group)


def _other_texts(node: exp.Literal, scene: Scene) -> list[str]:
    text = str(node.this)
    stepped = stepped_days(text) or stepped_numbers(text)
    if stepped:
        return stepped
    column = next((c for c in (node.parent or node).find_all(exp.Column)), None)
    cell = scene.scopes.cell(column) if column is not None else None
    shipped = [str(v) for v in scene.shipped_values(cell) if isinstance(v, str) and v != text]
    return [*shipped[:1], f"{text}x"]


def _other_patterns(pattern: str) -> list[str]:
    core = pattern.strip("%")
    found = [f"%{core}%", f"{core}%", f"%{core}", core]
    return [p for p in dict.fromkeys(found) if p != pattern and p.strip("%")]
