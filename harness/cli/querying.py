"""`harness sql`: stored runs, asked in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from harness import units
from harness.cli.output import console, emit, say
from harness.query import TABLES, Answer, open_runs, stored_runs
from harness.query.tables import HOMES

_SHOWN = 50
_WIDEST = 80


def sql(query: str, homes: Sequence[str]) -> None:
    """Run one reading statement over the runs and print its rows; without one, list what there is to ask for."""
    if not query.strip():
        _list()
        return
    runs = stored_runs(homes or HOMES)
    with open_runs(runs) as tables:
        answer = tables.ask(query)
    _print(answer)
    say(f"{units.plural(len(answer.rows), 'row')}, over {units.plural(len(runs), 'run')}")
    emit(
        {
            "columns": list(answer.columns),
            "types": list(answer.types),
            "rows": [[plain(value) for value in row] for row in answer.rows],
            "n": len(answer.rows),
            "runs": len(runs),
        }
    )


def _list() -> None:
    for name, columns in TABLES.items():
        table = Table("column", "type", "meaning", title=name, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_row(column.name, Text(column.type), Text(column.meaning))
        console().print(table)
        say("")
    say('ask: harness sql "SELECT model, execution_accuracy FROM runs"')
    emit({"tables": {name: [column._asdict() for column in columns] for name, columns in TABLES.items()}})


def _print(answer: Answer) -> None:
    table = Table(*(Column(Text(name), overflow="fold") for name in answer.columns))
    for row in answer.rows[:_SHOWN]:
        table.add_row(*(Text(_cell(value)) for value in row))
    console().print(table)
    if len(answer.rows) > _SHOWN:
        say(f"the first {_SHOWN}; all of them are in the JSON document")


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers, text, true, false, null, lists and objects; everything else as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return str(value)
