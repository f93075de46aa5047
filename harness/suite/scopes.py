"""Which table a column of the gold comes from: the SELECTs of a statement, their sources, and names resolved in them.

sqlglot's own qualifier refuses much of what models and data sets write; this one never fails, it only knows less.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from harness.suite.schema import Schema

Cell = tuple[str, str]
"""A base column: table and column in lower case."""


@dataclass(slots=True)
class Scope:
    """One SELECT (or the target of an UPDATE or DELETE) with what its FROM names."""

    node: exp.Expr
    index: int
    sources: dict[str, str | exp.Expr] = field(default_factory=dict)
    """Alias (lower case) -> base table (lower case), or the query it stands for."""
    parent: Scope | None = None

    def tables(self) -> list[tuple[str, str]]:
        """(alias, base table) in the order of FROM."""
        return [(alias, source) for alias, source in self.sources.items() if isinstance(source, str)]


class Scopes:
    """All scopes of one statement over one schema."""

    def __init__(self, tree: exp.Expr, schema: Schema) -> None:
        self.tree = tree
        self.columns = {t.name.lower(): {c.name.lower() for c in t.columns} for t in schema.tables}
        self.common = {cte.alias.lower(): cte.this for cte in tree.find_all(exp.CTE)}
        self.all: list[Scope] = []
        self._by_node: dict[int, Scope] = {}
        for node in tree.find_all(exp.Select, exp.Update, exp.Delete, bfs=True):
            scope = Scope(node, len(self.all))
            scope.sources = self._sources(node)
            self.all.append(scope)
            self._by_node[id(node)] = scope
        for scope in self.all:
            holder = scope.node.find_ancestor(exp.Select, exp.Update, exp.Delete)
            scope.parent = self._by_node.get(id(holder)) if holder is not None else None

    def of(self, node: exp.Expr) -> Scope | None:
        """The scope in which an expression is written."""
        holder = node if isinstance(node, exp.Select) else node.find_ancestor(exp.Select, exp.Update, exp.Delete)
        return self._by_node.get(id(holder)) if holder is not None else None

    def query(self, node: exp.Expr | None) -> list[Scope]:
        """The SELECTs a query consists of: one, or each operand of a set operation."""
        if node is None:
            return []
        if isinstance(node, exp.Subquery):
            return self.query(node.this)
        if isinstance(node, exp.SetOperation):
            return self.query(node.this) + self.query(node.expression)
        found = self._by_node.get(id(node))
        return [found] if found is not None else []

    def resolve(self, column: exp.Column, scope: Scope | None = None) -> tuple[Scope | None, str, Cell] | None:
        """(scope, alias, base column); alias is empty where the column came through a derived table."""
        start = scope or self.of(column)
        name, qualifier = column.name.lower(), column.table.lower()
        place = start
        while place is not None:
            hit = self._resolve_here(place, qualifier, name, 0)
            if hit is not None:
                return (place, *hit)
            place = place.parent
        for table, columns in self.columns.items():
            if name in columns and (not qualifier or qualifier == table):
                return None, "", (table, name)
        return None

    def cell(self, column: exp.Column) -> Cell | None:
        """The base column behind a column reference; None where it is computed."""
        found = self.resolve(column)
        return found[2] if found else None

    def output_cell(self, query: exp.Expr, position: int) -> Cell | None:
        """The base column behind the n-th column of a query, where it is a plain column (or MIN/MAX of one)."""
        for scope in self.query(query):
            outputs = scope.node.expressions
            if position < len(outputs):
                return self.plain_cell(outputs[position])
        return None

    def plain_cell(self, node: exp.Expr) -> Cell | None:
        """The base column of a bare column, perhaps under an alias, a cast, MIN, MAX or ANY_VALUE."""
        inner = node
        while isinstance(inner, exp.Alias | exp.Cast | exp.TryCast | exp.Paren | exp.Min | exp.Max | exp.AnyValue):
            inner = inner.this
        return self.cell(inner) if isinstance(inner, exp.Column) else None

    def _sources(self, node: exp.Expr) -> dict[str, str | exp.Expr]:
        sources: dict[str, str | exp.Expr] = {}
        for item in _from_items(node):
            alias = (item.alias_or_name or "").lower()
            if isinstance(item, exp.Table):
                name = item.name.lower()
                derived = self.common.get(name)
                if name in self.columns and derived is None:
                    sources[alias or name] = name
                elif derived is not None:
                    sources[alias or name] = derived
            elif isinstance(item, exp.Subquery):
                sources[alias or f"#{len(sources)}"] = item.this
        return sources

    def _resolve_here(self, scope: Scope, qualifier: str, name: str, depth: int) -> tuple[str, Cell] | None:
        for alias, source in scope.sources.items():
            if qualifier and qualifier != alias:
                continue
            if isinstance(source, str):
                if name in self.columns[source]:
                    return alias, (source, name)
            elif depth < 8:
                cell = self._through(source, name, depth)
                if cell is not None:
                    return "", cell
        return None

    def _through(self, query: exp.Expr, name: str, depth: int) -> Cell | None:
        for scope in self.query(query):
            for output in scope.node.expressions:
                if output.alias_or_name.lower() == name and not isinstance(output, exp.Star):
                    inner = output
                    while isinstance(inner, exp.Alias | exp.Cast | exp.TryCast | exp.Paren | exp.Min | exp.Max):
                        inner = inner.this
                    if isinstance(inner, exp.Column):
                        hit = self._resolve_here(scope, inner.table.lower(), inner.name.lower(), depth + 1)
                        return hit[1] if hit else None
                if isinstance(output, exp.Star) or (isinstance(output, exp.Column) and output.name == "*"):
                    hit = self._resolve_here(scope, "", name, depth + 1)
                    if hit:
                        return hit[1]
        return None


def _from_items(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Update | exp.Delete):
        yield node.this
    clause = node.args.get("from_") or node.args.get("from")
    if clause is not None:
        yield clause.this
    for join in node.args.get("joins") or ():
        yield join.this
    for using in node.args.get("using") or ():
        if isinstance(using, exp.Table):
            yield using


def boolean_parts(scope: Scope) -> list[exp.Expr]:
    """The predicates that must hold for a row of the scope: WHERE, QUALIFY left out, and each join's ON."""
    parts = [join.args["on"] for join in scope.node.args.get("joins") or () if join.args.get("on") is not None]
    where = scope.node.args.get("where")
    if where is not None:
        parts.append(where.this)
    return parts


def column_pairs(scopes: Scopes) -> list[tuple[Cell, Cell]]:
    """Base columns that meet in an equality, an IN, a USING or the same place of a set operation."""
    pairs: list[tuple[Cell, Cell]] = []
    for node in scopes.tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE):
        left, right = _side(scopes, node.this), _side(scopes, node.expression)
        if left and right:
            pairs.append((left, right))
    for member in scopes.tree.find_all(exp.In):
        query = member.args.get("query")
        left = _side(scopes, member.this)
        right = scopes.output_cell(query, 0) if query is not None else None
        if left and right:
            pairs.append((left, right))
    for union in scopes.tree.find_all(exp.SetOperation):
        for i, output in enumerate(union.left.selects if isinstance(union.left, exp.Query) else ()):
            left, right = scopes.plain_cell(output), scopes.output_cell(union.right, i)
            if left and right:
                pairs.append((left, right))
    for scope in scopes.all:
        pairs += _using_pairs(scopes, scope)
    return [(a, b) for a, b in pairs if a != b]


def _side(scopes: Scopes, node: exp.Expr) -> Cell | None:
    if isinstance(node, exp.Subquery):
        return scopes.output_cell(node, 0)
    if isinstance(node, exp.Any | exp.All):
        return scopes.output_cell(node.this, 0)
    return scopes.plain_cell(node)


def _using_pairs(scopes: Scopes, scope: Scope) -> list[tuple[Cell, Cell]]:
    pairs: list[tuple[Cell, Cell]] = []
    joined = [t for _, t in scope.tables()]
    for join in scope.node.args.get("joins") or ():
        names = [i.name.lower() for i in join.args.get("using") or ()]
        if str(join.args.get("method") or "").upper() == "NATURAL" and isinstance(join.this, exp.Table):
            names = sorted(scopes.columns.get(join.this.name.lower(), set()))
        for name in names:
            holders = [(t, name) for t in joined if name in scopes.columns[t]]
            pairs += list(itertools.pairwise(holders))
    return pairs
