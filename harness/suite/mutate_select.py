"""Mutation rules for what is computed, grouped, ordered and written."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from harness.suite.scene import Edit, Scene

_SWAPS: dict[type[exp.Expr], tuple[type[exp.Expr], ...]] = {
    exp.Sum: (exp.Avg, exp.Count, exp.Max),
    exp.Avg: (exp.Sum, exp.Max),
    exp.Min: (exp.Max, exp.AnyValue),
    exp.Max: (exp.Min, exp.AnyValue),
}
_RANKS = {"ROW_NUMBER": "RANK", "RANK": "DENSE_RANK", "DENSE_RANK": "RANK", "LAG": "LEAD", "LEAD": "LAG"}
_ARITHMETIC: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.Add: exp.Sub,
    exp.Sub: exp.Add,
    exp.Mul: exp.Add,
    exp.Div: exp.Mul,
}


def aggregate(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """SUM, AVG, MIN, MAX and COUNT exchanged; COUNT with and without DISTINCT."""
    for node in tree.find_all(*_SWAPS):
        if isinstance(node.this, exp.Distinct):
            yield node, type(node)(this=node.this.expressions[0].copy())
            continue
        for kind in _SWAPS[type(node)]:
            if kind is not exp.AnyValue:
                yield node, kind(this=node.this.copy())
        if isinstance(node, exp.Min | exp.Max) and scene.family(node.this) in ("integer", "number"):
            yield node, exp.Sum(this=node.this.copy())
        if isinstance(node, exp.Sum | exp.Avg):
            yield node, type(node)(this=exp.Distinct(expressions=[node.this.copy()]))
    for node in tree.find_all(exp.Count):
        yield from _count(node, scene)


def _count(node: exp.Count, scene: Scene) -> Iterator[Edit]:
    inner = node.this
    if isinstance(inner, exp.Distinct):
        yield node, exp.Count(this=inner.expressions[0].copy(), big_int=True)
    elif isinstance(inner, (exp.Star, exp.Literal)):
        for column in _countable(node, scene):
            yield node, exp.Count(this=column.copy(), big_int=True)
            yield node, exp.Count(this=exp.Distinct(expressions=[column.copy()]), big_int=True)
    elif inner is not None:
        yield node, exp.Count(this=exp.Distinct(expressions=[inner.copy()]), big_int=True)
        yield node, exp.Count(this=exp.Star(), big_int=True)
        if scene.family(inner) in ("integer", "number"):
            yield node, exp.Sum(this=inner.copy())


def _countable(node: exp.Expr, scene: Scene) -> list[exp.Column]:
    """Columns COUNT(*) might be mistaken for: the first nullable one of each joined table."""
    scope = scene.scope(node)
    found: list[exp.Column] = []
    for alias, name in scope.tables() if scope else []:
        table = scene.schema.table(name)
        column = next((c for c in table.columns if table.may_miss(c)), None) if table else None
        if column is not None:
            name_of = exp.to_identifier(column.name, quoted=True)
            found.append(exp.column(name_of, table=exp.to_identifier(alias, quoted=True)))
    return found[:2]


def distinct(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """DISTINCT added to a SELECT, or dropped."""
    for node in tree.find_all(exp.Select):
        new = node.copy()
        if _as_set(node):
            continue
        if node.args.get("distinct") is not None:
            new.set("distinct", None)
            yield node, new
        elif not _gives_one_row(node):
            new.set("distinct", exp.Distinct())
            yield node, new


def _as_set(node: exp.Select) -> bool:
    """True where duplicates cannot matter: inside IN or EXISTS, or an operand of a set operation without ALL."""
    holder = node.parent
    while isinstance(holder, exp.Subquery):
        holder = holder.parent
    if isinstance(holder, exp.SetOperation):
        return bool(holder.args.get("distinct"))
    return isinstance(holder, exp.In | exp.Exists | exp.Any | exp.All)


def _gives_one_row(node: exp.Select) -> bool:
    if node.args.get("group") is not None or not node.expressions:
        return False
    return all(o.find(exp.AggFunc) is not None and o.find(exp.Window) is None for o in node.expressions)


def grouping(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """A grouping column dropped, or another one in its place; no GROUP BY at all."""
    for node in tree.find_all(exp.Group):
        keys = node.expressions
        if not keys:
            continue
        for i, key in enumerate(keys):
            if len(keys) > 1:
                new = node.copy()
                new.set("expressions", [k.copy() for k in keys[:i] + keys[i + 1 :]])
                yield node, new
            if isinstance(key, exp.Column):
                for other in scene.siblings(key):
                    yield key, other
        holder = node.parent
        if holder is not None:
            new_holder = holder.copy()
            new_holder.set("group", None)
            yield holder, new_holder
            yield from _group_by_output(holder, node)


def _group_by_output(holder: exp.Expr, group: exp.Group) -> Iterator[Edit]:
    """GROUP BY the plain output columns instead (name in place of id, the commonest slip)."""
    plain = [o.unalias() for o in holder.expressions if isinstance(o.unalias(), exp.Column)]
    inner = [a.this for o in holder.expressions for a in [o.unalias()] if isinstance(a, exp.AnyValue)]
    columns = [c for c in plain + inner if isinstance(c, exp.Column)]
    if columns and columns != group.expressions:
        new = group.copy()
        new.set("expressions", [c.copy() for c in columns])
        yield group, new


def order_direction(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """ASC to DESC and back, key by key."""
    for node in tree.find_all(exp.Ordered):
        new = exp.Ordered(this=node.this.copy(), desc=not node.args.get("desc"), nulls_first=False)
        yield node, new


def order_key(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """A sort key dropped, changed for another column, or the first two exchanged."""
    for node in tree.find_all(exp.Order):
        keys = node.expressions
        for i, key in enumerate(keys):
            if len(keys) > 1:
                new = node.copy()
                new.set("expressions", [k.copy() for k in keys[:i] + keys[i + 1 :]])
                yield node, new
            if isinstance(key.this, exp.Column):
                for other in scene.siblings(key.this):
                    yield key.this, other
        if len(keys) > 1:
            new = node.copy()
            new.set("expressions", [keys[1].copy(), keys[0].copy(), *(k.copy() for k in keys[2:])])
            yield node, new
        if isinstance(node.parent, exp.Query):
            without = node.parent.copy()
            without.set("order", None)
            yield node.parent, without


def limit_offset(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """LIMIT and OFFSET off by one, or dropped; a first row skipped."""
    for kind, name in ((exp.Limit, "limit"), (exp.Offset, "offset")):
        for node in tree.find_all(kind):
            value = node.expression
            if isinstance(value, exp.Literal) and str(value.this).isdigit():
                yield value, exp.Literal.number(int(str(value.this)) + 1)
                if int(str(value.this)) > 1:
                    yield value, exp.Literal.number(int(str(value.this)) - 1)
            holder = node.parent
            if holder is not None:
                new = holder.copy()
                new.set(name, None)
                yield holder, new
    for node in tree.find_all(exp.Limit):
        holder = node.parent
        if holder is not None and holder.args.get("offset") is None:
            new = holder.copy()
            new.set("offset", exp.Offset(expression=exp.Literal.number(1)))
            yield holder, new


def null_default(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """COALESCE without its default."""
    for node in tree.find_all(exp.Coalesce):
        if node.this is not None:
            yield node, node.this.copy()


def window(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """A window without its partition or frame, over the whole partition, or with a near function."""
    for node in tree.find_all(exp.Window):
        for part in ("partition_by", "spec"):
            if node.args.get(part):
                new = node.copy()
                new.set(part, None)
                yield node, new
        function = node.this
        near = _RANKS.get(function.sql_name() if isinstance(function, exp.Func) else "")
        if near:
            arguments = [a.copy() for a in function.iter_expressions()]
            yield function, exp.func(near, *arguments, dialect="duckdb")
        if not node.args.get("spec") and node.args.get("order") and isinstance(function, exp.AggFunc) and not near:
            new = node.copy()
            everything = {"start": "UNBOUNDED", "start_side": "PRECEDING", "end": "UNBOUNDED", "end_side": "FOLLOWING"}
            new.set("spec", exp.WindowSpec(kind="ROWS", **everything))
            yield node, new


def case_branch(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """CASE with a branch dropped, its first results exchanged, or without ELSE."""
    for node in tree.find_all(exp.Case):
        branches = node.args["ifs"]
        for i in range(len(branches) if len(branches) > 1 else 0):
            new = node.copy()
            new.set("ifs", [b.copy() for b in branches[:i] + branches[i + 1 :]])
            yield node, new
        if len(branches) > 1:
            new = node.copy()
            first, second = new.args["ifs"][:2]
            results = first.args["true"].copy(), second.args["true"].copy()
            first.set("true", results[1])
            second.set("true", results[0])
            yield node, new
        if node.args.get("default") is not None:
            new = node.copy()
            new.set("default", None)
            yield node, new
            swapped = node.copy()
            swapped.args["ifs"][0].set("true", node.args["default"].copy())
            swapped.set("default", branches[0].args["true"].copy())
            yield node, swapped


def arithmetic(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """`+` to `-`, `*` to `+`, `/` to `*`; the sides of `-` and `/` exchanged."""
    for node in tree.find_all(*_ARITHMETIC):
        yield node, _ARITHMETIC[type(node)](this=node.this.copy(), expression=node.expression.copy())
        if isinstance(node, exp.Sub | exp.Div):
            yield node, type(node)(this=_wrapped(node.expression), expression=_wrapped(node.this))


def _wrapped(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node.copy()) if isinstance(node, exp.Binary) else node.copy()


def projection(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """Another column of the same type returned, aggregated, or tested."""
    for node in tree.find_all(exp.Column):
        if isinstance(node.this, exp.Star) or node.find_ancestor(exp.Group, exp.Order):
            continue
        if isinstance(node.parent, exp.EQ) and _joins_columns(node.parent):
            continue
        if isinstance(node.parent, exp.In) and node.parent.args.get("query") is not None:
            continue
        for other in scene.siblings(node):
            yield node, other


def _joins_columns(node: exp.Expr) -> bool:
    return isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Column)


def assignment(tree: exp.Expr, scene: Scene) -> Iterator[Edit]:
    """UPDATE with one assignment fewer; a value set to NULL."""
    if not isinstance(tree, exp.Update):
        return
    items = tree.expressions
    for i, item in enumerate(items):
        if len(items) > 1:
            new = tree.copy()
            new.set("expressions", [e.copy() for e in items[:i] + items[i + 1 :]])
            yield tree, new
        if isinstance(item, exp.EQ) and not isinstance(item.expression, exp.Null):
            yield item.expression, exp.Null()
