"""Mutation rules for how tables and queries are put together."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from harness.suite.scene import Edit, Scene


def join_kind(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """INNER to LEFT and RIGHT, an outer join to INNER."""
    for node in tree.find_all(exp.Join):
        if node.args.get("on") is None and not node.args.get("using"):
            continue
        side = str(node.args.get("side") or "").upper()
        for wanted in ("LEFT", "RIGHT") if not side else ("",):
            new = node.copy()
            new.set("side", wanted)
            new.set("kind", "" if wanted or side else new.args.get("kind"))
            yield node, new


def join_column(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """A join over another column of the same type."""
    for node in tree.find_all(exp.EQ):
        if isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Column):
            if isinstance(node.parent, exp.Update):
                continue
            for side in (node.this, node.expression):
                for other in scene.siblings(side):
                    if other != side:
                        yield side, other
    for member in tree.find_all(exp.In):
        if member.args.get("query") is not None and isinstance(member.this, exp.Column):
            for other in scene.siblings(member.this):
                yield member.this, other


def join_drop(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """A joined table left out, where nothing else needs it."""
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        for i, join in enumerate(joins):
            name = (join.this.alias_or_name or "").lower()
            if name and not _used_elsewhere(select, join, name, scene):
                new = select.copy()
                new.set("joins", [j.copy() for j in joins[:i] + joins[i + 1 :]])
                yield select, new


def set_operator(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """UNION, UNION ALL, INTERSECT and EXCEPT exchanged; EXCEPT turned round; one operand alone."""
    for node in tree.find_all(exp.SetOperation):
        kept = {k: v for k, v in node.args.items() if k not in ("this", "expression", "distinct")}
        for kind, is_distinct in ((exp.Union, True), (exp.Union, False), (exp.Intersect, True), (exp.Except, True)):
            if type(node) is not kind or bool(node.args.get("distinct")) != is_distinct:
                new = kind(this=node.this.copy(), expression=node.expression.copy(), distinct=is_distinct)
                for key, value in kept.items():
                    new.set(key, value.copy() if isinstance(value, exp.Expr) else value)
                yield node, new
        if isinstance(node, exp.Except):
            new = node.copy()
            new.set("this", node.expression.copy())
            new.set("expression", node.this.copy())
            yield node, new
        if not any(v for k, v in kept.items() if k in ("with_", "with", "order", "limit")):
            yield node, node.this.copy()
            yield node, node.expression.copy()


def subquery_quantifier(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """ANY to ALL and back."""
    for node in tree.find_all(exp.Any, exp.All):
        kind = exp.All if isinstance(node, exp.Any) else exp.Any
        yield node, kind(this=node.this.copy())


def _used_elsewhere(select: exp.Select, join: exp.Join, name: str, scene: Scene) -> bool:
    inside = {id(c) for c in join.find_all(exp.Column)}
    scope = scene.scope(select)
    for column in select.find_all(exp.Column):
        if id(column) in inside:
            continue
        if column.table.lower() == name:
            return True
        if not column.table and scope is not None:
            found = scene.scopes.resolve(column)
            if found is None or (found[0] is scope and found[1] in ("", name)):
                return True
    return any(isinstance(s, exp.Star) for s in select.expressions)
