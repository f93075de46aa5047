"""A file of predictions made elsewhere -> one answer an item; every id is accounted for before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.benchmark import id_text
from harness.errors import DataError
from harness.evaluate.answer_file import AnswerFile
from harness.evaluate.foreign import prediction_rows
from harness.records import Generation

_NAMED = 5
"""Ids named in a sentence before the rest is counted."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers by item id."""

    answers: AnswerFile
    """A text is SQL as it stands; a Generation is a model's raw text, from which the SQL is taken."""
    missing: tuple[str, ...]
    """Ids of the benchmark that the file does not have; counted as wrong."""


def read_predictions(
    path: Path, ids: Iterable[str], *, allow_missing: bool = False, id_column: str = "id"
) -> Predictions:
    """The answers of a .jsonl or .parquet file with `id` and `sql` or `completion`; a DataError names ids at fault.

    Logs of lm-evaluation-harness and inspect_ai are read as well; `id_column` is the benchmark's.
    """
    answers = AnswerFile(ids)
    twice: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for number, row in prediction_rows(path, id_column):
        identity = _identity(row, path, number)
        if not answers.knows(identity):
            unknown[identity] = None
        elif not answers.put(identity, _answer(row, identity, f"{path} row {number} (id {identity})")):
            twice[identity] = None
    missing = answers.missing()
    faults = _faults(twice, unknown, () if allow_missing else missing)
    if faults:
        raise DataError(f"{path} does not fit the benchmark: {'; '.join(faults)}. Nothing was scored.")
    return Predictions(answers, missing)


def _faults(twice: Collection[str], unknown: Collection[str], missing: Collection[str]) -> list[str]:
    faults = []
    if twice:
        faults.append(f"{_ids(twice)} given more than once (keep one line an id)")
    if unknown:
        faults.append(f"{_ids(unknown)} not in the benchmark (is it the right benchmark or split?)")
    if missing:
        faults.append(f"{_ids(missing)} missing (add them, or count them as wrong with --allow-missing)")
    return faults


def _ids(ids: Collection[str]) -> str:
    shown = ", ".join(f"'{identity}'" for identity in list(ids)[:_NAMED])
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return f"{'id' if len(ids) == 1 else 'ids'} {shown}{more} {'is' if len(ids) == 1 else 'are'}"


def _identity(row: Mapping[str, Any], path: Path, number: int) -> str:
    if "id" not in row:
        raise DataError(f"{path} row {number} has no 'id'; give every prediction the id of its question.")
    identity = id_text(row["id"])
    if identity is None:
        raise DataError(f"{path} row {number}: the id {row['id']!r} is neither text nor a whole number.")
    return identity


def _answer(row: Mapping[str, Any], identity: str, place: str) -> Generation | str:
    column = next((name for name in ("sql", "completion") if row.get(name) is not None), None)
    if column is None:
        if "sql" not in row and "completion" not in row:
            raise DataError(f"{place} has neither 'sql' nor 'completion'; give the answer in one of them.")
        return "" if "sql" in row else Generation(identity, "")
    text = row[column]
    if not isinstance(text, str):
        raise DataError(f"{place}: '{column}' is {type(text).__name__} where text belongs.")
    if column == "sql":
        return text
    return Generation(
        identity,
        text,
        prompt_tokens=_count(row.get("prompt_tokens"), place, "prompt_tokens"),
        output_tokens=_count(row.get("output_tokens"), place, "output_tokens"),
        finished=row.get("finished") is not False,
    )


def _count(value: Any, place: str, name: str) -> int:
    if value is None:
        return 0
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < 0:
        raise DataError(f"{place}: '{name}' is {value!r}, but a count of tokens is a whole number.")
    return int(value)


def as_generation(answer: Generation | str | None, identity: str) -> Generation:
    """The answer as a stored row shows it; a missing one is empty."""
    if isinstance(answer, Generation):
        return answer
    return Generation(identity, answer or "")


def limited(items: Iterable[Any], limit: int | None) -> list[Any]:
    """The first so many items, or all."""
    listed = list(items)
    return listed if limit is None else listed[:limit]
