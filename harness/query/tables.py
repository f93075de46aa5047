"""The tables themselves: a DuckDB in memory over the runs' files, for one reading statement at a time.

The files are scanned by pyarrow, column by column, so that DuckDB itself needs no access to any file and has none:
a query can read these tables and nothing else, and change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from harness.errors import ConfigError, StoreError
from harness.query.columns import ITEMS, RUNS
from harness.query.rows import run_row
from harness.records import Run
from harness.store import ITEMS_FILE, SCHEMA, list_runs

HOMES = ("reports/runs", "reports/published/*/runs")
"""Where runs are looked for; of a run that lies in both, the first counts."""
_READING = frozenset({"SELECT", "EXPLAIN"})
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "temp_directory": "",
}
_OUTCOMES = """
CREATE TEMP VIEW outcomes AS
SELECT run, model, entry.key AS outcome, CAST(entry.value AS BIGINT) AS n,
    CAST(entry.value AS BIGINT) / nullif(runs.n, 0) AS share
FROM runs, LATERAL json_each(facts, '$.totals.outcomes') AS entry
"""
_CHECKPOINTS = """
CREATE TEMP VIEW checkpoints AS
SELECT a.experiment, a.step, a.model, a.run, a.epoch, a.execution_accuracy, a.ci_low, a.ci_high,
    a.execution_accuracy - (
        SELECT max(b.execution_accuracy) FROM runs AS b
        WHERE b.step = 0 AND (b.experiment, b.benchmark_digest, b.prompt_digest, b.max_new_tokens, b.temperature)
            IS NOT DISTINCT FROM (a.experiment, a.benchmark_digest, a.prompt_digest, a.max_new_tokens, a.temperature)
    ) AS gain
FROM runs AS a WHERE a.step IS NOT NULL ORDER BY a.experiment, a.step, a.run
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A statement's rows."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    """DuckDB types."""
    rows: tuple[tuple[Any, ...], ...]


def stored_runs(homes: Iterable[str | Path] = HOMES) -> list[Run]:
    """Finished runs under folders (patterns are fine); a StoreError where a folder that was named is none."""
    found: dict[str, Run] = {}
    for home in homes:
        pattern = str(home)
        folders = [Path(pattern)] if Path(pattern).is_dir() else sorted(_matches(pattern))
        if not folders and home not in HOMES:
            raise StoreError(f"{home} is no folder of runs; name one whose folders hold run.json.")
        for folder in folders:
            for run in list_runs(folder):
                found.setdefault(run.id, run)
    return list(found.values())


def _matches(pattern: str) -> Iterable[Path]:
    path = Path(pattern)
    root = Path(path.anchor) if path.is_absolute() else Path()
    return (match for match in root.glob(str(path.relative_to(root))) if match.is_dir())


def open_runs(runs: Sequence[Run]) -> Tables:
    """The tables `runs`, `items`, `outcomes` and `checkpoints` over some runs."""
    connection = duckdb.connect(config=_CONFIG)
    # DuckDB draws its bar on stdout, where the document belongs
    connection.execute("SET enable_progress_bar = false")
    connection.register("_runs", _runs(runs))
    listed = ", ".join(f"CAST({_quoted(c.name)} AS {c.type}) AS {_quoted(c.name)}" for c in RUNS)
    connection.execute(f"CREATE TEMP VIEW runs AS SELECT {listed} FROM _runs")
    selects = [f"SELECT CAST(NULL AS VARCHAR) AS run, * FROM {_register(connection, '_none', SCHEMA.empty_table())}"]
    for number, run in enumerate(runs):
        name = _register(connection, f"_items_{number}", _items(run))
        selects.append(f"SELECT {_literal(run.id)} AS run, * FROM {name}")
    listed = ", ".join(f"CAST({_quoted(c.name)} AS {c.type}) AS {_quoted(c.name)}" for c in ITEMS)
    connection.execute(f"CREATE TEMP VIEW items AS SELECT {listed} FROM ({' UNION ALL BY NAME '.join(selects)})")
    connection.execute(_OUTCOMES)
    connection.execute(_CHECKPOINTS)
    connection.execute("SET lock_configuration = true")
    return Tables(connection)


def _register(connection: duckdb.DuckDBPyConnection, name: str, rows: Any) -> str:
    connection.register(name, rows)
    return name


def _runs(runs: Sequence[Run]) -> pa.Table:
    rows = [{**run_row(run), "facts": json.dumps(run.facts, sort_keys=True)} for run in runs]
    kinds = {"VARCHAR": pa.string(), "JSON": pa.string(), "BIGINT": pa.int64(), "DOUBLE": pa.float64()}
    moment = pa.timestamp("us", tz="UTC")
    schema = pa.schema([pa.field(column.name, kinds.get(column.type, moment)) for column in RUNS])
    return pa.Table.from_pylist(rows, schema=schema)


def _items(run: Run) -> Any:
    path = Path(run.path) / ITEMS_FILE
    try:
        return ds.dataset(str(path), format="parquet")
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} cannot be read ({error}); run the evaluation again.") from None


class Tables:
    """An open set of tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def ask(self, sql: str) -> Answer:
        """The rows of one reading statement; a ConfigError says why it was not run or what it lacks."""
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type.name not in _READING:
                raise ConfigError("The query is not one reading statement; write one SELECT.")
            relation = self._connection.execute(sql)
            described = relation.description or []
            rows = tuple(tuple(row) for row in relation.fetchall())
        except duckdb.Error as error:
            # DuckDB's words without the copy of the query below them
            words = " ".join(str(error).split("\n\nLINE ")[0].split())
            raise ConfigError(
                f"The query fails: {words.rstrip('.')}. `harness sql` alone lists the tables and columns."
            ) from None
        return Answer(tuple(part[0] for part in described), tuple(str(part[1]) for part in described), rows)

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()

    def __enter__(self) -> Tables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
