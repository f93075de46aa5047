"""Names in a statement made canonical: aliases of tables become the tables, columns say whose they are.

A column whose owner cannot be told for certain keeps its bare name (`?name`): two statements then match only if both
leave it bare. A double-quoted word that may be a string in SQLite also keeps its case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

Tables = Mapping[str, Mapping[str, str]]


@dataclass(slots=True)
class Scope:
    """The names one SELECT can see."""

    depth: int
    """0 for a query that sees no outer one."""
    owners: dict[str, str] = field(default_factory=dict)
    """Lower-cased alias (or table name) -> canonical label."""
    tables: dict[str, str] = field(default_factory=dict)
    """Canonical label -> base table; labels of subqueries are missing here."""
    aliases: dict[str, exp.Expr] = field(default_factory=dict)
    """Output alias -> its expression."""
    outer: Scope | None = None
    used_aliases: set[str] = field(default_factory=set)
    """Output aliases that a clause refers to: these stay part of the tree."""
    all_plain: bool = True
    """Every source is a base table, each named once."""


def sources_of(select: exp.Select) -> list[exp.Expr]:
    """Everything in FROM, in order."""
    start = select.args.get("from_")
    found = [start.this] if start is not None else []
    return found + [join.this for join in select.args.get("joins") or ()]


def open_scope(select: exp.Select, outer: Scope | None, common: Mapping[str, str]) -> Scope:
    """The scope of a SELECT; `common` maps the names of visible CTEs to their labels."""
    scope = Scope(0 if outer is None else outer.depth + 1, outer=outer)
    found = sources_of(select)
    names = [source.name.lower() for source in found if isinstance(source, exp.Table)]
    seen: dict[str, int] = {}
    for index, source in enumerate(found):
        alias = source.alias_or_name.lower()
        if isinstance(source, exp.Table) and source.name and not source.args.get("joins"):
            name = source.name.lower()
            label = common.get(name, name)
            if names.count(name) > 1:
                seen[name] = seen.get(name, 0) + 1
                label = f"{label}#{seen[name]}"
                scope.all_plain = False
            if name in common:
                scope.all_plain = False
            else:
                scope.tables[label] = name
        else:
            label = f"q{index}"
            scope.all_plain = False
        scope.owners.setdefault(alias, label)
    for projection in select.expressions:
        if isinstance(projection, exp.Alias):
            scope.aliases[projection.alias.lower()] = projection.this
    return scope


def name_column(column: exp.Column, scope: Scope | None, catalog: Tables | None, dialect: str) -> str:
    """The canonical text of a column, or of the string that a double-quoted word of SQLite turns out to be."""
    name, table = column.name.lower(), column.table.lower()
    if table:
        at = scope
        while at is not None:
            label = at.owners.get(table)
            if label is not None:
                return f"{at.depth}:{label}.{name}"
            at = at.outer
        return f"?{table}.{name}"
    quoted = isinstance(column.this, exp.Identifier) and bool(column.this.args.get("quoted"))
    doubtful = quoted and dialect == "sqlite"
    if scope is not None and name in scope.aliases and not _is_itself(scope.aliases[name], name):
        scope.used_aliases.add(name)
        return f"@{name}"
    alone = scope is not None and scope.outer is None and len(scope.owners) == 1
    if catalog is not None and (doubtful or not alone):
        owner, certain = _owner(name, scope, catalog)
        if owner:
            return f"{owner}.{name}"
        if certain and doubtful:
            return string_text(column.name)
    if doubtful:
        return f'?"{column.name}"'
    if scope is not None and alone:
        return f"{scope.depth}:{next(iter(scope.owners.values()))}.{name}"
    return f"?{name}"


def string_text(value: str) -> str:
    """A string literal in the tree: every character counts."""
    return "'" + value.replace("'", "''") + "'"


def _is_itself(expression: exp.Expr, name: str) -> bool:
    return isinstance(expression, exp.Column) and expression.name.lower() == name


def _owner(name: str, scope: Scope | None, catalog: Tables) -> tuple[str, bool]:
    """(label of the only source with this column, is it certain that none has it)."""
    at, certain = scope, scope is not None
    while at is not None:
        if len(at.tables) < len(at.owners) or any(table not in catalog for table in at.tables.values()):
            return "", False
        owners = [label for label, table in at.tables.items() if name in catalog[table]]
        if owners:
            return (f"{at.depth}:{owners[0]}" if len(owners) == 1 else ""), False
        at = at.outer
    return "", certain
