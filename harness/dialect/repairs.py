"""The repairs: what a dialect allows and DuckDB does not, each by name, each applied only where nothing else binds.

A repair changes a parsed statement in place and says whether it changed anything. `REPAIRS` is the whole list, in
the order they are tried; a dialect's profile says which of them its statements may have, so a prediction never gets
one that its benchmark's gold would not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from harness.dialect.profile import Profile
from harness.dialect.resolve import Resolver, sources

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_NUMBER_PREFIX = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True)
class Repair:
    """One named repair."""

    name: str
    allowed: Callable[[Profile], bool]
    apply: Callable[[exp.Expr, Resolver, Profile], bool]


def _is_double_quoted(column: exp.Column) -> bool:
    return isinstance(column.this, exp.Identifier) and bool(column.this.args.get("quoted")) and not column.table


def double_quoted_string(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """A double-quoted word that is no column in its scope is a string."""
    changed = False
    for column in list(tree.find_all(exp.Column)):
        if _is_double_quoted(column) and resolver.is_column(column) is False:
            column.replace(exp.Literal.string(column.name))
            changed = True
    return changed


def _own(node: exp.Expr, kinds: tuple[type[exp.Expr], ...]) -> Iterator[exp.Expr]:
    """Nodes of these kinds below `node`, subqueries and whatever lies below such a node left out."""
    if isinstance(node, kinds):
        yield node
        return
    if isinstance(node, exp.Query):
        return
    for child in node.iter_expressions():
        yield from _own(child, kinds)


def _aggregates(nodes: list[exp.Expr]) -> list[exp.Expr]:
    found = [one for node in nodes for one in _own(node, (exp.AggFunc, exp.Window))]
    return [one for one in found if not isinstance(one, exp.Window)]


def _key(column: exp.Column) -> tuple[str, str]:
    return column.table.lower(), column.name.lower()


def bare_column(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """A column outside GROUP BY and aggregates takes the value of the group's first row.

    As in SQLite, beside a lone MIN or MAX it takes the value of the row that holds it.
    """
    return any([_bare_in(select, resolver, profile) for select in list(tree.find_all(exp.Select))])


def _bare_in(select: exp.Select, resolver: Resolver, profile: Profile) -> bool:
    group, having, order = select.args.get("group"), select.args.get("having"), select.args.get("order")
    outputs = list(select.expressions)
    parts = outputs + ([having.this] if having else []) + (list(order.expressions) if order else [])
    aggregates = _aggregates(parts)
    if group is None and not aggregates:
        return False
    if any(one.is_star for one in outputs) and not _expand_stars(select, resolver):
        return False
    outputs = list(select.expressions)
    parts = outputs + ([having.this] if having else []) + (list(order.expressions) if order else [])
    aliases = {one.alias.lower(): one for one in outputs if isinstance(one, exp.Alias)}
    keys, texts = _group_keys(group, outputs, aliases)
    lone = None
    if (
        profile.text_affinity
        and len({one.sql() for one in aggregates}) == 1
        and isinstance(aggregates[0], (exp.Min, exp.Max))
    ):
        lone = aggregates[0]
    changed = False
    for part in parts:
        for column in _bare_columns(part, texts):
            table, name = _key(column)
            if any(name == other and (not table or not whose or table == whose) for whose, other in keys):
                continue
            if not table and name in aliases and part not in outputs:
                continue
            if resolver.is_column(column) is not False:
                column.replace(_any_row(column, lone))
                changed = True
    return changed


def _any_row(column: exp.Column, lone: exp.Expr | None) -> exp.Expr:
    if lone is None:
        return exp.First(this=column.copy())
    name = "arg_min_null" if isinstance(lone, exp.Min) else "arg_max_null"
    return exp.Anonymous(this=name, expressions=[column.copy(), lone.this.copy()])


def _bare_columns(part: exp.Expr, group_texts: set[str]) -> list[exp.Column]:
    found: list[exp.Column] = []

    def visit(node: exp.Expr) -> None:
        if isinstance(node, (exp.AggFunc, exp.Query)) or node.sql() in group_texts:
            return
        if isinstance(node, exp.Column):
            if not node.is_star:
                found.append(node)
            return
        for child in node.iter_expressions():
            visit(child)

    visit(part.this if isinstance(part, exp.Alias) else part)
    return found


def _group_keys(
    group: exp.Expr | None, outputs: list[exp.Expr], aliases: dict[str, exp.Expr]
) -> tuple[set[tuple[str, str]], set[str]]:
    """((table, column) of the grouping columns, texts of the grouping expressions)."""
    keys: set[tuple[str, str]] = set()
    texts: set[str] = set()
    for one in group.expressions if group is not None else ():
        while isinstance(one, exp.Paren):
            one = one.this
        if isinstance(one, exp.Literal) and not one.is_string and one.name.isdigit():
            if 0 < int(one.name) <= len(outputs):
                one = outputs[int(one.name) - 1].unalias()
        elif isinstance(one, exp.Column) and not one.table and one.name.lower() in aliases:
            texts.add(aliases[one.name.lower()].this.sql())
        if isinstance(one, exp.Column):
            keys.add(_key(one))
        else:
            texts.add(one.sql())
    return keys, texts


def _expand_stars(select: exp.Select, resolver: Resolver) -> bool:
    outputs: list[exp.Expr] = []
    for one in select.expressions:
        if not one.is_star or isinstance(one.unalias(), exp.Count):
            outputs.append(one)
            continue
        wanted = one.table.lower() if isinstance(one, exp.Column) else ""
        for alias, source in sources(select):
            if wanted and alias != wanted:
                continue
            columns = resolver.columns_of(source)
            if columns is None:
                return False
            outputs += [exp.column(name, table=source.alias_or_name, quoted=True) for name in columns]
    select.set("expressions", outputs)
    return True


def _as_number(node: exp.Expr) -> exp.Expr:
    """Text as SQLite and MySQL count it: its leading number, 0 where it has none."""
    leading = exp.Anonymous(this="regexp_extract", expressions=[node.copy(), exp.Literal.string(_NUMBER_PREFIX)])
    number = exp.Coalesce(
        this=exp.TryCast(this=leading, to=exp.DataType.build("double")), expressions=[exp.Literal.number(0)]
    )
    return exp.Case(
        ifs=[exp.If(this=exp.Is(this=exp.Paren(this=node.copy()), expression=exp.Null()), true=exp.Null())],
        default=number,
    )


def aggregate_over_text(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """SUM, AVG and the like over a text column count its leading numbers."""
    changed = False
    for node in list(tree.find_all(exp.Sum, exp.Avg, exp.Abs, exp.Round, exp.Stddev, exp.Variance, exp.Neg)):
        inner = node.this
        target = inner.expressions[0] if isinstance(inner, exp.Distinct) and len(inner.expressions) == 1 else inner
        if resolver.class_of(target) == "text":
            target.replace(_as_number(target))
            changed = True
    return changed


def arithmetic_over_text(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """+ - * / % over text count its leading numbers."""
    changed = False
    for node in list(tree.find_all(*_ARITHMETIC)):
        for side in (node.this, node.expression):
            if resolver.class_of(side) == "text":
                side.replace(_as_number(side))
                changed = True
    return changed


def _is_literal(node: exp.Expr) -> bool:
    return isinstance(node.this if isinstance(node, (exp.Neg, exp.Paren)) else node, exp.Literal)


def _literal_text(node: exp.Expr) -> exp.Expr:
    sign = "-" if isinstance(node, exp.Neg) else ""
    text = (node.this if isinstance(node, (exp.Neg, exp.Paren)) else node).name
    return exp.Literal.string(sign + text)


def _column_affinity(node: exp.Expr) -> bool:
    """Does SQLite give this operand a column's affinity?"""
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, (exp.Column, exp.Cast))


def _try_number(node: exp.Expr, profile: Profile) -> exp.Expr:
    """Text compared with a number: SQLite puts text that is no number behind every number, MySQL takes what leads it."""
    if not profile.text_affinity:
        return _as_number(node)
    double = exp.DataType.build("double")
    behind = exp.Cast(this=exp.Literal.string("infinity"), to=double.copy())
    if isinstance(node, exp.Literal):
        return behind
    number = exp.Coalesce(this=exp.TryCast(this=node.copy(), to=double), expressions=[behind])
    return exp.Case(
        ifs=[exp.If(this=exp.Is(this=exp.Paren(this=node.copy()), expression=exp.Null()), true=exp.Null())],
        default=number,
    )


def _as_text(node: exp.Expr) -> exp.Expr:
    if _is_literal(node):
        return _literal_text(node)
    return exp.Cast(this=node.copy(), to=exp.DataType.build("text"))


def _agree(text: exp.Expr, number: exp.Expr, profile: Profile) -> None:
    """Brings one text and one number operand of a comparison to one type, in place."""
    if profile.text_affinity and _column_affinity(text) and not _column_affinity(number):
        number.replace(_as_text(number))
    elif isinstance(text, exp.Literal) and not isinstance(text.parent, exp.In) and _readable(text.name):
        text.replace(exp.Literal.number(text.name.strip()))
    else:
        text.replace(_try_number(text, profile))


def _readable(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip().replace(".", "", 1).isdigit()


def text_vs_number(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """Text compared with a number: SQLite compares a text column as text, everything else as numbers."""
    changed = False
    for node in list(tree.find_all(*_COMPARISONS, exp.Between, exp.In)):
        if isinstance(node, exp.In):
            changed |= _agree_in(node, resolver, profile)
            continue
        others = [node.args["low"], node.args["high"]] if isinstance(node, exp.Between) else [node.expression]
        for other in others:
            left, right = resolver.class_of(node.this), resolver.class_of(other)
            if left == "text" and right == "number":
                _agree(node.this, other, profile)
                changed = True
            elif left == "number" and right == "text":
                _agree(other, node.this, profile)
                changed = True
    return changed


def _agree_in(node: exp.In, resolver: Resolver, profile: Profile) -> bool:
    left = resolver.class_of(node.this)
    query = node.args.get("query")
    if query is not None:
        right = resolver.class_of(query)
        if left is None or right is None or {left, right} != {"text", "number"}:
            return False
        inner = query.this if isinstance(query, exp.Subquery) else query
        if left == "text":
            node.this.replace(_try_number(node.this, profile))
            return True
        selects = [inner] if isinstance(inner, exp.Select) else list(inner.find_all(exp.Select))[:1]
        for select in selects:
            projection = select.expressions[0]
            projection.replace(_try_number(projection.unalias(), profile))
        return bool(selects)
    changed = False
    for one in list(node.expressions):
        right = resolver.class_of(one)
        if left == "text" and right == "number":
            one.replace(_as_text(one) if profile.text_affinity else one.copy())
            changed |= profile.text_affinity
        elif left == "number" and right == "text":
            one.replace(
                exp.Literal.number(one.name.strip())
                if isinstance(one, exp.Literal) and _readable(one.name)
                else _try_number(one, profile)
            )
            changed = True
    if (
        left == "text"
        and not profile.text_affinity
        and any(resolver.class_of(one) == "number" for one in node.expressions)
    ):
        node.this.replace(_try_number(node.this, profile))
        changed = True
    return changed


def text_function_over_number(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """LIKE, LENGTH, SUBSTR and the like take a number as its text."""
    changed = False
    kinds = (
        exp.Like,
        exp.ILike,
        exp.Length,
        exp.Substring,
        exp.Upper,
        exp.Lower,
        exp.Trim,
        exp.Replace,
        exp.StrPosition,
    )
    for node in list(tree.find_all(*kinds)):
        sides = [node.this, node.expression] if isinstance(node, (exp.Like, exp.ILike)) else [node.this]
        for side in sides:
            if isinstance(side, exp.Expr) and resolver.class_of(side) in ("number", "other"):
                side.replace(_as_text(side))
                changed = True
    return changed


def chained_comparison(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """A = b = c compares the truth value (0 or 1) of the first comparison with c."""
    changed = False
    for node in list(tree.find_all(*_COMPARISONS)):
        inner = node.this
        if isinstance(inner, _COMPARISONS):
            inner.replace(exp.Cast(this=exp.Paren(this=inner.copy()), to=exp.DataType.build("int")))
            changed = True
    return changed


def early_reference(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """An ON that names a table joined only later holds for the whole join: all conditions move to WHERE."""
    changed = False
    for select in list(tree.find_all(exp.Select)):
        joins = select.args.get("joins") or []
        if not joins or any(join.side or join.method or join.args.get("using") for join in joins):
            continue
        seen = {alias for alias, _ in list(sources(select))[:1]}
        early = False
        for join, (alias, _) in zip(joins, list(sources(select))[1:], strict=False):
            seen.add(alias)
            on = join.args.get("on")
            early = early or (
                on is not None and any(c.table and c.table.lower() not in seen for c in on.find_all(exp.Column))
            )
        if not early:
            continue
        conditions = [join.args["on"].copy() for join in joins if join.args.get("on")]
        for join in joins:
            join.set("on", None)
            join.set("kind", "CROSS")
        select.where(*conditions, copy=False)
        changed = True
    return changed


def unsafe_cast(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """A CAST that fails on some row gives NULL there."""
    changed = False
    for node in list(tree.find_all(exp.Cast)):
        if type(node) is exp.Cast:
            node.replace(exp.TryCast(this=node.this.copy(), to=node.to.copy()))
            changed = True
    return changed


def _loose(profile: Profile) -> bool:
    return profile.loose_types


REPAIRS: tuple[Repair, ...] = (
    Repair("double_quoted_string", lambda profile: profile.double_quotes == "fallback", double_quoted_string),
    Repair("chained_comparison", _loose, chained_comparison),
    Repair("early_reference", _loose, early_reference),
    Repair("bare_column", lambda profile: profile.bare_columns, bare_column),
    Repair("aggregate_over_text", _loose, aggregate_over_text),
    Repair("arithmetic_over_text", _loose, arithmetic_over_text),
    Repair("text_vs_number", _loose, text_vs_number),
    Repair("text_function_over_number", _loose, text_function_over_number),
)

MEANINGS: tuple[Repair, ...] = (Repair("text_vs_number", lambda profile: profile.text_affinity, text_vs_number),)
"""What must be written out even where DuckDB would bind, for it would compare something else."""

RUNTIME: tuple[Repair, ...] = (
    Repair("text_vs_number", _loose, text_vs_number),
    Repair("unsafe_cast", _loose, unsafe_cast),
)
"""Tried after a statement that bound fails on a value (a conversion error)."""
