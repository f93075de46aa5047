"""Somebody's database -> one file of the new benchmark: copied where it is one, made where it is a folder of tables."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from harness.dialect import duckdb_tables, file_kind, open_duckdb, open_sqlite, quote, sqlite_tables
from harness.errors import DataError

READERS = {
    ".csv": "read_csv({path}, sample_size=-1)",
    ".tsv": "read_csv({path}, sample_size=-1)",
    ".parquet": "read_parquet({path})",
}
"""How DuckDB reads a table's file; types of a CSV are told from all of its rows."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the database, for people."""

    name: str
    rows: int
    columns: tuple[str, ...]
    """`name TYPE`, in order."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The database as it lies in the benchmark."""

    path: Path
    dialect: str
    """What its SQL is written in."""
    tables: tuple[Table, ...]


def store_database(source: Path, folder: Path, name: str) -> Stored:
    """Put the database into `folder` as `name.duckdb` or `name.sqlite`; a DataError where there is none to read."""
    if not source.exists():
        raise DataError(
            f"There is no database at {source}; name a DuckDB or SQLite file, or a folder of .csv or .parquet files."
        )
    files = _table_files(source)
    folder.mkdir(parents=True)
    if files:
        return _stored_duckdb(_made(files, folder / f"{name}.duckdb"))
    if file_kind(source) == "duckdb":
        return _stored_duckdb(_copied_duckdb(source, folder / f"{name}.duckdb"))
    if file_kind(source) == "sqlite":
        return _stored_sqlite(_copied_sqlite(source, folder / f"{name}.sqlite"))
    raise DataError(
        f"{source} is neither a DuckDB nor an SQLite database; load its data into one of them, or name a folder of "
        ".csv or .parquet files."
    )


def _table_files(source: Path) -> Sequence[Path]:
    if source.is_file():
        return [source] if _reader(source) else []
    files = sorted(path for path in source.iterdir() if path.is_file() and _reader(path))
    if not files:
        raise DataError(
            f"The folder {source} holds no .csv or .parquet file; put one a table there, or name a database."
        )
    names: dict[str, Path] = {}
    for path in files:
        other = names.setdefault(_table_name(path).lower(), path)
        if other is not path:
            raise DataError(f"{other} and {path.name} would both be the table '{_table_name(path)}'; rename one.")
    return files


def _reader(path: Path) -> str:
    return READERS.get(Path(path.name.lower().removesuffix(".gz")).suffix, "")


def _table_name(path: Path) -> str:
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def _made(files: Sequence[Path], target: Path) -> Path:
    with closing(duckdb.connect(str(target), config={"autoinstall_known_extensions": False})) as connection:
        connection.execute("SET enable_progress_bar = false")
        for path in files:
            quoted = "'" + str(path).replace("'", "''") + "'"
            try:
                connection.execute(
                    f"CREATE TABLE {quote(_table_name(path))} AS SELECT * FROM {_reader(path).format(path=quoted)}"
                )
            except duckdb.Error as error:
                raise DataError(f"{path} cannot be read as a table ({_first(error)}); mend or remove it.") from None
    return target


def _copied_duckdb(source: Path, target: Path) -> Path:
    # the shared lock of the open file keeps writers away while it is copied
    with closing(open_duckdb(source)):
        shutil.copyfile(source, target)
        log = source.with_name(source.name + ".wal")
        if log.is_file():
            shutil.copyfile(log, target.with_name(target.name + ".wal"))
    with closing(duckdb.connect(str(target))) as connection:
        connection.execute("CHECKPOINT")
    return target


def _copied_sqlite(source: Path, target: Path) -> Path:
    open_sqlite(source).close()
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as there,
            closing(sqlite3.connect(target)) as here,
        ):
            there.backup(here)
    except sqlite3.Error as error:
        raise DataError(f"{source} cannot be copied ({error}); close the program that writes to it.") from None
    return target


def _stored_duckdb(path: Path) -> Stored:
    with closing(open_duckdb(path)) as source:
        tables = [
            Table(
                table.name if table.schema == "main" else f"{table.schema}.{table.name}",
                source.execute(f"SELECT count(*) FROM {table.in_file}").fetchall()[0][0],
                tuple(f"{name} {kind}" for name, kind in table.columns),
            )
            for table in duckdb_tables(source)
        ]
    return Stored(path, "duckdb", _some(tables, path))


def _stored_sqlite(path: Path) -> Stored:
    with closing(open_sqlite(path)) as source:
        tables = [
            Table(
                name,
                source.execute(f"SELECT count(*) FROM {quote(name)}").fetchone()[0],
                tuple(f"{row[1]} {row[2]}".strip() for row in source.execute(f"PRAGMA table_info({quote(name)})")),
            )
            for name, _ in sqlite_tables(source)
        ]
    return Stored(path, "sqlite", _some(tables, path))


def _some(tables: Sequence[Table], path: Path) -> tuple[Table, ...]:
    if not tables:
        raise DataError(f"The database has no table ({path.name} is empty); name the one that holds your data.")
    return tuple(tables)


def _first(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
