"""DuckDB as a worker runs it: in memory, locked, one thread, its clock pinned, every statement under a deadline.

The clock is pinned by macros that shadow DuckDB's own functions (`now()`, `current_date` ...): a benchmark's answer
must not depend on the day it is scored. `random()` and `uuid()` are not pinned: gold statements that use them are
asked twice.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import duckdb

from harness.answer import Table
from harness.answer import query as fetch_query
from harness.sandbox.watchdog import Watchdog
from harness.sqltext import Kind, kind_of_types, statement_kind

CLOCK = "2024-07-01 12:00:00"
"""The moment every statement believes it is, in UTC."""
# without a semicolon in it a text is one statement, whatever its quotes and comments, and its first words say which
_PLAIN_SELECT = re.compile(r"[\s(]*SELECT\b[^;]*\Z", re.IGNORECASE)
_PLAIN_WRITE = re.compile(r"\s*(?:INSERT\s+INTO|CREATE\s+TABLE|UPDATE|DELETE\s+FROM)\b[^;]*\Z", re.IGNORECASE)
_SECRET = re.compile(r"\bSECRETS?\b", re.IGNORECASE)
# functions that take addresses, call back into Python, write logs, or run text that no check has seen
_REFUSED = re.compile(
    r"\b(?:(?:python_)?arrow_scan\w*|pandas_scan|python_map_function|json_execute_serialized_sql|query|query_table"
    r"|enable_(?:logging|profil\w+)|(?:de)?register_external_resource\w*|create_external_resource"
    r"|destroy_external_resource|disable_\w+|write_log|truncate_duckdb_logs|copy_database|import_database"
    r"|(?:force_)?checkpoint|setseed|sleep_ms)[\s\"]*\(",
    re.IGNORECASE,
)
_SUSPECT = re.compile(
    r"scan|map_function|serialized_sql|query|enable_|disable_|external_resource|write_log|duckdb_logs|copy_database"
    r"|import_database|checkpoint|setseed|sleep_ms"
)
"""Found in whatever `_REFUSED` finds, written in small letters; a tenth of the time to look for."""
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "python_scan_all_frames": False,
}
_FAILURES: tuple[tuple[type[BaseException], str], ...] = (
    (duckdb.InterruptException, "timeout"),
    (duckdb.OutOfMemoryException, "memory"),
    (MemoryError, "memory"),
    (duckdb.FatalException, "fatal"),
    (duckdb.InternalException, "fatal"),
    (duckdb.ParserException, "syntax"),
    (duckdb.SyntaxException, "syntax"),
    (duckdb.CatalogException, "catalog"),
    (duckdb.BinderException, "binder"),
    (duckdb.PermissionException, "forbidden"),
    (duckdb.ConversionException, "type"),
    (duckdb.TypeMismatchException, "type"),
    (UnicodeEncodeError, "syntax"),
)
_SLOW_TO_ASK = frozenset(
    [
        "aggregate_function_rewriter",
        "aggregate_reuse",
        "common_subplan",
        "compressed_materialization",
        "distinct_aggregate_rewrite",
        "extension",
        "join_filter_pushdown",
        "late_materialization",
        "partial_aggregate_pushdown",
        "partitioned_execution",
        "projection_placement",
        "projection_pullup",
        "redundant_order_keys",
        "remote_pushdown",
        "sampling_pushdown",
        "scalar_fn_pushdown",
        "type_pushdown",
        "window_rewriter",
        "window_self_join",
    ]
)
"""Optimizer passes left out: they pay on millions of rows, and cost a tenth of the time a small statement takes."""
BINDING = frozenset({"syntax", "catalog", "binder"})
"""Kinds of failure that come before anything runs: another reading of the text may bind."""
PLACES = frozenset({"timeout", "memory", "fatal"})
"""Kinds of failure that may come from this process rather than from the statement: asked again in a fresh one."""


class Failure(Exception):  # noqa: N818 -- it is a value of the scorer, not an error of the program
    """A statement that DuckDB did not answer.

    `kind` is timeout, memory, fatal, syntax, catalog, binder, type, forbidden or runtime; `message` DuckDB's words.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How a worker's DuckDB is set up."""

    memory_bytes: int = 2**30
    """DuckDB's own limit; the process limit lies above it."""
    statements: tuple[str, ...] = ()
    """Run before the configuration is locked: a dialect's meaning."""
    clock: str = CLOCK
    threads: int = 1


def failure_of(error: BaseException) -> Failure:
    """DuckDB's exception as a value."""
    kind = next((kind for cause, kind in _FAILURES if isinstance(error, cause)), "runtime")
    return Failure(kind, str(error)[:2000] or type(error).__name__)


class Engine:
    """One locked DuckDB in memory."""

    def __init__(self, settings: EngineSettings, watchdog: Watchdog) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            **_CONFIG,
            "threads": settings.threads,
            "memory_limit": f"{settings.memory_bytes // 2**20}MiB",
        }
        self.connection = duckdb.connect(":memory:", config=config)
        self._watchdog = watchdog
        passes = [name for (name,) in self.connection.execute("SELECT * FROM duckdb_optimizers()").fetchall()]
        left_out = ",".join(name for name in passes if name in _SLOW_TO_ASK)
        setup = (
            f"SET disabled_optimizers = '{left_out}'",
            *settings.statements,
            *_clock_macros(settings.clock),
            "SET lock_configuration = true",
        )
        self.connection.execute(";".join(setup))

    def close(self) -> None:
        """Drop the database and all in it."""
        self.connection.close()

    def run(self, sql: str, seconds: float) -> None:
        """Run one of the worker's own statements, or text whose kind was checked; `Failure` where it fails."""
        self._watchdog.start(self.connection, seconds)
        try:
            self.connection.execute(sql)
        except Exception as error:
            raise failure_of(error) from None
        finally:
            self._watchdog.stop()

    def query(self, sql: str, seconds: float, max_rows: int) -> tuple[Table, float]:
        """Rows of a statement and the seconds it took, fetching included; `Failure` where it fails."""
        self._watchdog.start(self.connection, seconds)
        begun = time.perf_counter()
        try:
            return fetch_query(self.connection, sql, max_rows), time.perf_counter() - begun
        except Exception as error:
            raise failure_of(error) from None
        finally:
            self._watchdog.stop()

    def kind(self, sql: str) -> Kind:
        """What DuckDB's own parser takes the text for; `Failure` where it cannot read it."""
        plain = sql.isascii()
        if not plain:
            try:
                sql.encode()
            except UnicodeEncodeError as error:
                raise Failure("syntax", "the statement has half of a surrogate pair in it") from error
        if (not plain or _SUSPECT.search(sql.lower())) and _REFUSED.search(sql):
            return Kind.FORBIDDEN
        if _PLAIN_SELECT.match(sql):
            return Kind.READ
        if _PLAIN_WRITE.match(sql):
            return Kind.WRITE
        if _SECRET.search(sql) and statement_kind(sql) is Kind.FORBIDDEN:
            return Kind.FORBIDDEN
        return kind_of_types(statement.type.name for statement in self.statements(sql))

    def statements(self, sql: str) -> list[duckdb.Statement]:
        """The text's statements as DuckDB's own parser cuts them; `Failure` where it cannot read it."""
        try:
            return list(self.connection.extract_statements(sql))
        except Exception as error:
            raise failure_of(error) from None


def _clock_macros(moment: str) -> list[str]:
    """Macros that shadow DuckDB's clock with a fixed moment; temporary ones, for they are found from any database."""
    stamp, plain = f"TIMESTAMPTZ '{moment}+00'", f"TIMESTAMP '{moment}'"
    day, clock = f"DATE '{moment.split()[0]}'", f"TIME '{moment.split()[1]}'"
    bodies = {
        **dict.fromkeys(("now", "current_timestamp", "get_current_timestamp", "transaction_timestamp"), stamp),
        **dict.fromkeys(("current_localtimestamp", "localtimestamp"), plain),
        **dict.fromkeys(("current_date", "today"), day),
        **dict.fromkeys(("current_localtime", "localtime"), clock),
        **dict.fromkeys(("current_time", "get_current_time"), f"TIMETZ '{moment.split()[1]}+00'"),
    }
    return [f"CREATE TEMP MACRO {name}() AS {body}" for name, body in bodies.items()]
