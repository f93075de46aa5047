"""Suites made where untrusted SQL belongs: inside the sandbox's confined workers (`Pool(TASK, MakerOptions(...))`).

The worker loads the item's tables, brings its gold to DuckDB on the benchmark's own road, and searches; what comes back
is a suite as JSON. Its DuckDB is locked and its clock pinned, as it is where the suite will judge.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import duckdb

from harness.dialect import (
    Catalog,
    NoRoadError,
    file_kind,
    materialise_file,
    read_catalog,
    run_translated,
    settings_of,
    translate_schema,
)
from harness.errors import DataError
from harness.records import Database
from harness.sandbox.engine import CLOCK, Engine, EngineSettings, Failure
from harness.sandbox.watchdog import Watchdog
from harness.sandbox.worker import Reply
from harness.suite.distill import build_suite, told_by_more, with_others
from harness.suite.execute import DuckDBExecutor, quick_settings
from harness.suite.reading import read_schema
from harness.suite.record import Suite, SuiteSettings
from harness.suite.schema import Schema
from harness.suite.sqlite_keys import with_sqlite_keys

TASK = "harness.suite.task:build"
_KEPT_SCHEMAS = 8


@dataclass(frozen=True, slots=True)
class MakerOptions:
    """What all suites of a benchmark share."""

    dialects: tuple[str, ...] = ("duckdb",)
    settings: SuiteSettings = field(default_factory=SuiteSettings)
    clock: str = CLOCK
    memory_bytes: int = 2**30
    """DuckDB's own limit inside a worker."""


@dataclass(frozen=True, slots=True)
class Order:
    """One suite asked for."""

    database: Database
    gold: str
    others: tuple[str, ...] = ()
    """Golds of other items on the same tables, to be compared with the gold."""
    suite: str = ""
    """The suite as JSON where it is known and only the others are to be compared."""
    larger: SuiteSettings | None = None
    """Also measure the suite against a search so large: `missed` in the answer."""


@dataclass(slots=True)
class _Place:
    """An item's tables, read once."""

    engine: Engine
    schema: Schema
    catalog: Catalog
    room: DuckDBExecutor | None = None
    """The tables without rows; every suite of the place is made in it."""
    translated: dict[str, str | None] = field(default_factory=dict)
    """Golds in DuckDB's words."""

    def close(self) -> None:
        """Let both databases go."""
        self.engine.close()
        if self.room is not None:
            self.room.close()


class Maker:
    """Makes suites; keeps the engines of recent databases, since benchmarks ask many questions of one."""

    def __init__(self, options: MakerOptions, watchdog: Watchdog) -> None:
        self._options, self._watchdog = options, watchdog
        self._prelude = settings_of(options.dialects)
        self._places: OrderedDict[str, _Place] = OrderedDict()

    def answer(self, payload: Order, partial: Reply | None) -> tuple[dict[str, Any], bytes]:
        """The suite as JSON; one without witnesses says why. `missed`: neighbours that only the larger search tells."""
        missed: int | None = None
        try:
            place = self._place(payload.database)
            suite = self._make(payload, place)
            if payload.larger is not None and suite.witnesses:
                gold = self._translated(payload.gold, place) or ""
                missed = len(
                    told_by_more(
                        place.schema, gold, suite, payload.larger, executor=lambda *_: nullcontext(self._room(place))
                    )
                )
        except (MemoryError, duckdb.OutOfMemoryException):
            # what this worker made before may fill its memory: a fresh one decides
            suite = Suite(reason="the search ran out of memory")
            return {"suite": suite.to_json(), "doubt": True, "retire": True}, b""
        except (DataError, duckdb.Error) as error:
            suite = Suite(reason=f"the schema does not load: {str(error).splitlines()[0]}")
        except RecursionError:
            suite = Suite(reason="the gold is nested too deeply")
        return {"suite": suite.to_json(), "missed": missed}, b""

    def _make(self, order: Order, place: _Place) -> Suite:
        gold = self._translated(order.gold, place)
        if gold is None:
            return Suite(reason="the gold does not bind")
        settings = self._options.settings
        if order.suite:
            suite = Suite.from_json(order.suite)
        else:
            suite = build_suite(place.schema, gold, settings, executor=lambda *_: nullcontext(self._room(place)))
        others = [t for t in (self._translated(sql, place) for sql in order.others) if t is not None]
        return with_others(suite, gold, others, settings, self._room(place)) if others else suite

    def _place(self, database: Database) -> _Place:
        key = database.key + database.script
        place = self._places.pop(key, None) or self._open(database)
        self._places[key] = place
        while len(self._places) > _KEPT_SCHEMAS:
            self._places.popitem(last=False)[1].close()
        return place

    def _room(self, place: _Place) -> DuckDBExecutor:
        """The place's empty tables; a new database where a statement before broke the old one, or moved a sequence."""
        script = place.schema.script
        if place.room is not None and (not place.room.is_sound() or "nextval" in script.lower()):
            place.room.close()
            place.room = None
        if place.room is None:
            engine = self._engine(quick=True)
            engine.connection.execute(script)
            watch = _EngineWatch(self._watchdog, engine, self._options.settings.deadline_seconds)
            place.room = DuckDBExecutor(engine.connection, watch)
        return place.room

    def _engine(self, quick: bool = False) -> Engine:
        statements = (*self._prelude, _quick()) if quick else self._prelude
        engine_settings = EngineSettings(
            memory_bytes=self._options.memory_bytes, statements=statements, clock=self._options.clock
        )
        return Engine(engine_settings, self._watchdog)

    def _open(self, database: Database) -> _Place:
        engine = self._engine()
        connection = engine.connection
        if database.path:
            catalog = materialise_file(database.path, connection)
            schema = read_schema(connection)
            if file_kind(database.path) == "sqlite":
                schema = with_sqlite_keys(schema, database.path)
            return _Place(engine, schema, catalog)
        loaded = translate_schema(database.script, self._options.dialects, lambda sql: _refusal(connection, sql))
        if loaded.errors:
            raise DataError(loaded.errors[0])
        return _Place(engine, read_schema(connection), read_catalog(connection))

    def _translated(self, sql: str, place: _Place) -> str | None:
        """The gold in DuckDB's words, as scoring would run it on the shipped rows."""
        if sql not in place.translated:
            place.translated[sql] = self._translate(sql, place)
        return place.translated[sql]

    def _translate(self, sql: str, place: _Place) -> str | None:
        tried: list[str] = []

        def run(text: str) -> None:
            tried.append(text)
            if text.lstrip(" (").upper().startswith(("SELECT", "WITH")):
                place.engine.query(text, self._options.settings.deadline_seconds, 10)

        def bind(text: str) -> str | None:
            return _refusal(place.engine.connection, f"EXPLAIN {text}")

        # a gold that fails on the shipped rows may have an answer on others
        with suppress(NoRoadError, Failure):
            run_translated(sql, self._options.dialects, place.catalog, bind, run)
        return tried[-1] if tried else None


class _EngineWatch:
    """The worker's own watchdog as an executor's deadline."""

    def __init__(self, watchdog: Watchdog, engine: Engine, seconds: float) -> None:
        self._watchdog, self._engine, self._seconds = watchdog, engine, seconds

    def __enter__(self) -> None:
        self._watchdog.start(self._engine.connection, self._seconds)

    def __exit__(self, *_: object) -> None:
        self._watchdog.stop()

    def close(self) -> None:
        """Nothing of its own to let go."""


@lru_cache(maxsize=1)
def _quick() -> str:
    with duckdb.connect() as probe:
        return quick_settings(probe)


def _refusal(connection: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    try:
        connection.execute(sql)
    except duckdb.Error as error:
        return str(error)
    return None


def build(options: MakerOptions, watchdog: Watchdog) -> Maker:
    """What a worker builds for TASK."""
    return Maker(options, watchdog)


@lru_cache(maxsize=16)
def key_facts(options: MakerOptions) -> str:
    """The options as text, for cache keys."""
    return repr(sorted(asdict(replace(options, memory_bytes=0)).items()))
