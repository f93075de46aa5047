"""What the two modules share: their inputs, and from predictions and references to items and verdicts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Features, Value

from harness.benchmark.rows import script_key
from harness.benchmark.spider import file_key
from harness.errors import ConfigError, DataError
from harness.records import Database, Generation, Item, Verdict
from harness.scoring import ScoreSettings, score

FEATURES = [
    Features({"predictions": Value("string"), "references": {"sql": sql, "context": Value("string")}})
    for sql in (Value("string"), [Value("string")])
]
"""A prediction is a model's text or SQL. A reference is its gold (`sql`, or a list of acceptable ones) and the tables:
CREATE TABLE and INSERT statements, or the path of an SQLite or DuckDB file."""
INPUTS = """
Args:
    predictions: list of texts of a model, or of SQL statements.
    references: list of {"sql": gold, or a list of acceptable golds; "context": CREATE TABLE and INSERT statements, or
        the path of an SQLite or DuckDB file}.
    dialects: how the SQL may be spelt (sqlglot names), the first one saying what it means; default ("duckdb",).
    suite: also judge on generated witness databases; off by default here, where no folder keeps them (`cache_dir`).
    Any other field of harness.scoring.ScoreSettings: tolerance, floor_seconds, workers, cache_dir ...
"""


_DATABASES = (".sqlite", ".sqlite3", ".db", ".duckdb")
_LAST: dict[str, tuple[Verdict, ...]] = {}
"""What was judged last, by its digest."""


def settings_of(options: Mapping[str, Any]) -> ScoreSettings:
    """Keyword arguments of `compute` as scoring settings; ConfigError names one that is none."""
    known = {field.name for field in dataclasses.fields(ScoreSettings)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigError(f"compute takes no {unknown[0]!r}; it takes {', '.join(sorted(known))}.")
    dialects = options.get("dialects", ("duckdb",))
    return ScoreSettings(
        **{"suite": False, **options, "dialects": (dialects,) if isinstance(dialects, str) else tuple(dialects)}
    )


def verdicts(predictions: Sequence[str], references: Sequence[Any], settings: ScoreSettings) -> tuple[Verdict, ...]:
    """Judge each prediction by its reference, in order; the same asked again (`evaluate.combine`) runs nothing."""
    asked = json.dumps([list(predictions), list(references), repr(settings)], sort_keys=True, default=str)
    digest = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
    if digest not in _LAST:
        items = [_item(number, reference) for number, reference in enumerate(references)]
        answers = {item.id: Generation(item.id, text or "") for item, text in zip(items, predictions, strict=True)}
        found = tuple(score(items, answers, settings))
        _LAST.clear()
        _LAST[digest] = found
    return _LAST[digest]


def _golds(reference: Mapping[str, Any], number: int) -> tuple[str, ...]:
    value = reference.get("sql")
    golds = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not golds or not all(isinstance(gold, str) and gold.strip() for gold in golds):
        raise DataError(f"Reference {number} has no gold; give it in 'sql', as text or a list of texts.")
    return golds


def _item(number: int, reference: Mapping[str, Any]) -> Item:
    golds = _golds(reference, number)
    context = reference.get("context") or ""
    if context.lower().endswith(_DATABASES):
        if not Path(context).is_file():
            raise DataError(f"Reference {number}: the database {context} does not exist; give the path of a file.")
        database = Database(file_key(context), path=str(Path(context).resolve()))
    else:
        database = Database(script_key(context), script=context)
    return Item(str(number), "", context, golds, database)
