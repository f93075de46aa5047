"""An item's tables inside a worker's DuckDB, and what runs on them; `script_space` and `file_space` say whence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from harness.answer import Table
from harness.dialect import Catalog, quote, read_catalog
from harness.sandbox.engine import BINDING, PLACES, Engine, Failure
from harness.sandbox.lazy_catalog import LazyCatalog
from harness.sqltext import Kind

_BROKEN = Table(("this view no longer binds",), ("VARCHAR",), [])
_SHUFFLED = "shuffled"
_TABLES = (
    "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT internal"
)
_VIEWS = "SELECT sql FROM duckdb_views() WHERE database_name = current_database() AND NOT internal"


def joined(*statements: str) -> str:
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
            self.engine.run(joined(*begin, *statements), seconds)
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
