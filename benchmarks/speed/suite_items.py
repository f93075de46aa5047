"""Items of three benchmarks with their golds in DuckDB's words, as the suite measurements ask for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import duckdb
import pyarrow.parquet

from harness.dialect import (
    Catalog,
    NoRoadError,
    binder,
    materialise_sqlite,
    read_catalog,
    run_translated,
    settings_of,
    translate_schema,
)
from harness.suite.reading import read_schema
from harness.suite.schema import Schema
from harness.suite.sqlite_keys import with_sqlite_keys

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
DIALECTS = {"spider": ("sqlite", "mysql"), "sql_create_context": ("sqlite", "mysql"), "pocket": ("duckdb",)}


@dataclass(slots=True)
class SuiteItem:
    """One gold over one schema."""

    id: str
    gold: str
    schema: Schema
    """Without shipped rows where the benchmark is measured without them."""
    connection: duckdb.DuckDBPyConnection
    """Holds the tables with the shipped rows."""
    prelude: tuple[str, ...]
    twins: int = 1
    """Items of the benchmark that share this gold."""
    place: str = ""
    """The database's name, or its script."""


def items(name: str, limit: int = 0, stride: int = 1) -> Iterator[SuiteItem]:
    """The distinct golds of a benchmark that run; `stride` takes every n-th, `limit` at most so many."""
    rows = list(dict.fromkeys(_ROWS[name]()))
    counted = dict.fromkeys(rows, 0)
    for row in _ROWS[name]():
        counted[row] += 1
    for taken, row in enumerate(rows[::stride]):
        if limit and taken >= limit:
            return
        item = _item(name, *row)
        if item is not None:
            item.twins = counted[row]
            yield item


def _spider() -> Iterator[tuple[str, str]]:
    with (DATA / "spider" / "dev.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["db_id"], row["query"]


def _create_context() -> Iterator[tuple[str, str]]:
    with (DATA / "sql_create_context" / "rows.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["context"], row["answer"]


def _pocket() -> Iterator[tuple[str, str]]:
    table = pyarrow.parquet.read_table(ROOT / "benchmarks" / "pocket" / "data" / "test.parquet")
    for row in table.to_pylist():
        yield row["sql_context"], row["sql"] if isinstance(row["sql"], str) else row["sql"][0]


_ROWS = {"spider": _spider, "sql_create_context": _create_context, "pocket": _pocket}


def _item(name: str, place: str, sql: str) -> SuiteItem | None:
    dialects = DIALECTS[name]
    opened = _file(place) if name == "spider" else _script(place, dialects)
    if opened is None:
        return None
    connection, schema, catalog = opened
    tried: list[str] = []

    def run(text: str) -> None:
        tried.append(text)
        if text.lstrip(" (").upper().startswith(("SELECT", "WITH")):
            connection.execute(text)

    with suppress(NoRoadError, duckdb.Error):
        run_translated(sql, dialects, catalog, binder(connection), run)
    if not tried:
        return None
    return SuiteItem(f"{place[:30]}|{sql[:60]}", tried[-1], schema, connection, settings_of(dialects), place=place)


@cache
def _file(db: str) -> tuple[duckdb.DuckDBPyConnection, Schema, Catalog]:
    path = DATA / "spider" / "database" / db / f"{db}.sqlite"
    connection = _connect(DIALECTS["spider"])
    catalog = materialise_sqlite(path, connection)
    # the rows are taken away: only witnesses judge
    return connection, replace(with_sqlite_keys(read_schema(connection), path), rows={}), catalog


def _script(script: str, dialects: tuple[str, ...]) -> tuple[duckdb.DuckDBPyConnection, Schema, Catalog] | None:
    connection = _connect(dialects)
    if translate_schema(script, dialects, lambda sql: _refusal(connection, sql)).errors:
        return None
    return connection, read_schema(connection), read_catalog(connection)


def _connect(dialects: tuple[str, ...]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1, "enable_external_access": False})
    for statement in settings_of(dialects):
        connection.execute(statement)
    return connection


def _refusal(connection: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    try:
        connection.execute(sql)
    except duckdb.Error as error:
        return str(error)
    return None
