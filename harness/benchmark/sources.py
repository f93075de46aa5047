"""Rows out of a file or from the hub: JSON lines, JSON, CSV, Parquet, Arrow; each fault names its file and row."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import DataError

Row = Mapping[str, Any]
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".arrow")


def is_data_file(name: str | Path) -> bool:
    """True for a name that ends like a data file we read (`.gz` behind a text format is fine)."""
    text = str(name).lower().removesuffix(".gz")
    return text.endswith(SUFFIXES)


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yields (row number from 0, row); a DataError names the file, the row and the remedy."""
    if not path.is_file():
        raise DataError(f"{path} does not exist or is no file; name a .jsonl, .csv, .parquet or .arrow file.")
    kind = Path(str(path).lower().removesuffix(".gz")).suffix
    reader = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet, ".arrow": _arrow}.get(kind)
    if reader is None:
        raise DataError(f"{path} has no format we read; use one of {', '.join(SUFFIXES)}.")
    try:
        yield from enumerate(reader(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({reason}); check that it is complete and readable.") from None


def _open(path: Path) -> IO[str]:
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def _jsonl(path: Path) -> Iterator[Row]:
    with _open(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _object(line, f"{path} line {number}")


def _object(text: str, where: str) -> Row:
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{where} is not valid JSON ({error}); is the file complete?") from None
    if not isinstance(row, dict):
        raise DataError(f"{where} holds {type(row).__name__} where an object with named columns belongs.")
    return row


def _json(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        text = file.read()
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}); is the file complete?") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} must be a JSON list of objects with named columns.")
    yield from rows


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with _open(path) as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(
                        f"{path} line {reader.line_num} has not as many fields as the header; quote fields with commas."
                    )
                yield row
        except csv.Error as error:
            raise DataError(f"{path} line {reader.line_num} is not valid CSV ({error}).") from None


def _parquet(path: Path) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (OSError, UnicodeDecodeError):
        raise
    except Exception as error:  # a damaged column leads to many kinds: a date too far, a time zone that is none
        raise DataError(f"{path} is not a complete Parquet file ({_first_line(error)}); fetch it again.") from None


def _arrow(path: Path) -> Iterator[Row]:
    try:
        with pa.memory_map(str(path)) as source:
            for batch in _batches(source):
                yield from batch.to_pylist()
    except (OSError, UnicodeDecodeError):
        raise
    except Exception as error:  # a damaged column leads to many kinds: a date too far, a time zone that is none
        raise DataError(f"{path} is not a complete Arrow file ({_first_line(error)}); fetch it again.") from None


def _batches(source: Any) -> Iterator[Any]:
    try:
        reader = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        yield from pa.ipc.open_stream(source)
        return
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")


def read_hub(name: str, split: str, revision: str) -> Iterator[tuple[int, Row]]:
    """Rows of a hub data set's split, downloaded and cached by `datasets`; a DataError where it cannot be had."""
    remedy = "check the name and the network, or name a local copy with benchmark.data=FILE"
    try:
        # deferred: datasets takes seconds to import and belongs to the `train` extra
        import datasets
    except ImportError:
        raise DataError(
            f"The hub data set {name} needs the `datasets` package; pip install 'harness[train]'."
        ) from None
    try:
        rows = datasets.load_dataset(name, split=split or "train", revision=revision or None)
    except Exception as error:  # the hub client raises many unrelated kinds for "not there"
        raise DataError(f"The hub data set {name} cannot be loaded ({_first_line(error)}); {remedy}.") from None
    yield from enumerate(rows)
