"""Tables, columns and rows as the pocket benchmark and the base model's corpus both see them; pure Python, no I/O.

A column's `kind` decides which conditions make sense for it: `id`, `key` (foreign), `text`, `int`, `real`, `date`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

SQL_TYPES = {"id": "INT", "key": "INT", "text": "TEXT", "int": "INT", "real": "REAL", "date": "DATE"}

PEOPLE = (
    "Ana Boris Clara Diego Elena Farid Greta Hugo Ines Jonas Karin Liam Mona Nils Olga Pavel Quinn Rosa Sven Tara "
    "Umar Vera Walid Xenia Yusuf Zoe Amir Bella Carlos Dana Emil Freya Gavin Hana Igor Julia Kofi Lena Marco Nadia"
).split()
CITIES = "Oslo Lima Cairo Porto Quito Turin Delhi Kyoto Lagos Malmo Ghent Perth Sofia Tunis Basel Davos".split()
COUNTRIES = "Peru Chad Cuba Fiji Iran Kenya Laos Mali Nepal Oman Qatar Spain Togo Yemen Japan Italy".split()
POOLS = {"person": PEOPLE, "city": CITIES, "country": COUNTRIES}


def singular(name: str) -> str:
    """`order_batches` -> `order_batch`, `cities` -> `city`, `bakers` -> `baker`; the names used here are regular."""
    if name.endswith("ies"):
        return name[:-3] + "y"
    if name.endswith(("ches", "shes", "xes", "sses")):
        return name[:-2]
    return name[:-1] if name.endswith("s") else name


def literal(value: Any) -> str:
    """A value as an SQL literal: text in single quotes, numbers bare, a real without a needless `.0`."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return shown(value)


def shown(value: Any) -> str:
    """A value as a question would write it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(slots=True)
class Column:
    """One column; `values` are those its literals may be drawn from, `spec` how its rows are sampled."""

    name: str
    kind: str
    target: str = ""
    spec: tuple = ()
    values: list = field(default_factory=list)

    @property
    def say(self) -> str:
        """The name as people say it."""
        return self.name.replace("_", " ")

    @property
    def number(self) -> bool:
        """True where sums and averages make sense."""
        return self.kind in ("int", "real")

    @property
    def is_year(self) -> bool:
        """True where a total would be silly."""
        return self.kind == "int" and self.name.endswith(("year", "_in", "founded", "formed", "vintage"))


@dataclass(slots=True)
class Table:
    """One table with its rows (tuples in column order)."""

    name: str
    columns: list[Column]
    rows: list[tuple] = field(default_factory=list)

    @property
    def one(self) -> str:
        """The singular as people say it."""
        return singular(self.name).replace("_", " ")

    @property
    def many(self) -> str:
        """The plural as people say it."""
        return self.name.replace("_", " ")

    @property
    def plain(self) -> list[Column]:
        """Columns that are neither the id nor a foreign key."""
        return [c for c in self.columns if c.kind not in ("id", "key")]

    @property
    def label(self) -> Column:
        """The column that names a row: the first text column."""
        return next(c for c in self.columns if c.kind == "text")

    def of(self, *kinds: str) -> list[Column]:
        """Columns of these kinds."""
        return [c for c in self.columns if c.kind in kinds]

    @property
    def numbers(self) -> list[Column]:
        """Columns that can be averaged."""
        return [c for c in self.columns if c.number]

    @property
    def sums(self) -> list[Column]:
        """Columns that can be summed sensibly."""
        return [c for c in self.columns if c.number and not c.is_year]

    @property
    def groups(self) -> list[Column]:
        """Text columns with repeated values, the label left out where its values are unique."""
        return [c for c in self.of("text") if len(set(c.values)) < len(c.values)]


@dataclass(slots=True)
class Schema:
    """A few related tables."""

    tables: list[Table]

    def table(self, name: str) -> Table:
        """The table of this name."""
        return next(t for t in self.tables if t.name == name)

    @property
    def links(self) -> list[tuple[Table, Column, Table]]:
        """(child, foreign key, parent) for each foreign key whose parent is here."""
        names = {t.name: t for t in self.tables}
        return [(t, c, names[c.target]) for t in self.tables for c in t.of("key") if c.target in names]

    @property
    def chains(self) -> list[tuple[Table, Column, Table, Column, Table]]:
        """(grandchild, key, child, key, parent)."""
        return [(g, k, c, k2, p) for g, k, c in self.links for c2, k2, p in self.links if c2 is c]

    def script(self) -> str:
        """CREATE TABLE and INSERT statements on one line, as the gretel data set ships them."""
        parts = []
        for table in self.tables:
            columns = ", ".join(f"{c.name} {SQL_TYPES[c.kind]}" for c in table.columns)
            rows = ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in table.rows)
            parts.append(f"CREATE TABLE {table.name} ({columns}); INSERT INTO {table.name} VALUES {rows};")
        return " ".join(parts)


def random_date(r: Random) -> str:
    """A day of 2020 to 2024 as ISO text."""
    return f"{r.randint(2020, 2024)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}"


def sample(r: Random, spec: tuple, count: int) -> list:
    """`count` values of a column; unique where the spec says so (`count` must not exceed the pool)."""
    how, *rest = spec
    if how == "unique":
        return r.sample(rest[0], count)
    if how == "few":
        return [r.choice(rest[0]) for _ in range(count)]
    if how == "date":
        return [random_date(r) for _ in range(count)]
    low, high = rest
    if how == "real":
        return [r.randint(2 * low, 2 * high) / 2 for _ in range(count)]
    return [r.randint(low, high) for _ in range(count)]
