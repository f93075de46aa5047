"""Repairs of statements that write: joins in UPDATE and DELETE, rows that are there already, TRUNCATE."""

from __future__ import annotations

from sqlglot import exp

from harness.dialect.profile import Profile
from harness.dialect.resolve import Resolver


def without_truncate(tree: exp.Expr) -> exp.Expr | None:
    """TRUNCATE of one table as a DELETE of all its rows; None for what else a TRUNCATE may say."""
    if not isinstance(tree, exp.TruncateTable):
        return tree
    tables = tree.expressions
    return exp.Delete(this=tables[0].copy()) if len(tables) == 1 else None


def joined_write(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """UPDATE a JOIN b, UPDATE ... FROM a JOIN b, DELETE a FROM a JOIN b: the other tables go into FROM or USING."""
    if isinstance(tree, exp.Update):
        changed = _unqualified(tree)
        return _joined_update(tree) or changed
    return isinstance(tree, exp.Delete) and _joined_delete(tree)


def _unqualified(tree: exp.Update) -> bool:
    """The columns that are set, without their table."""
    changed = False
    for one in tree.expressions:
        if isinstance(one, exp.EQ) and isinstance(one.this, exp.Column) and one.this.table:
            one.this.set("table", None)
            changed = True
    return changed


def _joined_update(tree: exp.Update) -> bool:
    start = tree.args.get("from_")
    found = _apart(start.this) if start is not None else _apart(tree.this)
    if found is None:
        return False
    sources, conditions = found
    wanted = tree.this.alias_or_name.lower() if start is not None else sources[0].alias_or_name.lower()
    target = next((one for one in sources if one.alias_or_name.lower() == wanted), None)
    others = [one for one in sources if one is not target]
    if target is None or not others:
        return False
    tree.set("this", target)
    tree.set("from_", exp.From(this=_beside(others)))
    _restrict(tree, conditions)
    return True


def _joined_delete(tree: exp.Delete) -> bool:
    named = tree.args.get("tables") or []
    found = _apart(tree.this) if isinstance(tree.this, exp.Table) else None
    if found is None or len(named) > 1:
        return False
    sources, conditions = found
    wanted = named[0].name.lower() if named else sources[0].alias_or_name.lower()
    target = next((one for one in sources if one.alias_or_name.lower() == wanted), None)
    others = [one for one in sources if one is not target]
    if target is None or not (named or others):
        return False
    tree.set("tables", None)
    tree.set("this", target)
    tree.set("using", others or None)
    _restrict(tree, conditions)
    return True


def _apart(table: exp.Expr) -> tuple[list[exp.Expr], list[exp.Expr]] | None:
    """(the tables that are joined to one another, their conditions); None where a join is no inner one."""
    joins = table.args.get("joins") or []
    if any(join.side or join.method or join.args.get("using") for join in joins):
        return None
    conditions = [join.args["on"].copy() for join in joins if join.args.get("on")]
    sources = [table.copy(), *(join.this.copy() for join in joins)]
    sources[0].set("joins", None)
    return sources, conditions


def _beside(sources: list[exp.Expr]) -> exp.Expr:
    first = sources[0]
    first.set("joins", [exp.Join(this=one) for one in sources[1:]])
    return first


def _restrict(tree: exp.Expr, conditions: list[exp.Expr]) -> None:
    where = tree.args.get("where")
    parts = [*([where.this.copy()] if where is not None else []), *conditions]
    tree.set("where", exp.Where(this=exp.and_(*parts)) if parts else None)


def row_conflict(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """INSERT IGNORE and ON DUPLICATE KEY UPDATE in DuckDB's words."""
    if not isinstance(tree, exp.Insert):
        return False
    if tree.args.get("ignore"):
        tree.set("ignore", None)
        tree.set("conflict", exp.OnConflict(action=exp.var("DO NOTHING")))
        return True
    conflict = tree.args.get("conflict")
    if conflict is None or not conflict.args.get("duplicate"):
        return False
    for call in list(conflict.find_all(exp.Anonymous)):
        if str(call.this).upper() == "VALUES" and len(call.expressions) == 1:
            call.replace(exp.column(call.expressions[0].name, table="excluded"))
    conflict.set("duplicate", None)
    conflict.set("action", exp.var("DO UPDATE"))
    return True


def keyless_conflict(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """Without a key no row is there already: what to do about it goes."""
    if not isinstance(tree, exp.Insert) or not (tree.args.get("conflict") or tree.args.get("alternative")):
        return False
    tree.set("conflict", None)
    tree.set("alternative", None)
    return True


def with_rollup(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """GROUP BY a, b WITH ROLLUP is GROUP BY ROLLUP (a, b)."""
    changed = False
    for group in list(tree.find_all(exp.Group)):
        rollups = group.args.get("rollup") or []
        if group.expressions and len(rollups) == 1 and not rollups[0].expressions:
            group.set("rollup", [exp.Rollup(expressions=list(group.expressions))])
            group.set("expressions", [])
            changed = True
    return changed
