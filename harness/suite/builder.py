"""Rows that satisfy every constraint of a schema, one table at a time, each row asked for by some of its values."""

from __future__ import annotations

import random
from dataclasses import dataclass

from harness.suite.conditions import Constant
from harness.suite.pools import Pools
from harness.suite.schema import Column, ForeignKey, Table, type_family
from harness.suite.scopes import Cell
from harness.suite.values import fitting

Row = dict[str, Constant]

TRIES = 12


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a witness mixes its values; shares are probabilities a cell or row."""

    domain: int = 4
    """Ordinary values a column draws from: few make ties and groups, many make all values differ."""
    special: float = 0.5
    """Share of cells at or near a constant of the gold, where there is one."""
    nulls: float = 0.05
    unmatched: float = 0.1
    """Share of loose child keys without a parent."""
    wide: bool = False
    """Numbers and dates that never repeat."""
    skew: bool = False
    """The first ordinary values come far more often than the last."""
    max_rows: int = 30


class Builder:
    """Collects the rows of one witness; a row that cannot satisfy its keys is left out."""

    def __init__(self, pools: Pools, recipe: Recipe, rng: random.Random, turn: int = 0) -> None:
        """`turn` says how often this item's strategy has had its turn before."""
        self.turn = turn
        self.pools = pools
        self.recipe = recipe
        self.rng = rng
        self.rows: dict[str, list[Row]] = {t.name.lower(): [] for t in pools.schema.tables}
        self._keys: dict[tuple[str, tuple[str, ...]], dict[tuple[Constant, ...], Row]] = {}
        self._fresh: dict[Cell, int] = {}
        self._tables = {t.name.lower(): t for t in pools.schema.tables}

    def draw(self, cell: Cell, column: Column) -> Constant:
        """A value for a free cell."""
        pool = self.pools.pool(cell)
        if self._tables[cell[0]].may_miss(column) and self.rng.random() < self.recipe.nulls:
            return None
        if pool.special and self.rng.random() < self.recipe.special:
            return self._choose(pool.special)
        if self.recipe.wide and not self.pools.is_shared(cell):
            value = self.never_seen(cell, column)
            if value is not None and self.pools.admits(cell, value):
                return value
        if not pool.plain:
            return self._choose(pool.special) if pool.special else None
        ordinary = pool.plain[: self.recipe.domain]
        places = [self.rng.randrange(len(ordinary)) for _ in range(2 if self.recipe.skew else 1)]
        return ordinary[min(places)]

    def add(self, table_name: str, wanted: Row, depth: int = 0) -> Row | None:
        """A row with the wanted values: a new one, or the one that already holds its key; None where none can be."""
        table = self._tables[table_name]
        for key in self._row_keys(table):
            if all(c in wanted and wanted[c] is not None for c in key):
                there = self._keys.get((table_name, key), {}).get(tuple(wanted[c] for c in key))
                if there is not None:
                    return there
        if len(self.rows[table_name]) >= self.recipe.max_rows or depth > 6:
            return None
        checks = self.pools.checks.get(table_name)
        for _ in range(TRIES if checks is None else 5 * TRIES):
            row = self._row(table, wanted)
            if row is None or not self._is_free(table, row) or (checks is not None and not checks.pass_row(row)):
                continue
            if self._with_parents(table, row, wanted, depth):
                self._store(table, row)
                return row
        return None

    def fill(self, table_name: str, count: int) -> None:
        """Rows without wishes, until the table has `count`."""
        for _ in range(count * 2):
            if len(self.rows[table_name]) >= count:
                return
            self.add(table_name, {})

    def duplicate(self, table_name: str) -> None:
        """One row again, but for its keys."""
        rows = self.rows[table_name]
        if rows:
            keyed = {c for key in self._row_keys(self._tables[table_name]) for c in key}
            source = rows[self.rng.randrange(len(rows))]
            self.add(table_name, {c: v for c, v in source.items() if c not in keyed})

    def _choose(self, values: tuple[Constant, ...]) -> Constant:
        return values[self.rng.randrange(len(values))]

    def _row_keys(self, table: Table) -> tuple[tuple[str, ...], ...]:
        return (*table.keys, table.implied_key) if table.implied_key else table.keys

    def _row(self, table: Table, wanted: Row) -> Row | None:
        row: Row = {}
        name = table.name.lower()
        keyed = {key[0] for key in self._row_keys(table) if len(key) == 1}
        parents = {key.columns[0]: key for key in table.foreign_keys if len(key.columns) == 1}
        for column in table.writable:
            low = column.name.lower()
            if low in wanted and (wanted[low] is not None or table.may_miss(column)):
                row[low] = wanted[low]
            elif low in keyed:
                row[low] = self._new_key(table, column)
            elif low in parents:
                row[low] = self._parent_value(column, (name, low), parents[low])
            else:
                row[low] = self.draw((name, low), column)
            if row[low] is None and not table.may_miss(column):
                return None
        return row

    def _new_key(self, table: Table, column: Column) -> Constant:
        """A key value no row has yet: from the pool in a random order, then ever new ones."""
        name, low = table.name.lower(), column.name.lower()
        taken = {row[low] for row in self.rows[name]}
        pool = self.pools.pool((name, low))
        for value in self.rng.sample(pool.special, len(pool.special)) if self.rng.random() < 0.5 else ():
            if value not in taken:
                return value
        plain = pool.plain[: max(self.recipe.domain, 6)]
        for value in self.rng.sample(plain, len(plain)):
            if value not in taken:
                return value
        for _ in range(60):
            value = self.never_seen((name, low), column)
            if value is None or value not in taken:
                return value
        return None

    def never_seen(self, cell: Cell, column: Column) -> Constant:
        """A value that no call gave before; None where the type has no such stock."""
        step = self._fresh.get(cell, 0) + 1
        self._fresh[cell] = step
        number = step * 7 + self.rng.randrange(1, 7)
        family = type_family(column.type)
        pool = self.pools.pool(cell)
        if family == "text" and pool.plain and str(pool.plain[0])[:4].isdigit() and len(str(pool.plain[0])) == 10:
            family = "date"
        if family == "text":
            numeral = bool(pool.plain) and str(pool.plain[-1]).replace(".", "").isdigit()
            return str(number) if numeral else f"w{number}"
        made: dict[str, Constant] = {
            "integer": number,
            "number": number + 0.5,
            "date": f"{2000 + number % 30}-{1 + number % 12:02d}-{1 + number % 28:02d}",
            "timestamp": f"{2000 + number % 30}-{1 + number % 12:02d}-{1 + number % 28:02d} {number % 24:02d}:00:00",
        }
        if family not in made:
            return None
        kept = [made[family]] if type_family(column.type) == "text" else fitting([made[family]], column)
        return kept[0] if kept else None

    def _parent_value(self, column: Column, cell: Cell, key: ForeignKey) -> Constant:
        if self._tables[cell[0]].may_miss(column) and self.rng.random() < self.recipe.nulls:
            return None
        parent = self.rows.get(key.table.lower(), [])
        if not parent and not key.implied and key.table.lower() == cell[0]:
            return None
        if parent and not (key.loose and self.rng.random() < self.recipe.unmatched):
            row = parent[min(self.rng.randrange(len(parent)), self.rng.randrange(len(parent)))]
            return row[key.parent_columns[0]]
        return self.draw(cell, column)

    def _is_free(self, table: Table, row: Row) -> bool:
        for key in self._row_keys(table):
            values = tuple(row[c] for c in key if c in row)
            if None not in values and values in self._keys.get((table.name.lower(), key), {}):
                return False
        return True

    def _with_parents(self, table: Table, row: Row, wanted: Row, depth: int) -> bool:
        """Make sure every declared parent is there; a multi-column key takes over an existing parent's values."""
        for key in table.foreign_keys:
            values = [row.get(c) for c in key.columns]
            if key.loose or None in values:
                continue
            parent_name = key.table.lower()
            if parent_name not in self._tables:
                return False
            asked = dict(zip(key.parent_columns, values, strict=True))
            if self._has(parent_name, asked):
                continue
            if len(key.columns) > 1 and not any(c in wanted for c in key.columns) and self.rows[parent_name]:
                parent = self.rows[parent_name][self.rng.randrange(len(self.rows[parent_name]))]
                row.update({c: parent[p] for c, p in zip(key.columns, key.parent_columns, strict=True)})
                if self._is_free(table, row):
                    continue
                return False
            made = parent_name != table.name.lower() and self.add(parent_name, asked, depth + 1) is not None
            if not made and not (key.implied and self._let_go(table, row, key)):
                return False
        return True

    def _let_go(self, table: Table, row: Row, key: ForeignKey) -> bool:
        """Make an undeclared key NULL whose parent cannot be made; False where it may not be."""
        column = table.column(key.columns[0])
        if column is None or not table.may_miss(column):
            return False
        row[key.columns[0]] = None
        return True

    def _has(self, table_name: str, asked: Row) -> bool:
        return any(all(row.get(c) == v for c, v in asked.items()) for row in self.rows[table_name])

    def _store(self, table: Table, row: Row) -> None:
        name = table.name.lower()
        self.rows[name].append(row)
        for key in self._row_keys(table):
            values = tuple(row[c] for c in key if c in row)
            if None not in values:
                self._keys.setdefault((name, key), {})[values] = row
