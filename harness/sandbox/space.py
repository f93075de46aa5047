"""An item's tables inside a worker's DuckDB, set up for one job and gone after it.

A script runs inside a transaction that is rolled back: the cheapest way to a clean database. DuckDB refuses
everything after the first error in a transaction, so that after one the script is run again into an attached database
of its own, where a failed statement harms nothing. A database file is copied in once and kept; only writes to it need
a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

from harness.answer import Table
from harness.dialect import (
    Catalog,
    declared_catalog,
    materialise_file,
    plain_schema,
    quote,
    read_catalog,
    translate_schema,
)
from harness.sandbox.engine import BINDING, PLACES, Engine, Failure
from harness.sqltext import Kind

_BROKEN = Table(("this view no longer binds",), ("VARCHAR",), [])
_ATTACHED, _SHUFFLED = "work", "shuffled"
_TABLES = (
    "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT internal"
)
_VIEWS = "SELECT sql FROM duckdb_views() WHERE database_name = current_database() AND NOT internal"


def _joined(*statements: str) -> str:
    """As one text: a call a statement costs more than it need."""
    return "\n;".join(statements)


class Space:
    """Tables to run statements on; `rewind` undoes what was written, `close` all of it."""

    def __init__(self, engine: Engine, *, seconds: float, max_rows: int) -> None:
        self.engine = engine
        self.catalog = self._lazy()
        self._seconds, self._max_rows = seconds, max_rows
        self._writing = False
        self._written: list[str] = []
        self._tried: tuple[str, Table | Failure, float] | None = None

    def _lazy(self) -> Catalog:
        return cast(Catalog, LazyCatalog(self._read_catalog))

    def _read_catalog(self) -> Catalog:
        return read_catalog(self.engine.connection)

    # -- reading

    def query(self, sql: str, seconds: float) -> tuple[Table, float]:
        """Rows of a reading statement and its seconds; `Failure` where it fails. What `bind` ran is not run again."""
        if self._tried is None or self._tried[0] != sql:
            self._try(sql, seconds)
        assert self._tried is not None
        (_, result, took), self._tried = self._tried, None
        if isinstance(result, Failure):
            raise result
        return result, took

    def bind(self, sql: str, seconds: float) -> Failure | None:
        """The failure of a reading statement that does not bind, else None. It is tried by running it."""
        self._try(sql, seconds)
        assert self._tried is not None
        result = self._tried[1]
        return result if isinstance(result, Failure) and result.kind in BINDING else None

    def _try(self, sql: str, seconds: float) -> None:
        self._tried = None
        try:
            if self.engine.kind(sql) is not Kind.READ:
                raise Failure("forbidden", "the statement does more than read, or calls a function that is not run")
            table, took = self.engine.query(sql, seconds, self._max_rows)
            self._tried = (sql, table, took)
        except Failure as failure:
            if failure.kind in PLACES:
                raise
            self._mend()
            self._tried = (sql, failure, 0.0)

    # -- writing

    def bind_write(self, sql: str, seconds: float) -> Failure | None:
        """The failure of a writing statement that does not bind, else None; runs nothing."""
        try:
            self._writes(sql)
            self._begin()
            self.engine.query(f"EXPLAIN {sql}", seconds, 1)
        except Failure as failure:
            if failure.kind in PLACES:
                raise
            self._mend()
            return failure if failure.kind in BINDING else None
        return None

    def write(self, sql: str, seconds: float) -> float:
        """Run a writing statement; its seconds."""
        self._writes(sql)
        self._begin()
        try:
            took = self.engine.query(sql, seconds, self._max_rows)[1]
        except Failure as failure:
            if failure.kind not in PLACES:
                self._mend()
            raise
        self._written.append(sql)
        return took

    def fill(self, statements: tuple[str, ...], seconds: float) -> None:
        """As `write` of each of these statements, in one call."""
        for sql in statements:
            self._writes(sql)
        begin = () if self._writing else ("BEGIN",)
        self._writing = True
        try:
            self.engine.run(_joined(*begin, *statements), seconds)
        except Failure as failure:
            if failure.kind not in PLACES:
                self._mend()
            raise
        self._written.extend(statements)

    def state(self, seconds: float) -> dict[str, Table]:
        """Every table and view by name, with its rows."""
        names, _ = self.engine.query(
            f"{_TABLES} UNION ALL {_VIEWS.replace('SELECT sql', 'SELECT schema_name, view_name')}",
            seconds,
            self._max_rows,
        )
        found: dict[str, Table] = {}
        for schema, name in names.rows:
            shown = name if schema == "main" else f"{schema}.{name}"
            try:
                rows = f"SELECT * FROM {_qualified(schema, name)}"
                found[shown] = self.engine.query(rows, seconds, self._max_rows)[0]
            except Failure as failure:
                if failure.kind not in BINDING:
                    raise
                # a view whose columns are gone; whoever leaves the same one behind leaves the same state
                found[shown] = _BROKEN
                self._mend()
        return found

    @contextmanager
    def shuffled(self, seed: int) -> Iterator[None]:
        """Unqualified names mean copies of the tables with their rows in another order; constraints are left out."""
        home = self._home()
        tables, _ = self.engine.query(_TABLES, self._seconds, self._max_rows)
        views, _ = self.engine.query(_VIEWS, self._seconds, self._max_rows)
        self.engine.run(f"ATTACH ':memory:' AS {_SHUFFLED}", self._seconds)
        try:
            self.engine.run(f"USE {_SHUFFLED}", self._seconds)
            for schema in sorted({schema for schema, _ in tables.rows} - {"main"}):
                self.engine.run(f"CREATE SCHEMA {quote(schema)}", self._seconds)
            for schema, name in tables.rows:
                source = f"{home}.{quote(schema)}.{quote(name)}"
                order = f"hash(rowid + {seed})"
                self.engine.run(
                    f"CREATE TABLE {_qualified(schema, name)} AS SELECT * FROM {source} ORDER BY {order}",
                    self._seconds,
                )
            for (definition,) in views.rows:
                self.engine.run(definition, self._seconds)
            yield
        finally:
            self.engine.run(f"USE {home}", self._seconds)
            self.engine.run(f"DETACH {_SHUFFLED}", self._seconds)

    def _home(self) -> str:
        """Name of the database that holds the tables, committed."""
        raise NotImplementedError

    def rewind(self) -> None:
        """The tables as they were before any `write`."""
        if self._writing:
            self._undo()
        self._written.clear()

    def close(self) -> None:
        """Leave nothing behind for the next job."""
        self.rewind()

    def _writes(self, sql: str) -> None:
        if self.engine.kind(sql) is Kind.FORBIDDEN:
            raise Failure("forbidden", "the statement is of a kind that is not run")

    def _begin(self) -> None:
        if not self._writing:
            self.engine.run("BEGIN", self._seconds)
            self._writing = True

    def _undo(self) -> None:
        self.engine.run("ROLLBACK", self._seconds)
        self._writing = False

    def _mend(self) -> None:
        """After a failed statement: the tables as before it, what was written before it included."""
        if not self._writing:
            return
        self._undo()
        if self._written:
            self._begin()
            for sql in self._written:
                self.engine.run(sql, self._seconds)


def _qualified(schema: str, name: str) -> str:
    """The name as SQL writes it: with its schema where that is not `main`."""
    return quote(name) if schema == "main" else f"{quote(schema)}.{quote(name)}"


class ScriptSpace(Space):
    """Tables of a CREATE TABLE / INSERT script."""

    def __init__(self, engine: Engine, *, seconds: float, max_rows: int) -> None:
        super().__init__(engine, seconds=seconds, max_rows=max_rows)
        self.statements: tuple[str, ...] = ()
        """What DuckDB ran of the script, in its own dialect."""
        self._attached = False

    def _read_catalog(self) -> Catalog:
        return declared_catalog(self.statements) or super()._read_catalog()

    def load(self, statements: tuple[str, ...]) -> None:
        """Set the tables up from statements that `load_script` gave earlier."""
        self._writing = True
        self.statements = statements
        self.catalog = declared_catalog(statements) or self._lazy()
        self.engine.run(_joined("BEGIN", *statements), self._seconds)

    def load_attached(self, statements: tuple[str, ...]) -> None:
        """As `load`, but into the attached database at once: for tables that are filled and emptied several times."""
        self.load(())
        self._mend()
        self.engine.run(_joined(*statements), self._seconds)
        self.statements = statements

    def load_script(self, script: str, dialects: tuple[str, ...]) -> tuple[str, ...]:
        """Set the tables up from a script in the benchmark's dialect; DuckDB's words for what could not be loaded."""
        if self._load_plain(script, dialects):
            return ()
        self.load(())
        done: list[str] = []

        def run(sql: str) -> str | None:
            try:
                if self.engine.kind(sql) is not Kind.WRITE:
                    return "Parser Error: only statements that make and fill tables are run"
                self.engine.run(sql, self._seconds)
            except Failure as failure:
                if failure.kind in PLACES:
                    raise
                self.statements = tuple(done)
                self._mend()
                return failure.message
            done.append(sql)
            return None

        loaded = translate_schema(script, dialects, run)
        self.statements = tuple(done)
        return loaded.errors

    def _load_plain(self, script: str, dialects: tuple[str, ...]) -> bool:
        """All of the script at once, as most scripts allow; False (and nothing loaded) where this one does not."""
        statements = plain_schema(script, dialects)
        try:
            if statements is None or any(self.engine.kind(sql) is not Kind.WRITE for sql in statements):
                return False
            self.load(statements)
        except Failure as failure:
            if failure.kind in PLACES:
                raise
            self._abandon()
            return False
        return True

    def _abandon(self) -> None:
        """Out of a transaction that may not even have begun."""
        if self._writing:
            with suppress(Failure):
                self._undo()
            self._writing = False
        self.statements = ()

    def close(self) -> None:
        """Roll back, or take the attached database away."""
        if self._writing:
            self._undo()
        if self._attached:
            self.engine.run("USE memory", self._seconds)
            self.engine.run(f"DETACH {_ATTACHED}", self._seconds)
            self._attached = False

    def rewind(self) -> None:
        """The tables as the script made them."""
        self._written.clear()
        if self._attached:
            super().rewind()
        else:
            self._undo()
            self.load(self.statements)

    def _home(self) -> str:
        if not self._attached:
            self._mend()
        return _ATTACHED

    def _begin(self) -> None:
        if self._attached:
            super()._begin()

    def _mend(self) -> None:
        if self._attached:
            super()._mend()
            return
        self._undo()
        self.engine.run(f"ATTACH ':memory:' AS {_ATTACHED}", self._seconds)
        self._attached = True
        self.engine.run(_joined(f"USE {_ATTACHED}", *self.statements), self._seconds)
        if self._written:
            self._begin()
            for sql in self._written:
                self.engine.run(sql, self._seconds)


class FileSpace(Space):
    """Tables of a database file, copied once into an attached database and kept from job to job."""

    def __init__(self, engine: Engine, name: str, *, seconds: float, max_rows: int) -> None:
        super().__init__(engine, seconds=seconds, max_rows=max_rows)
        self._name = name

    def load(self, path: str) -> None:
        """Copy the file's tables in; leaves the database in use."""
        self.engine.run(f"ATTACH ':memory:' AS {self._name}", self._seconds)
        self.engine.run(f"USE {self._name}", self._seconds)
        self.catalog = materialise_file(path, self.engine.connection)

    def _home(self) -> str:
        return self._name

    def enter(self) -> None:
        """Make unqualified names mean this database's tables."""
        self.engine.run(f"USE {self._name}", self._seconds)

    def leave(self) -> None:
        """Make unqualified names mean no database's tables."""
        self.engine.run("USE memory", self._seconds)

    def drop(self) -> None:
        """Take the database away; another one must be in use."""
        self.engine.run(f"DETACH {self._name}", self._seconds)


class LazyCatalog(Mapping[str, Mapping[str, str]]):
    """A `Catalog` that is read from DuckDB only when it is asked for (2.7 ms that most statements do not need)."""

    def __init__(self, read: Callable[[], Catalog]) -> None:
        self._read = read
        self._known: Catalog | None = None

    @property
    def whole(self) -> Catalog:
        """The catalog itself."""
        if self._known is None:
            self._known = self._read()
        return self._known

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def __getitem__(self, table: str) -> Mapping[str, str]:
        return self.whole[table]

    def __contains__(self, table: object) -> bool:
        return table in self.whole

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)

    def __hash__(self) -> int:
        return hash(self.whole)

    def __eq__(self, other: object) -> bool:
        return self.whole == (other.whole if isinstance(other, LazyCatalog) else other)
