"""The comment of sample rows that a prompt shows below a table's CREATE statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

_LONGEST = 40
"""Characters of a value that are shown."""


def sample_comment(
    table: str, columns: Iterable[str], rows: Sequence[Sequence[Any]], text: Callable[[Any], str] = str
) -> str:
    """A comment of the table's columns and some of its rows, a line each; `text` writes a value that is not NULL.

    Nothing that a cell or a name holds ends the comment or begins another line.
    """
    lines = [f"{len(rows)} rows of {table}:" if rows else f"{table} has no rows.", "\t".join(columns)]
    lines += ["\t".join("NULL" if value is None else _shortened(text(value)) for value in row) for row in rows]
    return "/*\n" + "\n".join(line.replace("*/", "* /").replace("\n", " ") for line in lines) + "\n*/"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
