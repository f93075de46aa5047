"""What Python hands over -> what the commands read: names and paths as they are, rows as a file for a while."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, DataError

Row = Mapping[str, Any]
Benchmark = str | Path | Sequence[Row]
"""A name under `benchmarks/`, a folder, a data file; or rows with the columns of such a file."""
Predictions = str | Path | Mapping[str, str] | Iterable[Row]
"""A file; or id -> SQL; or rows with `id` and `sql` or `completion`."""


def overrides(settings: Mapping[str, Any]) -> list[str]:
    """`{"score.suite": True}` -> `["score.suite=true"]`, as the command line has it."""
    return [f"{key}={_text(value)}" for key, value in settings.items()]


def _text(value: Any) -> str:
    if isinstance(value, (str, Path)):
        return str(value)
    try:
        return json.dumps(list(value) if isinstance(value, (tuple, set, frozenset)) else value)
    except TypeError:
        raise ConfigError(
            f"The setting {value!r} is no text, number, truth value or list; give one of these."
        ) from None


def benchmark_file(benchmark: Benchmark, folder: Path) -> str:
    """What the commands would call it; rows are written to a file in `folder`."""
    if isinstance(benchmark, (str, Path)):
        return str(benchmark)
    return str(_written(benchmark, folder / "questions.jsonl"))


def predictions_file(predictions: Predictions, folder: Path, name: str) -> Path:
    """The file itself, or one in `folder` with the answers given; its stem is what the run is called."""
    if isinstance(predictions, (str, Path)):
        return Path(predictions)
    rows: Iterable[Row] = predictions  # type: ignore[assignment]
    if isinstance(predictions, Mapping):
        rows = ({"id": key, "sql": sql} for key, sql in predictions.items())
    return _written(rows, folder / f"{name}.jsonl")


def _written(rows: Iterable[Row], path: Path) -> Path:
    try:
        path.write_text("".join(json.dumps(dict(row)) + "\n" for row in rows), encoding="utf-8")
    except (TypeError, ValueError) as error:
        raise DataError(f"The rows cannot be read ({error}); give mappings of column names to text.") from None
    return path
