"""Do witnesses satisfy what a schema states? `python -m benchmarks.speed.suite_constraints --stride 10`, on Spider dev.

DuckDB holds an SQLite file's tables without their keys, so it cannot say. Here every witness is loaded by SQLite into
tables made by the file's own CREATE statements, which refuses what breaks NOT NULL, a key or UNIQUE, and is then asked
which foreign keys are broken. The implied keys, which nothing enforces, are checked row by row.
The last line of standard output is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator

from benchmarks.speed import suite_items
from harness.dialect import open_sqlite
from harness.suite.builder import Row
from harness.suite.neighbours import parse
from harness.suite.schema import Schema, Table
from harness.suite.witness import STRATEGIES, Plan, insert_statements, witness

Rows = dict[str, list[Row]]


def main() -> None:
    """Check the first witnesses of every gold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=1, help="take every n-th distinct gold")
    asked = parser.parse_args()
    total: Counter[str] = Counter()
    for item in suite_items.items("spider", 0, asked.stride):
        tree = parse(item.gold)
        if tree is None:
            continue
        plan = Plan(item.schema, tree)
        for number in range(2 * len(STRATEGIES)):
            rows = witness(plan, number, item.id)[1]
            total["witnesses"] += 1
            total["rows"] += sum(map(len, rows.values()))
            for words in (*refusals(item.place, item.schema, rows), *broken(item.schema, rows)):
                total["violations"] += 1
                print(f"{words} on witness {number} of\n  {item.gold}", flush=True)
    print(json.dumps(dict(total)))


def refusals(place: str, schema: Schema, rows: Rows) -> Iterator[str]:
    """What SQLite has against the rows in the file's own tables."""
    with sqlite3.connect(":memory:") as target:
        for statement in _statements(place):
            target.execute(statement)
        try:
            for statement in insert_statements(schema, rows).values():
                target.executescript(statement)
        except sqlite3.Error as error:
            yield f"SQLite: {error}"
        for table in schema.tables:
            try:
                for found in target.execute(f'PRAGMA foreign_key_check("{table.name}")').fetchall():
                    yield f"SQLite: a foreign key of {found[0]} to {found[2]} is broken"
            except sqlite3.OperationalError:
                # the file's own key names what is not there
                continue
    target.close()


def broken(schema: Schema, rows: Rows) -> Iterator[str]:
    """Implied keys the rows break."""
    for table in schema.tables:
        mine = rows.get(table.name.lower(), [])
        yield from _repeated(table, mine)
        for key in table.foreign_keys:
            parents = {tuple(r.get(c) for c in key.parent_columns) for r in rows.get(key.table.lower(), [])}
            for row in mine if not key.loose else ():
                values = tuple(row.get(c) for c in key.columns)
                if None not in values and values not in parents:
                    yield f"{table.name} names a row of {key.table} that is not there"


def _repeated(table: Table, rows: list[Row]) -> Iterator[str]:
    for name in table.filled:
        if any(row.get(name) is None for row in rows):
            yield f"{table.name}.{name} is NULL"
    found = [row.get(table.implied_key[0]) for row in rows] if table.implied_key else []
    if len(found) != len(set(found)):
        yield f"{table.name}.{table.implied_key[0]} comes twice"


def _statements(place: str) -> list[str]:
    path = suite_items.DATA / "spider" / "database" / place / f"{place}.sqlite"
    source = open_sqlite(path)
    try:
        return [
            sql
            for (sql,) in source.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            )
        ]
    finally:
        source.close()


if __name__ == "__main__":
    main()
