"""Rows of `items.parquet` back into the records they were made of, and the totals they add up to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import StoreError
from harness.evaluate.totals import Totals
from harness.records import RULES, Generation, Outcome, Run, Verdict
from harness.store import ITEMS_FILE, file_digest

Row = Mapping[str, Any]
_BATCH = 2048
_VERDICT = tuple(field.name for field in fields(Verdict))
_GENERATION = tuple(field.name for field in fields(Generation))


def stored_rows(run: Run, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a run, a group at a time; a StoreError where the file is not the one `run.json` was written with."""
    path = Path(run.path) / ITEMS_FILE
    try:
        if file_digest(path) != run.facts["digests"]["items"]:
            raise StoreError(f"{path} is not the file its run.json was written with (another digest).")
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH, columns=None if columns is None else list(columns)):
                yield from batch.to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{path} cannot be read ({error}).") from None


def verdict_of_row(row: Row) -> Verdict:
    """The verdict a row was made of, as far as rows keep it (which of several golds it refers to is not kept)."""
    values = {name: row[name] for name in _VERDICT if name in row}
    values["outcome"] = Outcome(row["outcome"])
    values["matches"] = {rule: row[f"match_{rule}"] for rule in RULES if f"match_{rule}" in row}
    return Verdict(**values)


def generation_of_row(row: Row) -> Generation:
    """The answer a row was made of."""
    return Generation(**{name: row[name] for name in _GENERATION if name in row})


def add_row(totals: Totals, row: Row) -> None:
    """Count a row, where it is the first answer to its question; further samples are no part of the totals."""
    if not row.get("sample"):
        totals.add(verdict_of_row(row), generation_of_row(row))
