"""The fields of a `benchmark.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from harness.config.sections import Names, OptionalCount, Section

DIALECTS = ("duckdb", "mysql", "sqlite", "postgres", "tsql", "snowflake", "oracle")
"""Where a data set does not say: the first gives statements their meaning, the others are further ways to read them."""


class Columns(Section):
    """Which column holds what; the defaults are those of gretelai/synthetic_text_to_sql."""

    id: str = "id"
    """Optional: the row number (from 0) where the column is absent."""
    question: str = "sql_prompt"
    context: str = "sql_context"
    """CREATE TABLE and INSERT statements (`rows` layout)."""
    gold: str = "sql"
    """Gold statement, or a list of acceptable ones."""
    database: str = "db_id"
    """Database of the question (`spider` layout)."""


class Split(Section):
    """How one source becomes a training and a test split: by the digest of seed and id, never by position."""

    seed: int = 42
    select: OptionalCount = None
    """Rows drawn from the source before it is split; none: all."""
    train: OptionalCount = None
    """Rows of the training split; none: what the test split leaves."""
    test: OptionalCount = None
    """Rows of the test split; none: a fifth."""


class BenchmarkFile(Section):
    """One `benchmark.toml`."""

    name: str = ""
    """Empty: the folder's or file's name."""
    description: str = ""
    source: str = ""
    """Where the data come from, for people."""
    license: str = ""
    layout: Literal["rows", "spider"] = "rows"
    """`rows`: every row carries its schema; `spider`: rows name a database under `database/<db>/<db>.sqlite`."""
    root: str = ""
    """Folder the files lie in: relative to `benchmark.toml` there, to the working folder in an override."""
    hub: str = ""
    """Data set on the Hugging Face hub, used where no local file is named."""
    hub_revision: str = ""
    data: str = ""
    """One file (or hub split) that is split by `[split]`; excludes `train` and `test`."""
    train: str = ""
    """File (or hub split) to train on."""
    test: str = ""
    """File (or hub split) to evaluate on."""
    columns: Columns = Columns()
    tags: Names = ()
    """Columns kept for slicing results: domain, sql_complexity ..."""
    split: Split = Split()
    evaluate: Literal["test", "train", "all"] = "test"
    """The split that `eval`, `score` and `audit` work on."""
    dialects: Names = DIALECTS
    """Dialects (sqlglot names) of the SQL: the first says what it means, all say how it may be spelt."""
    generator: Mapping[str, Any] = Field(default_factory=dict)
    """Parameters of the script that made the data, kept beside them; the harness itself does not read them."""
