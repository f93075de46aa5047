"""Columns outside GROUP BY and aggregates: what SQLite and MySQL answer where DuckDB refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from harness.dialect.profile import Profile
from harness.dialect.resolve import Resolver, sources


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
    changed = [_bare_in(select, resolver, profile) for select in list(tree.find_all(exp.Select))]
    return any(changed)


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
        if isinstance(node, (exp.AggFunc, exp.Query)) or (group_texts and node.sql() in group_texts):
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
    group: exp.Expr | None, outputs: list[exp.Expr], aliases: Mapping[str, exp.Expr]
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
