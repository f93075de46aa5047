"""Answers made elsewhere, read from a file: for scoring other systems, and for tests. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from harness.errors import DataError
from harness.generate.base import Progress, Request
from harness.generate.settings import DecodingSettings
from harness.records import Generation, Speed


class ReplayGenerator:
    """Gives back the answers of a .jsonl or .parquet file with `id` and `completion` (or `sql`)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers = _read(path)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Backend and file."""
        return {"backend": "replay", "file": self._path.name}

    def generate(
        self, requests: Sequence[Request], decoding: DecodingSettings, progress: Progress | None = None
    ) -> Iterator[Generation]:
        """Yield the stored answers in the requests' order; DataError, before any, where some have none."""
        missing = [request.id for request in requests if request.id not in self._answers]
        if missing:
            raise DataError(f"{self._path} has no answer for {missing[0]!r} and {len(missing) - 1} more ids; add them.")
        for done, request in enumerate(requests, start=1):
            yield from self._answers[request.id]
            if progress is not None:
                progress(done, len(requests))

    def speed(self) -> Speed | None:
        """Return None: nothing was generated."""
        return None


def _read(path: Path) -> dict[str, list[Generation]]:
    answers: dict[str, list[Generation]] = {}
    for number, row in enumerate(_rows(path), start=1):
        text = row.get("completion", row.get("sql"))
        if row.get("id") is None or not isinstance(text, str):
            raise DataError(f"{path}, row {number}: an answer needs `id` and `completion` (or `sql`); mend that row.")
        key = str(row["id"])
        same = answers.setdefault(key, [])
        sample = int(row.get("sample") or 0)
        if any(other.sample == sample for other in same):
            raise DataError(
                f"{path}, row {number}: a second answer for {key!r}; leave one out or number it (`sample`)."
            )
        counts = {name: int(row.get(name) or 0) for name in ("prompt_tokens", "output_tokens")}
        same.append(Generation(key, text, **counts, finished=row.get("finished") is not False, sample=sample))
    return answers


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            yield from pyarrow.parquet.read_table(path).to_pylist()
            return
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise DataError(f"{path}, line {number} is no JSON object; mend that line.")
                    yield row
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read ({error}); it must be .jsonl or .parquet.") from error
