"""Rewrites that keep a statement's meaning and bring constants of their own: witnesses are made round these too."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

_BOUNDS = (exp.GT, exp.GTE, exp.LT, exp.LTE)


def doubled_bound(tree: exp.Expr) -> exp.Expr | None:
    """`x > 5` as `x * 2 > 10`."""
    for node, number in _bounds(tree):
        doubled = exp.Mul(this=node.this.copy(), expression=exp.Literal.number(2))
        node.replace(type(node)(this=doubled, expression=exp.Literal.number(2 * number)))
        return tree
    return None


def shifted_bound(tree: exp.Expr) -> exp.Expr | None:
    """`x > 5` as `x + 13 > 18`."""
    for node, number in _bounds(tree):
        shifted = exp.Add(this=node.this.copy(), expression=exp.Literal.number(13))
        node.replace(type(node)(this=shifted, expression=exp.Literal.number(number + 13)))
        return tree
    return None


def tautology(tree: exp.Expr) -> exp.Expr | None:
    """A condition that every row meets, about a text of its own, beside the WHERE that is there."""
    for where in tree.find_all(exp.Where):
        column = next((n.this for n in where.find_all(exp.EQ) if _is_text(n)), None)
        if column is None:
            continue
        other = exp.Literal.string("Quebec")
        tests = [
            exp.EQ(this=column.copy(), expression=other),
            exp.NEQ(this=column.copy(), expression=other.copy()),
            exp.Is(this=column.copy(), expression=exp.Null()),
        ]
        held = exp.Paren(this=exp.Or(this=exp.Or(this=tests[0], expression=tests[1]), expression=tests[2]))
        kept = exp.Paren(this=where.this.copy()) if isinstance(where.this, exp.Or) else where.this.copy()
        where.set("this", exp.And(this=kept, expression=held))
        return tree
    return None


def far_limit(tree: exp.Expr) -> exp.Expr | None:
    """A LIMIT that no small database reaches."""
    if not isinstance(tree, exp.Select) or tree.args.get("limit") is not None:
        return None
    return tree.limit(1_000_000)


def impossible_branch(tree: exp.Expr) -> exp.Expr | None:
    """`x = 'a'` as `x = 'a' OR (x = 'Quebec' AND x <> 'Quebec')`."""
    for node in tree.find_all(exp.EQ):
        if _is_text(node) and isinstance(node.parent, exp.Where | exp.And):
            other = exp.Literal.string("Quebec")
            never = exp.And(
                this=exp.EQ(this=node.this.copy(), expression=other),
                expression=exp.NEQ(this=node.this.copy(), expression=other.copy()),
            )
            node.replace(exp.Paren(this=exp.Or(this=node.copy(), expression=exp.Paren(this=never))))
            return tree
    return None


OWN_REWRITES = (doubled_bound, shifted_bound, tautology, far_limit, impossible_branch)


def _bounds(tree: exp.Expr) -> Iterator[tuple[exp.Expr, int]]:
    """Comparisons of a bare column with a small whole number."""
    for node in tree.find_all(*_BOUNDS):
        side = node.expression
        number = str(side.this) if isinstance(side, exp.Literal) and not side.is_string else ""
        if isinstance(node.this, exp.Column) and number.isdigit() and int(number) < 1_000_000:
            yield node, int(number)


def _is_text(node: exp.Expr) -> bool:
    return (
        isinstance(node.this, exp.Column)
        and isinstance(node.expression, exp.Literal)
        and node.expression.is_string
        and not isinstance(node.parent, exp.Update)
    )
