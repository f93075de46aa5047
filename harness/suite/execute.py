"""Where gold and neighbours run while a suite is made.

Neighbours of a gold are as untrusted as the gold: a caller that scores inside a sandboxed worker hands its own
`Executor` in. `plain_executor` is in this process: in memory, external access off, one thread, every statement
interrupted at a deadline. It does not hold what an interrupt does not hold (one huge allocation): run it under a limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, TypeVar

import duckdb

from harness.answer import State, Table, fetch
from harness.dialect import quote

MAX_ROWS = 20_000

_NEEDED = frozenset({"filter_pushdown", "filter_pullup", "expression_rewriter", "unused_columns", "cte_inlining"})
"""Optimizer passes kept: on tables of thirty rows the others cost more than they save."""


_PREPARED = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""Beginnings of statements that can be prepared."""


Found = TypeVar("Found")


class StatementError(Exception):
    """A statement that did not run; `kind` is `bind` (never runs here), `run` (failed on these rows) or `timeout`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Executor(Protocol):
    """Empty tables of one schema, filled and questioned again and again."""

    def load(self, inserts: Sequence[str]) -> None:
        """Empty every table, then run these INSERTs; raises StatementError where a constraint is violated."""

    def binds(self, sql: str) -> bool:
        """Whether the statement can be prepared on these tables."""

    def query(self, sql: str) -> Table:
        """The rows of a reading statement; raises StatementError."""

    def state(self, sql: str) -> State:
        """Every table and view after a writing statement, which is then undone; raises StatementError."""


def quick_settings(connection: duckdb.DuckDBPyConnection) -> str:
    """The SET statement that turns off optimizer passes which do not pay on tables of thirty rows."""
    passes = [name for (name,) in connection.execute("SELECT * FROM duckdb_optimizers()").fetchall()]
    return f"SET disabled_optimizers = '{','.join(p for p in passes if p not in _NEEDED)}'"


def plain_executor(script: str, deadline_seconds: float) -> DuckDBExecutor:
    """An executor in this process; `script` makes the tables, empty; raises duckdb.Error where it does not run."""
    config: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "enable_external_access": False}
    config["memory_limit"] = "512MB"
    connection = duckdb.connect(config=config)
    connection.execute(quick_settings(connection))
    connection.execute(script)
    return DuckDBExecutor(connection, Alarm(connection, deadline_seconds))


class Watch(Protocol):
    """Holds the deadline of one statement: a context manager, used again and again."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Let go of what watches."""


class DuckDBExecutor:
    """An Executor on a DuckDB connection that holds the empty tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, watch: Watch) -> None:
        self._connection = connection
        self._watch = watch
        self._inserts: tuple[str, ...] = ()
        self._loaded = False
        self._runaways: set[str] = set()

    def __enter__(self) -> DuckDBExecutor:
        """The executor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Give the database back."""
        self._watch.close()
        self._connection.close()

    def is_sound(self) -> bool:
        """Whether the database still answers; leaves the tables empty."""
        try:
            self._empty()
            self._connection.execute("SELECT 1")
        except duckdb.Error:
            return False
        return True

    def load(self, inserts: Sequence[str]) -> None:
        """See Executor."""
        self._empty()
        self._inserts = tuple(inserts)
        self._fill()

    def binds(self, sql: str) -> bool:
        """See Executor; drops the loaded rows."""
        self._empty()
        if sql.lstrip(" (\n")[:6].upper() in _PREPARED:
            return self._succeeds(f"PREPARE suite_probe AS {sql}", "DEALLOCATE suite_probe")
        # what makes or drops a table cannot be prepared, but costs nothing to try on empty tables
        self._connection.execute("BEGIN")
        done = self._succeeds(sql, "SELECT 1")
        self._connection.execute("ROLLBACK")
        return done

    def _succeeds(self, sql: str, then: str) -> bool:
        try:
            with self._watch:
                self._connection.execute(sql)
        except duckdb.Error:
            return False
        self._connection.execute(then)
        return True

    def query(self, sql: str) -> Table:
        """See Executor."""
        return self._twice(sql, self._query)

    def state(self, sql: str) -> State:
        """See Executor."""
        return self._twice(sql, self._state)

    def _twice(self, sql: str, ask: Callable[[str], Found]) -> Found:
        """Ask again what was interrupted, once a statement: a machine that stood still must not decide a suite."""
        try:
            return ask(sql)
        except StatementError as error:
            if error.kind != "timeout" or sql in self._runaways:
                raise
        try:
            return ask(sql)
        except StatementError as error:
            if error.kind == "timeout":
                self._runaways.add(sql)
            raise

    def _query(self, sql: str) -> Table:
        self._ensure()
        return self._run(sql)

    def _state(self, sql: str) -> State:
        self._ensure()
        try:
            for statement in self._connection.extract_statements(sql):
                with self._watch:
                    self._connection.execute(statement)
            names = self._connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE NOT internal UNION ALL "
                "SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1"
            ).fetchall()
            return {name.lower(): self._run(f"SELECT * FROM {quote(name)}") for (name,) in names}
        except duckdb.Error as error:
            raise StatementError(_kind(error), str(error)) from error
        finally:
            self._empty()

    def _run(self, sql: str) -> Table:
        try:
            with self._watch:
                return fetch(self._connection.execute(sql), MAX_ROWS)
        except duckdb.Error as error:
            self._empty()
            raise StatementError(_kind(error), str(error)) from error
        except (ValueError, OverflowError) as error:
            raise StatementError("run", str(error)) from error

    def _ensure(self) -> None:
        if not self._loaded:
            self._fill()

    def _fill(self) -> None:
        self._connection.execute("BEGIN")
        try:
            for insert in self._inserts:
                self._connection.execute(insert)
        except duckdb.Error as error:
            self._connection.execute("ROLLBACK")
            raise StatementError("run", str(error)) from error
        self._loaded = True

    def _empty(self) -> None:
        if self._loaded:
            self._connection.execute("ROLLBACK")
            self._loaded = False


def _kind(error: duckdb.Error) -> str:
    if isinstance(error, duckdb.InterruptException | duckdb.OutOfMemoryException):
        return "timeout"
    bind = duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException
    return "bind" if isinstance(error, bind) else "run"


class Alarm:
    """One thread that interrupts the connection when a statement outlives the deadline."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._until: float | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._loop, daemon=True).start()

    def __enter__(self) -> None:
        self._until = time.monotonic() + self._seconds

    def __exit__(self, *_: object) -> None:
        self._until = None

    def close(self) -> None:
        """Let the thread end."""
        self._closed.set()

    def _loop(self) -> None:
        while not self._closed.wait(self._seconds / 8):
            until = self._until
            if until is not None and time.monotonic() > until:
                self._connection.interrupt()
