"""What a name in a parsed statement refers to, as far as a repair must know: a column or not, text or a number.

Not a binder: where a scope cannot be seen through, the answer is `None`, and a repair leaves the place alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from harness.dialect.catalog import Catalog, type_class

_NUMERIC = (
    exp.Count, exp.Sum, exp.Avg, exp.Length, exp.StrPosition, exp.Binary, exp.Neg, exp.Abs, exp.Round,
    exp.Floor, exp.Ceil, exp.Stddev, exp.Variance, exp.RowNumber, exp.Rank, exp.DenseRank,
)  # fmt: skip
_TEXT = (
    exp.DPipe,
    exp.Concat,
    exp.ConcatWs,
    exp.Substring,
    exp.Upper,
    exp.Lower,
    exp.Trim,
    exp.TimeToStr,
    exp.GroupConcat,
    exp.Replace,
)
_SAME = (
    exp.Paren,
    exp.Alias,
    exp.Min,
    exp.Max,
    exp.Coalesce,
    exp.Distinct,
    exp.Window,
    exp.First,
    exp.AnyValue,
    exp.Ordered,
    exp.Nullif,
)
_BOOLEAN = (exp.Predicate, exp.Connector, exp.Not, exp.Boolean)


def sources(select: exp.Select) -> Iterator[tuple[str, exp.Expr]]:
    """(lower-cased alias, table or subquery) of everything in a SELECT's FROM."""
    start = select.args.get("from_")
    items = [start.this] if start is not None else []
    items += [join.this for join in select.args.get("joins") or ()]
    for item in items:
        if isinstance(item, exp.Lateral):
            item = item.this
        yield item.alias_or_name.lower(), item
        for join in item.args.get("joins") or ():
            yield join.this.alias_or_name.lower(), join.this


def _common_table(node: exp.Expr, name: str) -> exp.Expr | None:
    """The query a WITH above `node` gives this name."""
    at: exp.Expr | None = node
    while at is not None:
        clause = at.args.get("with_")
        if clause is not None:
            for table in clause.expressions:
                if table.alias.lower() == name:
                    return table
        at = at.parent
    return None


class Resolver:
    """Looks names up in a catalog, one statement at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def columns_of(self, source: exp.Expr) -> dict[str, exp.Expr | str] | None:
        """Column -> its expression or DuckDB type; None where the source cannot be seen through."""
        if isinstance(source, exp.Table):
            common = _common_table(source, source.name.lower())
            if common is not None and source.find_ancestor(exp.CTE) is not common:
                return self._projections(common)
            if source.name in self.catalog:
                return dict(self.catalog[source.name])
            return None
        if isinstance(source, (exp.Subquery, exp.CTE)):
            return self._projections(source)
        return None

    def _projections(self, source: exp.Expr) -> dict[str, exp.Expr | str] | None:
        query = source.this
        while isinstance(query, (exp.SetOperation, exp.Subquery, exp.Paren)):
            query = query.this
        if not isinstance(query, exp.Select):
            return None
        alias = source.args.get("alias")
        renamed = [column.name.lower() for column in alias.args.get("columns") or ()] if alias is not None else []
        found: dict[str, exp.Expr | str] = {}
        for index, projection in enumerate(query.expressions):
            if projection.is_star:
                for _, inner in sources(query):
                    columns = self.columns_of(inner)
                    if columns is None:
                        return None
                    found.update(columns)
            else:
                name = renamed[index] if index < len(renamed) else projection.alias_or_name.lower()
                found[name or f"#{index}"] = projection
        return found

    def lookup(self, column: exp.Column) -> tuple[bool | None, exp.Expr | str | None]:
        """(is there such a column: None = cannot tell, what it is)."""
        name, table = column.name.lower(), column.table.lower()
        select = column.find_ancestor(exp.Select)
        unsure = False
        while select is not None:
            for alias, source in sources(select):
                if table and alias != table:
                    continue
                columns = self.columns_of(source)
                if columns is None:
                    unsure = True
                elif name in columns:
                    return True, columns[name]
            select = select.find_ancestor(exp.Select)
        dml = column.find_ancestor(exp.Update, exp.Delete)
        if dml is not None and isinstance(dml.this, exp.Table) and dml.this.name in self.catalog:
            columns_here = self.catalog[dml.this.name]
            if name in columns_here:
                return True, columns_here[name]
        return (None if unsure else False), None

    def is_column(self, column: exp.Column) -> bool | None:
        """True where the name exists in its scope, as a column or an alias of the SELECT list; None: cannot tell."""
        found, _ = self.lookup(column)
        if found is False and not column.table:
            select: exp.Expr | None = column.find_ancestor(exp.Select, exp.SetOperation)
            while isinstance(select, exp.SetOperation):
                select = select.this
            if isinstance(select, exp.Select):
                name = column.name.lower()
                return any(isinstance(one, exp.Alias) and one.alias.lower() == name for one in select.expressions)
        return found

    def class_of(self, node: exp.Expr | str | None, depth: int = 0) -> str | None:
        """`text`, `number`, `other`, or None where it cannot be told."""
        if node is None or depth > 20:
            return None
        if isinstance(node, str):
            return type_class(node)
        if isinstance(node, exp.Column):
            return self._class_of_column(node, depth)
        if isinstance(node, exp.Literal):
            return "text" if node.is_string else "number"
        if isinstance(node, _SAME):
            inner = node.this if not isinstance(node, exp.Distinct) else (node.expressions or [None])[0]
            return self.class_of(inner, depth + 1)
        if isinstance(node, _TEXT):
            return "text"
        if isinstance(node, exp.Cast):
            return type_class(node.to.sql("duckdb"))
        if isinstance(node, exp.Query):
            query: exp.Expr = node
            while isinstance(query, (exp.SetOperation, exp.Subquery)):
                query = query.this
            return self.class_of(query.expressions[0], depth + 1) if query.expressions else None
        if isinstance(node, (exp.Case, exp.If)):
            branch = node.args["ifs"][0] if isinstance(node, exp.Case) else node
            return self.class_of(branch.args.get("true"), depth + 1)
        if isinstance(node, _BOOLEAN):
            return "other"
        return "number" if isinstance(node, _NUMERIC) else None

    def _class_of_column(self, column: exp.Column, depth: int) -> str | None:
        found, what = self.lookup(column)
        if found:
            return self.class_of(what, depth + 1)
        select = column.find_ancestor(exp.Select)
        if isinstance(select, exp.Select) and not column.table:
            for projection in select.expressions:
                if isinstance(projection, exp.Alias) and projection.alias.lower() == column.name.lower():
                    return (
                        None if column.find_ancestor(exp.Alias) is projection else self.class_of(projection, depth + 1)
                    )
        return None
