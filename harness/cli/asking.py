"""`harness ask` and `harness merge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Column, Table
from rich.text import Text

from harness import benchmark as benchmarks
from harness.benchmark.rows import script_key
from harness.benchmark.spider import file_key, schema_text
from harness.cli.output import console, emit, say
from harness.config import load_experiment
from harness.dialect import file_kind
from harness.errors import ConfigError, DataError
from harness.evaluate.answering import ensure_merged, open_generator
from harness.evaluate.asked import Rows, rows_of
from harness.evaluate.cards import card_of_merged
from harness.evaluate.judging import score_settings
from harness.evaluate.settings import decoding_settings
from harness.evaluate.subjects import MERGED, subjects
from harness.generate.base import Request
from harness.prompt import messages
from harness.records import Database, Item
from harness.sqltext import extract

_BASES = ("nf4-dequantised", "original")
_SHOWN = 20


def ask(question: str, schema: Path, path: Path, model: str, overrides: Sequence[str]) -> None:
    """Ask one question of a model, run its SQL, print SQL and rows."""
    experiment = load_experiment(path, [*overrides, f"eval.models={model}"])
    item = _item(question, schema)
    (subject, *_) = subjects(experiment)
    if subject.name == MERGED:
        ensure_merged(experiment, subject)
    generator = open_generator(experiment, subject)
    request = Request(item.id, tuple(messages(item, experiment.prompt)))
    generation = next(iter(generator.generate([request], decoding_settings(experiment))))
    sql = extract(generation.completion, generation.finished).sql
    benchmark = benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings)
    found = rows_of(sql, item.database, score_settings(experiment.score, benchmark)) if sql else Rows((), (), "No SQL.")
    say(sql or generation.completion)
    _print(found)
    emit(
        {
            "sql": sql,
            "columns": list(found.columns),
            "rows": [list(row) for row in found.rows],
            "error": found.error,
            "model": subject.name,
            "completion": generation.completion,
        }
    )


def _item(question: str, schema: Path) -> Item:
    if not question.strip():
        raise ConfigError("The question is empty; ask something.")
    if file_kind(schema) is not None and schema.stat().st_size > 0:
        key = file_key(str(schema))
        return Item("ask", question, schema_text(str(schema), 0), ("",), Database(key, path=str(schema.resolve())))
    if not schema.is_file() and not schema.suffix:
        return _of_benchmark(question, str(schema))
    try:
        script = schema.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The schema {schema} cannot be read ({error}); name a file with CREATE TABLE text.") from None
    return Item("ask", question, script, ("",), Database(script_key(script), script=script))


def _of_benchmark(question: str, name: str) -> Item:
    """A question on the one database that all questions of a benchmark are about."""
    items = benchmarks.load(name).items("all")
    if len({item.database for item in items}) > 1:
        raise DataError(f"The questions of {name} are about several databases; name the file of one with --schema.")
    return Item("ask", question, items[0].context, ("",), items[0].database)


def _print(found: Rows) -> None:
    if found.error:
        say(found.error)
        return
    # Text, not str: what a database holds may read like rich's markup
    table = Table(*(Column(Text(str(column))) for column in found.columns))
    for row in found.rows[:_SHOWN]:
        table.add_row(*(Text("NULL" if value is None else str(value)) for value in row))
    console().print(table)


def merge(adapter: Path, out: Path, base: str) -> None:
    """Write an adapter merged into its base."""
    if base not in _BASES:
        raise ConfigError(f"--base is {base!r}; choose {' or '.join(_BASES)}.")
    # deferred: torch and its companions take seconds to import
    from harness.model.adapter import merge as merge_adapter

    merged = merge_adapter(adapter, out, base)  # type: ignore[arg-type]
    card_of_merged(merged.out)
    say(f"{adapter} merged into the {base} base: {merged.out}")
    emit({"out": str(merged.out), "base_precision": merged.base_precision})
