"""Rewrites that keep a statement's meaning: no witness may tell them from the gold.

Each is a function `rewrite(tree) -> tree or None` (None: nothing to rewrite). They lean on SQL's own laws, never on
what a schema promises.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

Rewrite = Callable[[exp.Expr], exp.Expr | None]

_FLIPPED = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE, exp.EQ: exp.EQ, exp.NEQ: exp.NEQ}
_OPPOSITE = {exp.GT: exp.LTE, exp.LT: exp.GTE, exp.GTE: exp.LT, exp.LTE: exp.GT, exp.EQ: exp.NEQ, exp.NEQ: exp.EQ}


def join_order(tree: exp.Expr) -> exp.Expr | None:
    """`a JOIN b` as `b JOIN a`."""
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        source = select.args.get("from_")
        if source is None or len(joins) != 1 or joins[0].args.get("side") or joins[0].args.get("on") is None:
            continue
        if any(o.is_star for o in select.expressions):
            continue
        first, second = source.this.copy(), joins[0].this.copy()
        source.set("this", second)
        joins[0].set("this", first)
        return tree
    return None


def comma_join(tree: exp.Expr) -> exp.Expr | None:
    """`a JOIN b ON p` as `a, b WHERE p`."""
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        if not joins or any(j.args.get("side") or j.args.get("on") is None for j in joins):
            continue
        conditions = [j.args["on"].copy() for j in joins]
        for join in joins:
            join.set("on", None)
            join.set("kind", "CROSS")
        select.where(*conditions, copy=False)
        return tree
    return None


def in_to_exists(tree: exp.Expr) -> exp.Expr | None:
    """A positive `x IN (SELECT y ...)` of WHERE as EXISTS."""
    for node in tree.find_all(exp.In):
        query = node.args.get("query")
        inner = query.this if isinstance(query, exp.Subquery) else query
        if not isinstance(inner, exp.Select) or not isinstance(node.this, exp.Column) or not _is_conjunct(node):
            continue
        if any(inner.args.get(k) for k in ("group", "having", "limit", "order", "distinct")):
            continue
        output = inner.expressions[0].unalias()
        if not isinstance(output, exp.Column) or not node.this.table or not _is_alone(inner, output):
            continue
        new = inner.copy().where(exp.EQ(this=output.copy(), expression=node.this.copy()))
        new.set("expressions", [exp.Literal.number(1)])
        return _put(tree, node, exp.Exists(this=new))
    return None


def in_derived(tree: exp.Expr) -> exp.Expr | None:
    """`IN (SELECT ...)` as IN over a derived table."""
    for node in tree.find_all(exp.In):
        query = node.args.get("query")
        inner = query.this if isinstance(query, exp.Subquery) else query
        if isinstance(inner, exp.Select) and len(inner.expressions) == 1 and not inner.args.get("order"):
            wrapped = exp.select("*").from_(exp.Subquery(this=inner.copy(), alias=exp.TableAlias(this="d_in")))
            node.set("query", exp.Subquery(this=wrapped))
            return tree
    return None


def between_split(tree: exp.Expr) -> exp.Expr | None:
    """BETWEEN as two comparisons."""
    node = tree.find(exp.Between)
    if node is None:
        return None
    low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
    high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
    return _put(tree, node, exp.Paren(this=exp.And(this=low, expression=high)))


def equality_to_in(tree: exp.Expr) -> exp.Expr | None:
    """`x = 1` as `x IN (1)`."""
    for node in tree.find_all(exp.EQ):
        if isinstance(node.expression, exp.Literal) and node.find_ancestor(exp.Where) and not _assigns(node):
            return _put(tree, node, exp.In(this=node.this.copy(), expressions=[node.expression.copy()]))
    return None


def in_to_or(tree: exp.Expr) -> exp.Expr | None:
    """`x IN (1, 2)` as `x = 1 OR x = 2`."""
    for node in tree.find_all(exp.In):
        if len(node.expressions) > 1:
            parts = [exp.EQ(this=node.this.copy(), expression=e.copy()) for e in node.expressions]
            return _put(tree, node, exp.Paren(this=exp.or_(*parts)))
    return None


def or_to_union_free_in(tree: exp.Expr) -> exp.Expr | None:
    """`x = 1 OR x = 2` as `x IN (1, 2)`."""
    for node in tree.find_all(exp.Or):
        sides = (node.this, node.expression)
        constants = all(isinstance(s, exp.EQ) and isinstance(s.expression, exp.Literal) for s in sides)
        if constants and sides[0].this == sides[1].this:
            values = [s.expression.copy() for s in sides]
            return _put(tree, node, exp.In(this=sides[0].this.copy(), expressions=values))
    return None


def cte_wrap(tree: exp.Expr) -> exp.Expr | None:
    """An unordered query as the body of a CTE."""
    if not isinstance(tree, exp.Query) or tree.args.get("order") or tree.args.get("with_") or tree.args.get("limit"):
        return None
    names = [o.alias_or_name for o in tree.selects]
    if len(set(names)) != len(names) or not all(names):
        tree = _named(tree)
        if tree is None:
            return None
    return exp.select("*").from_("whole").with_("whole", as_=tree)


def derived_table(tree: exp.Expr) -> exp.Expr | None:
    """A base table as a derived table of all its rows."""
    for select in tree.find_all(exp.Select):
        source = select.args.get("from_")
        if source is not None and isinstance(source.this, exp.Table) and not source.this.args.get("joins"):
            table = source.this
            if any(c.alias.lower() == table.name.lower() for c in tree.find_all(exp.CTE)):
                continue
            inner = exp.select("*").from_(exp.Table(this=table.this.copy(), db=table.args.get("db")))
            alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
            source.set("this", exp.Subquery(this=inner, alias=alias))
            return tree
    return None


def distinct_to_group_by(tree: exp.Expr) -> exp.Expr | None:
    """SELECT DISTINCT as GROUP BY over the same columns."""
    for select in tree.find_all(exp.Select):
        outputs = [o.unalias() for o in select.expressions]
        if select.args.get("distinct") is None or select.args.get("group") or not outputs:
            continue
        if all(isinstance(o, exp.Column) and not o.is_star for o in outputs) and not select.args.get("order"):
            select.set("distinct", None)
            select.set("group", exp.Group(expressions=[o.copy() for o in outputs]))
            return tree
    return None


def group_by_to_distinct(tree: exp.Expr) -> exp.Expr | None:
    """GROUP BY over exactly the output, without aggregates, as DISTINCT."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if group is None or select.args.get("having") or select.args.get("order") or select.args.get("distinct"):
            continue
        outputs = [o.unalias().sql() for o in select.expressions]
        if sorted(outputs) == sorted(k.sql() for k in group.expressions) and len(set(outputs)) == len(outputs):
            select.set("group", None)
            select.set("distinct", exp.Distinct())
            return tree
    return None


def flip_sides(tree: exp.Expr) -> exp.Expr | None:
    """`a > 5` as `5 < a`."""
    for node in tree.find_all(*_FLIPPED):
        if not _assigns(node) and not isinstance(node.expression, exp.Any | exp.All):
            new = _FLIPPED[type(node)](this=node.expression.copy(), expression=node.this.copy())
            return _put(tree, node, new)
    return None


def not_opposite(tree: exp.Expr) -> exp.Expr | None:
    """`a > 5` as `NOT a <= 5`."""
    for node in tree.find_all(*_OPPOSITE):
        if not _assigns(node) and not isinstance(node.expression, exp.Any | exp.All) and node.find_ancestor(exp.Where):
            new = _OPPOSITE[type(node)](this=node.this.copy(), expression=node.expression.copy())
            return _put(tree, node, exp.Not(this=exp.Paren(this=new)))
    return None


def de_morgan(tree: exp.Expr) -> exp.Expr | None:
    """`p AND q` as `NOT (NOT p OR NOT q)`."""
    node = tree.find(exp.And)
    if node is None:
        return None
    sides = [exp.Not(this=exp.Paren(this=side.copy())) for side in (node.this, node.expression)]
    return _put(tree, node, exp.Not(this=exp.Paren(this=exp.Or(this=sides[0], expression=sides[1]))))


def commute(tree: exp.Expr) -> exp.Expr | None:
    """`p AND q` as `q AND p`, and OR alike."""
    node = tree.find(exp.And, exp.Or)
    if node is None:
        return None
    new = type(node)(this=exp.Paren(this=node.expression.copy()), expression=exp.Paren(this=node.this.copy()))
    return _put(tree, node, exp.Paren(this=new))


def case_predicate(tree: exp.Expr) -> exp.Expr | None:
    """`WHERE p` as `WHERE CASE WHEN p THEN TRUE ELSE FALSE END`."""
    where = tree.find(exp.Where)
    if where is None:
        return None
    where.set("this", exp.case().when(where.this.copy(), exp.true()).else_(exp.false()))
    return tree


def coalesce_predicate(tree: exp.Expr) -> exp.Expr | None:
    """`WHERE p` as `WHERE COALESCE(p, FALSE)`."""
    where = tree.find(exp.Where)
    if where is None:
        return None
    where.set("this", exp.Coalesce(this=exp.Paren(this=where.this.copy()), expressions=[exp.false()]))
    return tree


def count_one(tree: exp.Expr) -> exp.Expr | None:
    """COUNT(*) as COUNT(1)."""
    found = False
    for node in list(tree.find_all(exp.Count)):
        if isinstance(node.this, exp.Star):
            node.set("this", exp.Literal.number(1))
            found = True
    return tree if found else None


def count_by_sum(tree: exp.Expr) -> exp.Expr | None:
    """COUNT(x) as COALESCE(SUM(CASE WHEN x IS NULL THEN 0 ELSE 1 END), 0)."""
    for node in tree.find_all(exp.Count):
        if isinstance(node.this, exp.Column) and not isinstance(node.parent, exp.Window):
            test = exp.Is(this=node.this.copy(), expression=exp.Null())
            ones = exp.case().when(test, exp.Literal.number(0)).else_(exp.Literal.number(1))
            return _put(tree, node, exp.Coalesce(this=exp.Sum(this=ones), expressions=[exp.Literal.number(0)]))
    return None


def average_by_sum(tree: exp.Expr) -> exp.Expr | None:
    """AVG(x) as SUM(x) / COUNT(x) in doubles."""
    for node in tree.find_all(exp.Avg):
        if not isinstance(node.this, exp.Distinct) and not isinstance(node.parent, exp.Window):
            total = exp.cast(exp.Sum(this=node.this.copy()), "double")
            count = exp.cast(exp.Count(this=node.this.copy()), "double")
            ratio = exp.Div(this=total, expression=exp.func("NULLIF", count, exp.Literal.number(0)))
            return _put(tree, node, exp.Paren(this=ratio))
    return None


def columns_turned(tree: exp.Expr) -> exp.Expr | None:
    """The output columns in the opposite order."""
    if not isinstance(tree, exp.Select) or len(tree.expressions) < 2 or any(o.is_star for o in tree.expressions):
        return None
    order, group = tree.args.get("order"), tree.args.get("group")
    positional = [t.this for t in (order.expressions if order else [])] + list(group.expressions if group else [])
    if any(isinstance(p, exp.Literal) for p in positional):
        return None
    tree.set("expressions", tree.expressions[::-1])
    return tree


def aliases_renamed(tree: exp.Expr) -> exp.Expr | None:
    """Output columns under other names."""
    if not isinstance(tree, exp.Select) or any(o.is_star for o in tree.expressions):
        return None
    if any(isinstance(o, exp.Alias) for o in tree.expressions) or tree.args.get("order"):
        return None
    tree.set("expressions", [exp.alias_(o.copy(), f"out_{i}") for i, o in enumerate(tree.expressions)])
    return tree


def operands_turned(tree: exp.Expr) -> exp.Expr | None:
    """UNION and INTERSECT with their operands exchanged."""
    for node in tree.find_all(exp.Union, exp.Intersect):
        if node.args.get("order") or node.args.get("limit") or node.args.get("with_"):
            continue
        left, right = node.this.copy(), node.expression.copy()
        node.set("this", right)
        node.set("expression", left)
        return tree
    return None


def union_by_distinct(tree: exp.Expr) -> exp.Expr | None:
    """UNION as DISTINCT over UNION ALL."""
    if not isinstance(tree, exp.Union) or not tree.args.get("distinct"):
        return None
    if tree.args.get("order") or tree.args.get("limit"):
        return None
    tree.set("distinct", False)
    return exp.select("*").distinct().from_(_derived(tree, "both"))


def offset_zero(tree: exp.Expr) -> exp.Expr | None:
    """LIMIT n as LIMIT n OFFSET 0."""
    if not isinstance(tree, exp.Select) or tree.args.get("limit") is None or tree.args.get("offset") is not None:
        return None
    tree.set("offset", exp.Offset(expression=exp.Literal.number(0)))
    return tree


def having_to_where(tree: exp.Expr) -> exp.Expr | None:
    """HAVING as WHERE over the grouped rows, without an order."""
    if not isinstance(tree, exp.Select) or tree.args.get("having") is None or tree.args.get("order"):
        return None
    if tree.args.get("limit") or tree.args.get("distinct") or any(o.is_star for o in tree.expressions):
        return None
    inner = tree.copy()
    test = inner.args["having"].this.copy()
    inner.set("having", None)
    names = [f"c_{i}" for i in range(len(inner.expressions))]
    inner.set("expressions", [exp.alias_(o.unalias().copy(), n) for o, n in zip(inner.expressions, names, strict=True)])
    inner.append("expressions", exp.alias_(test, "kept"))
    return exp.select(*names).from_(_derived(inner, "g")).where("kept")


def null_safe_noise(tree: exp.Expr) -> exp.Expr | None:
    """`x = 5` with `x IS NOT NULL` beside it."""
    for node in tree.find_all(exp.EQ, exp.GT, exp.LT):
        if isinstance(node.this, exp.Column) and not _assigns(node) and _is_conjunct(node):
            test = exp.Not(this=exp.Is(this=node.this.copy(), expression=exp.Null()))
            return _put(tree, node, exp.Paren(this=exp.And(this=node.copy(), expression=test)))
    return None


REWRITES: tuple[Rewrite, ...] = (
    join_order,
    comma_join,
    in_to_exists,
    in_derived,
    between_split,
    equality_to_in,
    in_to_or,
    or_to_union_free_in,
    cte_wrap,
    derived_table,
    distinct_to_group_by,
    group_by_to_distinct,
    flip_sides,
    not_opposite,
    de_morgan,
    commute,
    case_predicate,
    coalesce_predicate,
    count_one,
    count_by_sum,
    average_by_sum,
    columns_turned,
    aliases_renamed,
    operands_turned,
    union_by_distinct,
    offset_zero,
    having_to_where,
    null_safe_noise,
)


def _put(tree: exp.Expr, node: exp.Expr, new: exp.Expr) -> exp.Expr:
    node.replace(new)
    return tree


def _derived(query: exp.Expr, name: str) -> exp.Subquery:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(name)))


def _assigns(node: exp.Expr) -> bool:
    return isinstance(node.parent, exp.Update)


def _is_conjunct(node: exp.Expr) -> bool:
    """True where the predicate stands in WHERE under nothing but AND."""
    holder = node.parent
    while isinstance(holder, exp.And | exp.Paren):
        holder = holder.parent
    return isinstance(holder, exp.Where)


def _is_alone(inner: exp.Select, output: exp.Column) -> bool:
    """True where every column of the subquery names its table."""
    return bool(output.table) and all(c.table for c in inner.find_all(exp.Column))


def _named(tree: exp.Query) -> exp.Query | None:
    if not isinstance(tree, exp.Select) or any(o.is_star for o in tree.expressions):
        return None
    tree.set("expressions", [exp.alias_(o.unalias().copy(), f"n_{i}") for i, o in enumerate(tree.expressions)])
    return tree
