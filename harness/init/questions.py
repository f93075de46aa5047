"""The file of questions and golds -> the rows of the new benchmark, each with an id; every fault named by its row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.benchmark import id_text, read_rows
from harness.errors import DataError

QUESTION_NAMES = ("question", "sql_prompt", "prompt", "nl_question", "utterance", "text")
"""Columns taken for the question where none is named, the first that is there."""
GOLD_NAMES = ("gold", "gold_sql", "query", "sql", "sql_query", "answer")
"""Columns taken for the gold statement where none is named."""
WRITTEN = ("id", "db_id", "question", "query")
"""Columns of the written file; what else the rows have stands behind them."""
_SLICES = 20
"""A column of more different values tells no groups apart."""
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class Questions:
    """What was read."""

    rows: tuple[Mapping[str, str], ...]
    question_column: str
    gold_column: str
    tags: tuple[str, ...]
    """Further columns of few values, by which results can be sliced."""


def read_questions(path: Path, database: str, question: str = "", gold: str = "") -> Questions:
    """Read a .csv, .jsonl or .parquet file; a DataError names what is missing and what to do."""
    numbered = list(read_rows(path))
    if not numbered:
        raise DataError(f"{path} holds no question; give it a line a question, with its gold statement.")
    there = tuple(str(name) for name in numbered[0][1])
    question = _column(question, QUESTION_NAMES, there, path, "question")
    gold = _column(gold, tuple(name for name in GOLD_NAMES if name != question), there, path, "gold")
    taken = {question, gold, "id", "db_id"}
    others = [name for name in there if name not in taken and name not in WRITTEN]
    rows = []
    seen: dict[str, int] = {}
    for number, row in numbered:
        place = f"{path} question {number + 1}"
        identity = str(number + 1) if row.get("id") in (None, "") else id_text(row["id"])
        if identity is None:
            raise DataError(f"{place}: the id {row['id']!r} is neither text nor a whole number.")
        if identity in seen:
            raise DataError(f"{place}: the id '{identity}' is that of question {seen[identity]} too; make ids unique.")
        seen[identity] = number + 1
        texts = {"question": _text(row, question, place), "query": _text(row, gold, place)}
        rest = {name: _plain(row.get(name)) for name in others}
        rows.append({"id": identity, "db_id": database, **texts, **rest})
    return Questions(tuple(rows), question, gold, tuple(name for name in others if _slices(rows, name)))


def _column(named: str, usual: Sequence[str], there: Sequence[str], path: Path, what: str) -> str:
    if named:
        if named in there:
            return named
        raise DataError(f"{path} has no column '{named}' for the {what}; its columns are {', '.join(there)}.")
    found = next((name for name in usual if name in there), "")
    if found:
        return found
    separator = next((sign for sign in _SEPARATORS if len(there) == 1 and sign in there[0]), "")
    if separator:
        raise DataError(f"{path} is separated by {_SEPARATORS[separator]}; save it as CSV with commas.")
    raise DataError(
        f"{path} has no {what} column: its columns are {', '.join(there)}; name the one that holds it with "
        f"--{what} COLUMN, or call it '{usual[0]}'."
    )


def _text(row: Mapping[str, Any], column: str, place: str) -> str:
    value = row.get(column)
    if isinstance(value, (list, tuple)):
        raise DataError(f"{place}: '{column}' is a list; write several golds as a JSON list in text.")
    if value is None or not str(value).strip():
        raise DataError(f"{place} has nothing in '{column}'; fill it in or take the row out.")
    return str(value)


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def _slices(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    values = {row[name] for row in rows}
    return 1 < len(values) <= min(_SLICES, len(rows) // 2)


def csv_text(rows: Iterable[Mapping[str, str]]) -> str:
    """The rows as CSV with a header."""
    listed = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue()
