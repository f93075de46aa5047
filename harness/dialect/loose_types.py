"""Text where a number is wanted and numbers where text is: what SQLite and MySQL make of them."""

from __future__ import annotations

from sqlglot import exp

from harness.dialect.profile import Profile
from harness.dialect.resolve import Resolver

COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_NUMBER_PREFIX = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_WHOLE = ("INT", "BIGINT", "SMALLINT", "TINYINT", "MEDIUMINT", "INT128")


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
    """True where SQLite gives this operand the affinity of a column."""
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, (exp.Column, exp.Cast))


def _try_number(node: exp.Expr, profile: Profile) -> exp.Expr:
    """Text against a number: to SQLite text that is no number exceeds every number, MySQL takes what leads it."""
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
    for node in list(tree.find_all(*COMPARISONS, exp.Between, exp.In)):
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


def unsafe_cast(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """A CAST that fails on some row gives NULL there."""
    changed = False
    for node in list(tree.find_all(exp.Cast)):
        if type(node) is exp.Cast:
            node.replace(exp.TryCast(this=node.this.copy(), to=node.to.copy()))
            changed = True
    return changed


def cast_truncates(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """CAST to INTEGER cuts the fraction off (DuckDB rounds) and takes the number that leads a text."""
    changed = False
    for node in list(tree.find_all(exp.Cast)):
        if type(node) is not exp.Cast or not isinstance(node.to, exp.DataType):
            continue
        if getattr(node.to.this, "value", "") not in _WHOLE:
            continue
        kind = resolver.class_of(node.this)
        inner = _as_number(node.this) if kind == "text" else node.this.copy()
        cut = exp.Anonymous(this="trunc", expressions=[inner])
        node.replace(exp.Cast(this=cut, to=exp.DataType.build("bigint")))
        changed = True
    return changed
