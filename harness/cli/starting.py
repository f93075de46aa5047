"""`harness init`."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from harness import units
from harness.cli.output import console, emit, say
from harness.init import Made, Request
from harness.init import init as make

_COLUMNS_SHOWN = 6


def init(request: Request) -> None:
    """Write a benchmark folder and say what it holds and what to do next."""
    made = make(request)
    _print(made)
    emit(
        {
            "name": made.name,
            "folder": str(made.folder),
            "experiment": str(made.experiment),
            "database": str(made.database),
            "tables": {table.name: table.rows for table in made.tables},
            "n": made.questions,
            "columns": {"question": made.question_column, "gold": made.gold_column},
            "dialect": made.dialect,
            "tags": list(made.tags),
        }
    )


def _print(made: Made) -> None:
    table = Table(title=Text(str(made.folder)), title_justify="left")
    for name in ("table", "rows", "columns"):
        table.add_column(name, justify="right" if name == "rows" else "left", overflow="fold")
    for found in made.tables:
        more = len(found.columns) - _COLUMNS_SHOWN
        shown = ", ".join(found.columns[:_COLUMNS_SHOWN]) + (f", and {more} more" if more > 0 else "")
        table.add_row(Text(found.name), units.count(found.rows), Text(shown))
    console().print(table)
    say(
        f"{units.plural(made.questions, 'question')} from the column '{made.question_column}', "
        f"golds from '{made.gold_column}', read as {made.dialect}"
    )
    say(f"next: harness audit {made.name}")
