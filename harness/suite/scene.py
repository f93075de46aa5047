"""What a mutation rule may look at beside the tree: the schema, and where each name comes from."""

from __future__ import annotations

import datetime
from typing import Any

from sqlglot import exp

from harness.suite.schema import Column, Schema, Table, type_family
from harness.suite.scopes import Cell, Scope, Scopes

Edit = tuple[exp.Expr, exp.Expr]
"""A node of the gold's tree, and what stands in its place."""


class Scene:
    """The gold's tree over its schema, with the look-ups rules share."""

    def __init__(self, tree: exp.Expr, schema: Schema) -> None:
        self.schema = schema
        self.scopes = Scopes(tree, schema)

    def table_of(self, cell: Cell | None) -> Table | None:
        """The base table of a column."""
        return self.schema.table(cell[0]) if cell else None

    def column_of(self, cell: Cell | None) -> Column | None:
        """The schema's column behind a base column."""
        table = self.table_of(cell)
        return table.column(cell[1]) if table and cell else None

    def family(self, node: exp.Expr) -> str:
        """The type family of a column reference; empty where it is not known."""
        found = self.column_of(self.scopes.cell(node)) if isinstance(node, exp.Column) else None
        return type_family(found.type) if found else ""

    def siblings(self, column: exp.Column, count: int = 1) -> list[exp.Column]:
        """References to other columns of the same table and type family, nearest first."""
        resolved = self.scopes.resolve(column)
        table = self.table_of(resolved[2]) if resolved else None
        if resolved is None or table is None or not resolved[1]:
            return []
        names = [c.name.lower() for c in table.columns]
        here = names.index(resolved[2][1])
        family = type_family(table.columns[here].type)
        order = sorted(range(len(names)), key=lambda i: (abs(i - here), i))
        found = []
        for i in order:
            if i != here and type_family(table.columns[i].type) == family:
                new = column.copy()
                new.set("this", exp.to_identifier(table.columns[i].name, quoted=True))
                found.append(new)
        return found[:count]

    def shipped_values(self, cell: Cell | None) -> list[Any]:
        """The distinct shipped values of a column, in row order, NULL left out."""
        table = self.table_of(cell)
        if table is None or cell is None:
            return []
        place = [c.name.lower() for c in table.columns].index(cell[1])
        return list(dict.fromkeys(r[place] for r in self.schema.rows.get(cell[0], ()) if _plain(r[place])))

    def scope(self, node: exp.Expr) -> Scope | None:
        """The SELECT in which a node is written."""
        return self.scopes.of(node)


def _plain(value: object) -> bool:
    return isinstance(value, bool | int | float | str | datetime.date) and value == value
