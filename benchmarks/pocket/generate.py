"""Writes the pocket benchmark's rows: `python benchmarks/pocket/generate.py [--out FOLDER]`; same seed, same rows.

Each database (one domain, a choice of its tables and columns, fresh rows) carries a few questions. A question is kept
only where its gold returns something (or changes something) and every near-miss answers otherwise; that is tried in
SQLite from the standard library because it is fast, and the tests repeat it in DuckDB.
"""

from __future__ import annotations

import argparse
import sqlite3
import tomllib
from collections import Counter
from pathlib import Path
from random import Random

import shapes_joins  # noqa: F401  (registers its shapes)
import shapes_more  # noqa: F401  (registers its shapes)
from phrases import BOOK
from schema import POOLS, Column, Schema, Table, sample, singular
from shapes import SHAPES, Shape
from wording import render

HERE = Path(__file__).resolve().parent
COLUMNS = ("id", "domain", "domain_description", "sql_complexity", "sql_task_type", "sql_prompt", "sql_context", "sql")


def parse_column(text: str) -> Column:
    """`price$3-40` -> a REAL column; the letter of the mark says the kind (see domains.txt)."""
    if text.startswith(">"):
        return Column(singular(text[1:]) + "_id", "key", target=text[1:])
    for mark, kind in (("@", "text"), ("!", "text"), ("=", "text"), ("#", "int"), ("$", "real")):
        name, found, rest = text.partition(mark)
        if not found:
            continue
        if mark == "@":
            if rest == "date":
                return Column(name, "date", spec=("date",))
            return Column(name, "text", spec=("unique" if rest == "person" else "few", POOLS[rest]))
        if mark in "!=":
            return Column(name, "text", spec=("unique" if mark == "!" else "few", rest.split("|")))
        low, high = rest.split("-")
        return Column(name, kind, spec=(kind, int(low), int(high)))
    raise ValueError(f"domains.txt: no kind in column {text!r}")


def read_domains(path: Path = HERE / "domains.txt") -> list[tuple[str, str, str, list[Table]]]:
    """(split, domain, description, tables) for each block."""
    blocks = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        head, description = lines[0].split(": ", 1)
        split, domain = head.split(" ", 1)
        tables = []
        for line in lines[1:]:
            name, columns = line.split(": ", 1)
            tables.append(Table(name, [Column("id", "id"), *map(parse_column, columns.split(", "))]))
        blocks.append((split, domain, description, tables))
    return blocks


def populate(r: Random, tables: list[Table]) -> Schema:
    """A database of a domain: some tables and columns left out, fresh rows in the others."""
    targets = {c.target for t in tables for c in t.of("key")}
    leaves = [t for t in tables if t.name not in targets]
    dropped: set[str] = set()
    while len(tables) - len(dropped) > 2 and r.random() < (0.9 if len(tables) - len(dropped) > 3 else 0.35):
        choices = [t.name for t in leaves if t.name not in dropped]
        if not choices:
            break
        dropped.add(r.choice(choices))
    out: list[Table] = []
    for table in (t for t in tables if t.name not in dropped):
        optional = [c for c in table.plain if c is not table.label]
        keep = r.sample(optional, min(len(optional), r.choice((2, 2, 3))))
        columns = [
            Column(c.name, c.kind, c.target, c.spec)
            for c in table.columns
            if c.kind in ("id", "key") or c is table.label or c in keep
        ]
        parent_count = len(out[0].rows) if out else 0
        fill(r, out, Table(table.name, columns), r.randint(3, 4) if not parent_count else r.randint(4, 6))
    return Schema(out)


def fill(r: Random, done: list[Table], table: Table, count: int) -> None:
    """Samples `count` rows of a table whose parents are done, and appends it to `done`."""
    for column in table.columns:
        if column.kind == "id":
            column.values = list(range(1, count + 1))
        elif column.kind == "key":
            parent = next(t for t in done if t.name == column.target)
            ids = parent.columns[0].values
            used = ids[:-1] if len(ids) > 2 and r.random() < 0.5 else ids
            column.values = [r.choice(used) for _ in range(count)]
        else:
            size = len(column.spec[1]) if column.spec[0] == "unique" else count
            column.values = sample(r, column.spec, min(count, size))
            column.values += [r.choice(column.values) for _ in range(count - len(column.values))]
    table.rows = list(zip(*(c.values for c in table.columns), strict=True))
    done.append(table)


def answer(connection: sqlite3.Connection, sql: str, names: list[str]) -> object:
    """The rows of a statement that reads (in order where it orders), or the tables' rows after one that writes."""
    connection.execute("SAVEPOINT trial")
    try:
        rows = connection.execute(sql).fetchall()
        if sql.startswith(("SELECT", "WITH")):
            plain = " OVER (" not in sql and " ORDER BY " in sql
            return tuple(rows if plain else sorted(rows, key=repr))
        if sql.startswith("CREATE VIEW"):
            names = [*names, sql.split()[2]]
        return tuple((n, tuple(sorted(connection.execute(f"SELECT * FROM {n}").fetchall(), key=repr))) for n in names)
    finally:
        connection.execute("ROLLBACK TO trial")
        connection.execute("RELEASE trial")


def is_sound(connection: sqlite3.Connection, shape: Shape, schema: Schema) -> bool:
    """True where the gold answers something and no near-miss answers the same."""
    names = [t.name for t in schema.tables]
    gold = answer(connection, shape.sql, names)
    if shape.sql.startswith("CREATE VIEW") and not gold[-1][1]:
        return False
    if gold in ((), ((0,),)) or (len(gold) == 1 and all(v is None for v in gold[0])):
        return False
    if not shape.sql.startswith(("SELECT", "WITH")) and gold == answer(
        connection, "DELETE FROM " + names[0] + " WHERE 0", names
    ):
        return False
    return all(answer(connection, n, names) != gold for n in shape.near) and all(
        answer(connection, n, names) == gold for n in shape.same
    )


def questions(r: Random, schema: Schema, count: int, seen: Counter) -> list[tuple[str, str, Shape]]:
    """`count` sound questions for a database, rare shapes first so that every class gets its share."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA case_sensitive_like = ON")
    connection.executescript(schema.script())
    found: dict[str, tuple[str, str, Shape]] = {}
    for _ in range(count * 60):
        if len(found) == count:
            break
        names = r.sample(sorted(SHAPES), 3)
        name = min(names, key=lambda n: (seen[n] / SHAPES[n][2], n))
        shape = SHAPES[name][3](r, schema)
        if shape is None or shape.sql in found:
            continue
        shape.name = name
        if is_sound(connection, shape, schema):
            found[shape.sql] = (name, render(r, shape, BOOK), shape)
            seen[name] += 1
    connection.close()
    return list(found.values())


def build(seed: int, split: str, rows: int, per_database: int) -> list[dict[str, str | int]]:
    """The rows of a split: databases of its domains in turn until there are enough."""
    r = Random(f"{seed}/{split}")
    domains = [b for b in read_domains() if b[0] == split]
    first = 1 if split == "train" else 100_001
    out: list[dict[str, str | int]] = []
    seen: Counter = Counter()
    while len(out) < rows:
        for _, domain, description, tables in domains:
            schema = populate(r, tables)
            for name, prompt, shape in questions(r, schema, per_database, seen):
                complexity, task, _, _ = SHAPES[name]
                out.append(
                    dict(
                        zip(
                            COLUMNS,
                            (
                                first + len(out),
                                domain,
                                description,
                                complexity,
                                task,
                                prompt,
                                schema.script(),
                                shape.sql + ";",
                            ),
                            strict=True,
                        )
                    )
                )
    return out[:rows]


def main() -> None:
    """Writes train.parquet and test.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "data")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    recipe = tomllib.loads((HERE / "benchmark.toml").read_text(encoding="utf-8"))["generator"]
    for split in ("train", "test"):
        rows = build(recipe["seed"], split, recipe[f"{split}_rows"], recipe["questions_per_database"])
        pq.write_table(
            pa.Table.from_pylist(rows), folder / f"{split}.parquet", compression="zstd", compression_level=19
        )
        print(f"{split}: {len(rows)} rows")


if __name__ == "__main__":
    main()
