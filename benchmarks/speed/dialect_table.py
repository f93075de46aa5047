"""How many golds of SQLite-dialect data sets run in DuckDB, by which road, and whether they answer as SQLite does.

    python benchmarks/speed/dialect_table.py ../shared/data > reports/dialects.md

Spider: every gold runs in SQLite (Python's sqlite3) and, translated, in DuckDB on a copy of the same file; SQLite's
answer is then judged as a prediction by the default rule, so that ties under ORDER BY and LIMIT are set aside.
sql_create_context has no rows: there it is only asked whether the context loads and the gold runs.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from harness.answer import Table, compare, fetch, order_plan
from harness.dialect import (
    Catalog,
    NoRoadError,
    binder,
    materialise_sqlite,
    open_sqlite,
    read_catalog,
    run_translated,
    settings_of,
    translate_schema,
)

MAX_ROWS = 200_000


@dataclass
class Tally:
    """What became of one data set's golds."""

    name: str
    n: int = 0
    raw: int = 0
    runs: int = 0
    identical: int = 0
    same: int = 0
    roads: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    differences: list[tuple[str, str, str]] = field(default_factory=list)


def connect(dialects: tuple[str, ...]) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the meaning of the first dialect."""
    connection = duckdb.connect(config={"threads": 1})
    for statement in settings_of(dialects):
        connection.execute(statement)
    return connection


def run(
    connection: duckdb.DuckDBPyConnection, sql: str, dialects: tuple[str, ...], catalog: Catalog
) -> tuple[Table | None, str, str]:
    """(rows or None, the SQL that ran, the road or the error)."""

    def answer(text: str) -> Table:
        return fetch(connection.execute(text), MAX_ROWS)

    try:
        table, found = run_translated(sql, dialects, catalog, binder(connection), answer)
    except (NoRoadError, duckdb.Error) as error:
        return None, "", str(error).splitlines()[0]
    return table, found.sql or sql, str(found.road)


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def bag(rows: list[tuple[Any, ...]]) -> Counter[str]:
    """Rows as a bag, numbers by value."""
    return Counter(str([float(f"{v:.9g}") if isinstance(v, (int, float)) else v for v in row]) for row in rows)


def spider(root: Path, split: str) -> Tally:
    """Every gold of a Spider split in both engines."""
    tally = Tally(f"Spider {split}")
    by_database: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(root / f"{split}.jsonl"):
        by_database.setdefault(row["db_id"], []).append(row)
    for name, rows in by_database.items():
        path = root / "database" / name / f"{name}.sqlite"
        connection = connect(("sqlite",))
        catalog = materialise_sqlite(path, connection)
        lite = open_sqlite(path)
        for row in rows:
            one_gold(tally, row, connection, catalog, lite)
        lite.close()
        connection.close()
    return tally


def one_gold(
    tally: Tally, row: dict[str, Any], connection: duckdb.DuckDBPyConnection, catalog: Catalog, lite: sqlite3.Connection
) -> None:
    """Counts one gold."""
    sql = row["query"]
    tally.n += 1
    tally.raw += binder(connection)(sql) is None
    answer, ran, road = run(connection, sql, ("sqlite",), catalog)
    if answer is None:
        tally.failures.append((row["id"], sql, road))
        return
    tally.runs += 1
    tally.roads[road] += 1
    cursor = lite.execute(sql)
    names = tuple(column[0] for column in cursor.description)
    expected = Table(names, ("",) * len(names), cursor.fetchall())
    identical = bag(expected.rows) == bag(answer.rows)
    tally.identical += identical
    plan = order_plan(ran)
    keyed = None
    if plan is not None and plan.keyed_sql is not None and plan.needs_keyed(answer):
        keyed = fetch(connection.execute(plan.keyed_sql), MAX_ROWS)
    verdict = compare(answer, expected, plan, keyed)
    if verdict.matches["default"]:
        tally.same += 1
    else:
        tally.differences.append((row["id"], sql, f"{cause(sql, road)}: {verdict.reason}"))


def cause(sql: str, road: str) -> str:
    """Why the engines answer differently, as far as the statement shows it."""
    upper = sql.upper()
    if "bare_column" in road:
        return "the gold leaves open which row of the group a column is taken from"
    if "LIMIT" in upper:
        return "a subquery's LIMIT cuts through a tie"
    if any(word in upper for word in ("INTERSECT", "EXCEPT", "UNION")):
        return "a set operation over columns of different types (SQLite keeps text and numbers apart)"
    return "unexplained"


def contexts(path: Path) -> Tally:
    """Loads each context and runs its gold."""
    dialects = ("sqlite", "mysql")
    tally = Tally("sql_create_context")
    connection = connect(dialects)

    def load(sql: str) -> str | None:
        try:
            connection.execute(sql)
        except duckdb.Error as error:
            return str(error)
        return None

    for row in rows_of(path):
        tally.n += 1
        connection.execute("DROP SCHEMA IF EXISTS item CASCADE; CREATE SCHEMA item; USE item")
        loaded = translate_schema(row["context"], dialects, load)
        if loaded.errors:
            tally.failures.append((str(row["id"]), row["answer"], "context: " + loaded.errors[0].splitlines()[0]))
            continue
        catalog = read_catalog(connection)
        tally.raw += binder(connection)(row["answer"]) is None
        answer, _, road = run(connection, row["answer"], dialects, catalog)
        if answer is None:
            tally.failures.append((str(row["id"]), row["answer"], road))
        else:
            tally.runs += 1
            tally.roads[road] += 1
    return tally


def share(part: int, whole: int) -> str:
    """A count as a percentage with its count."""
    return f"{100 * part / whole:.2f} % ({part:,})"


def cell(text: str) -> str:
    """Text safe within a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def report(tallies: list[Tally]) -> str:
    """The page."""
    lines = [
        "# Golds in their own dialect, run in DuckDB",
        "",
        "Made by `python benchmarks/speed/dialect_table.py ../shared/data > reports/dialects.md`"
        f" with duckdb {duckdb.__version__}, SQLite {sqlite3.sqlite_version}.",
        "*As written*: DuckDB binds the text under the dialect's settings. *Identical*: the same bag of rows as SQLite."
        " *Same answer*: the default rule accepts SQLite's rows, which sets ties under ORDER BY and LIMIT aside.",
        "",
        "| data set | golds | as written | runs | identical | same answer |",
        "|---|---|---|---|---|---|",
    ]
    for tally in tallies:
        compared = tally.same > 0
        answers = (share(tally.identical, tally.n), share(tally.same, tally.n)) if compared else ("no rows", "no rows")
        numbers = (f"{tally.n:,}", share(tally.raw, tally.n), share(tally.runs, tally.n), *answers)
        lines.append(f"| {tally.name} | " + " | ".join(numbers) + " |")
    for tally in tallies:
        lines += ["", f"## {tally.name}: roads", "", "| road | golds |", "|---|---|"]
        lines += [f"| `{road}` | {count:,} |" for road, count in tally.roads.most_common()]
        if tally.failures:
            lines += ["", f"## {tally.name}: golds that do not run", "", "| id | gold | DuckDB says |", "|---|---|---|"]
            lines += [f"| {one} | `{cell(sql)}` | {cell(why)} |" for one, sql, why in tally.failures]
        if tally.differences:
            lines += ["", f"## {tally.name}: other answers than SQLite's", "", "| id | gold | cause |", "|---|---|---|"]
            lines += [f"| {one} | `{cell(sql)}` | {cell(why)} |" for one, sql, why in tally.differences]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder with spider/ and sql_create_context/")
    data = parser.parse_args().data
    tallies = [spider(data / "spider", "dev"), spider(data / "spider", "train")]
    tallies.append(contexts(data / "sql_create_context" / "rows.jsonl"))
    sys.stdout.write(report(tallies))


if __name__ == "__main__":
    main()
