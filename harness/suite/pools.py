"""Which values each column draws from: columns that meet (keys, joins, set operations) share a pool."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from harness.suite.checks import Checks
from harness.suite.conditions import Condition, Constant, conditions
from harness.suite.schema import Column, Schema, type_family
from harness.suite.scopes import Cell, Scopes, column_pairs
from harness.suite.values import fitting, near, plain


@dataclass(frozen=True, slots=True)
class Pool:
    """The values of one column."""

    special: tuple[Constant, ...]
    """At and near the gold's constants."""
    plain: tuple[Constant, ...]


class Pools:
    """The pools of every column of a schema, for one statement."""

    def __init__(self, schema: Schema, trees: tuple[exp.Expr, ...]) -> None:
        """The first tree is the gold; others (a prediction) add their constants."""
        self.schema = schema
        scenes = [Scopes(tree, schema) for tree in trees]
        self.scopes = scenes[0]
        self.conditions = [c for scene in scenes for c in conditions(scene)]
        self.checks = {t.name.lower(): Checks(t) for t in schema.tables if t.checks}
        self._columns: dict[Cell, Column] = {
            (t.name.lower(), c.name.lower()): c for t in schema.tables for c in t.columns
        }
        self._heads = {cell: cell for cell in self._columns}
        self._styles = {cell: style for scene in scenes for cell, style in _text_styles(scene, self.conditions)}
        for scene in scenes:
            for a, b in [*self._key_pairs(), *column_pairs(scene)]:
                if a in self._heads and b in self._heads:
                    self._heads[self.head(b)] = self.head(a)
        self._members: dict[Cell, list[Cell]] = {}
        for cell in self._columns:
            self._members.setdefault(self.head(cell), []).append(cell)
        self._made: dict[Cell, Pool] = {}

    def head(self, cell: Cell) -> Cell:
        """The column that stands for all that meet it."""
        while self._heads[cell] != cell:
            cell = self._heads[cell]
        return cell

    def is_shared(self, cell: Cell) -> bool:
        """True where the column meets another one."""
        return len(self._members[self.head(cell)]) > 1

    def pool(self, cell: Cell) -> Pool:
        """The values of a column."""
        if cell not in self._made:
            self._made[cell] = self._make(cell)
        return self._made[cell]

    def counts(self) -> list[int]:
        """The group sizes the gold asks about: constants COUNT is compared with."""
        return [
            int(v)
            for c in self.conditions
            if c.measure == "count"
            for v in c.values
            if isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v <= 60
        ]

    def _make(self, cell: Cell) -> Pool:
        column = self._columns[cell]
        members = self._members[self.head(cell)]
        style = self._styles.get(cell, "")
        if type_family(column.type) != "text":
            style = ""
        elif any(type_family(self._columns[m].type) in ("integer", "number") for m in members):
            style = "numeral"
        special = [v for c in self.conditions if c.cell in members for v in near(c, column, style)]
        shipped = [v for m in members for v in self._shipped(m)]
        ordinary = plain(column, style, shipped if not style else ())
        if style == "date":
            ordinary = fitting(ordinary, column)
        if type_family(column.type) == "text" and len(members) > 1 and style == "numeral":
            ordinary = ["1", "2", "3", "5", "8", "4", "13", "6"]
        checks = self.checks.get(cell[0])
        if checks is not None:
            ordinary = [*fitting(checks.constants(cell[1]), column), *ordinary]
        return Pool(tuple(self._admitted(cell, fitting(special, column))), tuple(self._admitted(cell, ordinary)))

    def admits(self, cell: Cell, value: Constant) -> bool:
        """Whether the CHECKs on this column alone, and on those it meets, allow a value."""
        if not self.checks:
            return True
        members = self._members[self.head(cell)]
        return all(m[0] not in self.checks or self.checks[m[0]].pass_value(m[1], value) for m in members)

    def _admitted(self, cell: Cell, values: list[Constant]) -> list[Constant]:
        return list(dict.fromkeys(v for v in values if self.admits(cell, v))) if self.checks else values

    def _shipped(self, cell: Cell) -> list[Constant]:
        table = self.schema.table(cell[0])
        rows = self.schema.rows.get(cell[0], ())
        if table is None or not rows:
            return []
        place = [c.name.lower() for c in table.columns].index(cell[1])
        return list(dict.fromkeys(str(r[place]) if not _simple(r[place]) else r[place] for r in rows[:12]))

    def _key_pairs(self) -> list[tuple[Cell, Cell]]:
        return [
            ((t.name.lower(), child), (key.table.lower(), parent))
            for t in self.schema.tables
            for key in t.foreign_keys
            for child, parent in zip(key.columns, key.parent_columns, strict=False)
        ]


def _simple(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


_DATE_FUNCTIONS = (
    exp.Extract,
    exp.Year,
    exp.Month,
    exp.Day,
    exp.TimeToStr,
    exp.DateTrunc,
    exp.TimestampTrunc,
    exp.DateDiff,
    exp.DateAdd,
    exp.DateSub,
)


def _text_styles(scopes: Scopes, found: list[Condition]) -> list[tuple[Cell, str]]:
    """Text columns the statement treats as numbers or as dates."""
    styles: list[tuple[Cell, str]] = []
    for condition in found:
        if condition.measure in ("year", "month", "day"):
            styles.append((condition.cell, "date"))
        elif (
            condition.operator not in ("like", "ilike", "null")
            and condition.measure != "count"
            and any(isinstance(v, int | float) and not isinstance(v, bool) for v in condition.values)
        ):
            styles.append((condition.cell, "numeral" if condition.measure != "length" else ""))
    for node in scopes.tree.find_all(exp.Sum, exp.Avg, exp.Add, exp.Sub, exp.Mul, exp.Div, *_DATE_FUNCTIONS):
        style = "date" if isinstance(node, _DATE_FUNCTIONS) else "numeral"
        for column in node.find_all(exp.Column):
            cell = scopes.cell(column)
            if cell:
                styles.append((cell, style))
    for node in scopes.tree.find_all(exp.Cast, exp.TryCast):
        cell = scopes.cell(node.this) if isinstance(node.this, exp.Column) else None
        if cell:
            if node.to.is_type(*exp.DataType.NUMERIC_TYPES):
                styles.append((cell, "numeral"))
            elif node.to.is_type("date", "timestamp"):
                styles.append((cell, "date"))
    return styles
