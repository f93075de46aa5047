"""Spider-style folders: questions that name a database under `database/<db>/<db>.sqlite` (or `.duckdb`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from harness.benchmark.rows import Rows, golds_of, tags_of, text_of, with_ids
from harness.config import BenchmarkFile, Columns
from harness.dialect import file_schema_text
from harness.errors import DataError
from harness.records import Database, Item

FILES = {"train": ("train.jsonl", "train_spider.json", "train.json"), "test": ("dev.jsonl", "dev.json", "test.jsonl")}
"""Names looked for where `benchmark.toml` names none."""
COLUMNS = Columns(question="question", gold="query")
"""Spider's own column names; what `benchmark.toml` maps goes before."""
_FOLDERS = ("database", "databases", "test_database")
_ENDINGS = (".sqlite", ".duckdb")
_ID = re.compile(r"[^/\\:\x00]+")


def items_of_spider(rows: Rows, settings: BenchmarkFile, root: Path, where: str) -> Iterator[Item]:
    """Items whose tables lie in an SQLite or DuckDB file (`spider` layout)."""
    columns = COLUMNS.model_copy(
        update={name: getattr(settings.columns, name) for name in settings.columns.model_fields_set}
    )
    for number, identity, row in with_ids(rows, columns, where):
        place = f"{where} row {number} (id {identity})"
        name = text_of(row, columns.database, place, "database")
        path = database_file(root, name, place)
        yield Item(
            id=identity,
            question=text_of(row, columns.question, place, "question"),
            context=schema_text(str(path), 0),
            golds=golds_of(row, columns, place),
            database=Database(key=file_key(str(path)), path=str(path)),
            cluster=name,
            tags=tags_of(row, settings.tags),
        )


def database_file(root: Path, name: str, place: str) -> Path:
    """The file of a database id, which may not lead out of the folder."""
    if not _ID.fullmatch(name) or name.strip(".") == "":
        raise DataError(f"{place}: '{name}' is no database id (it may not be a path); mend the row.")
    for folder in _FOLDERS:
        for ending in _ENDINGS:
            path = root / folder / name / f"{name}{ending}"
            if path.is_file():
                return path.resolve()
    raise DataError(
        f"{place}: the database {name} is not at {root / _FOLDERS[0] / name / (name + '.sqlite')} (nor as .duckdb); "
        "point benchmark.root at the folder that holds database/."
    )


@lru_cache(maxsize=4096)
def file_key(path: str) -> str:
    """Content digest of a database file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"The database {path} cannot be read: {error.strerror}.") from None


@lru_cache(maxsize=4096)
def schema_text(path: str, sample_rows: int) -> str:
    """CREATE TABLE text of a database file, with sample rows of each table where asked for."""
    return file_schema_text(path, sample_rows)
