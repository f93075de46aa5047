"""Rewrites that keep a statement's meaning because of keys: declared ones, and the implied ones that witnesses keep.

The first readings of killed predictions found their false alarms here. Each is `rewrite(tree, schema) -> tree or None`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

from harness.suite.schema import ForeignKey, Schema, Table

KeyRewrite = Callable[[exp.Expr, Schema], exp.Expr | None]


def redundant_join(tree: exp.Expr, schema: Schema) -> exp.Expr | None:
    """A parent joined that every child has and nobody asks about."""
    for select, alias, table in _sources(tree, schema):
        for key in table.foreign_keys:
            column = table.column(key.columns[0])
            if column is not None and not key.loose and not table.may_miss(column):
                joined = _joined(select, alias, key, schema, "")
                if joined:
                    return tree
    return None


def redundant_left_join(tree: exp.Expr, schema: Schema) -> exp.Expr | None:
    """A parent joined from the left that nobody asks about: each child has one at most."""
    for select, alias, table in _sources(tree, schema):
        for key in table.foreign_keys:
            if _joined(select, alias, key, schema, "LEFT"):
                return tree
    return None


def count_of_key(tree: exp.Expr, schema: Schema) -> exp.Expr | None:
    """COUNT(*) over one table as COUNT of its key."""
    for select, alias, table in _sources(tree, schema):
        name = _key(table)
        if name is None or select.args.get("joins"):
            continue
        for node in select.find_all(exp.Count):
            if isinstance(node.this, exp.Star) and node.find_ancestor(exp.Select) is select:
                node.set("this", _column(alias, name))
                return tree
    return None


def key_without_distinct(tree: exp.Expr, schema: Schema) -> exp.Expr | None:
    """COUNT(DISTINCT key) over one table as COUNT(key)."""
    for select, _, table in _sources(tree, schema):
        for node in select.find_all(exp.Count):
            inner = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else None
            if select.args.get("joins") or node.find_ancestor(exp.Select) is not select:
                continue
            if isinstance(inner, exp.Column) and inner.name.lower() == _key(table):
                node.set("this", inner.copy())
                return tree
    return None


def distinct_over_key(tree: exp.Expr, schema: Schema) -> exp.Expr | None:
    """DISTINCT where the output holds the key of the only table."""
    for select, _, table in _sources(tree, schema):
        outputs = [o.unalias() for o in select.expressions]
        if any(select.args.get(k) for k in ("joins", "distinct", "group", "order", "limit")):
            continue
        if any(isinstance(o, exp.Column) and o.name.lower() == _key(table) for o in outputs):
            select.set("distinct", exp.Distinct())
            return tree
    return None


def grouped_by_more(tree: exp.Expr, schema: Schema) -> exp.Expr | None:
    """GROUP BY a key and another column of its table."""
    for select, alias, table in _sources(tree, schema):
        group = select.args.get("group")
        other = next((c.name for c in table.columns if c.name.lower() != _key(table)), None)
        for key in group.expressions if group is not None and other is not None else ():
            if isinstance(key, exp.Column) and key.name.lower() == _key(table) and key.table.lower() == alias.lower():
                group.append("expressions", _column(alias, str(other)))
                return tree
    return None


KEY_REWRITES: tuple[KeyRewrite, ...] = (
    redundant_join,
    redundant_left_join,
    count_of_key,
    key_without_distinct,
    distinct_over_key,
    grouped_by_more,
)


def _sources(tree: exp.Expr, schema: Schema) -> Iterator[tuple[exp.Select, str, Table]]:
    """(SELECT, name, table) of each base table a SELECT reads, the first of FROM first; never one that a CTE hides."""
    hidden = {c.alias.lower() for c in tree.find_all(exp.CTE)}
    for select in tree.find_all(exp.Select):
        source = select.args.get("from_")
        joins = [j.this for j in select.args.get("joins") or []]
        for node in [source.this, *joins] if source is not None else []:
            table = schema.table(node.name) if isinstance(node, exp.Table) and node.name.lower() not in hidden else None
            if table is not None:
                yield select, node.alias_or_name, table


def _key(table: Table) -> str | None:
    """The one column that identifies a row and is never NULL."""
    name = (table.primary_key or table.implied_key or (table.keys[0] if table.keys else ()))[:2]
    column = table.column(name[0]) if len(name) == 1 else None
    return None if column is None or table.may_miss(column) else name[0]


def _joined(select: exp.Select, alias: str, key: ForeignKey, schema: Schema, side: str) -> bool:
    """Join the key's parent, unless a name of the SELECT would then mean two columns; whether it was done."""
    parent = schema.table(key.table)
    if parent is None or len(key.columns) != 1 or not _is_unique(parent, key.parent_columns):
        return False
    if any(j.args.get("side") or not j.args.get("on") for j in select.args.get("joins") or []):
        return False
    names = {c.name.lower() for c in parent.columns}
    if any(not c.table and c.name.lower() in names for c in select.find_all(exp.Column)):
        return False
    if any(o.is_star for o in select.expressions):
        return False
    on = exp.EQ(this=_column(alias, key.columns[0]), expression=_column("parent_of", key.parent_columns[0]))
    table = exp.to_table(parent.qualified, dialect="duckdb")
    table.set("alias", exp.TableAlias(this=exp.to_identifier("parent_of")))
    select.append("joins", exp.Join(this=table, on=on, **({"side": side} if side else {})))
    return True


def _is_unique(table: Table, columns: tuple[str, ...]) -> bool:
    return columns in (*table.keys, table.implied_key)


def _column(table: str, name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True))
