"""A report in small: `summary.md` for a pull request and `summary.json` for programs."""

from __future__ import annotations

import json
from typing import Any

from harness.report import speed_tables, tables
from harness.report.data import Board, ReportData, run_json
from harness.report.tables import Table

FORMAT = 1
"""Version of summary.json."""


def summary_json(data: ReportData) -> str:
    """Every number of the report as JSON text, keys sorted, without dates."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "title": data.title,
        "runs": [run_json(row, board) for board in data.boards for row in board.rows],
        "comparisons": [
            {"benchmark": board.name} | comparison.to_json()
            for board in data.boards
            for comparison in board.comparisons
        ],
        "unlike": {board.name: list(board.unlike) for board in data.boards if board.unlike},
        "curves": [curve.to_json() for curve in data.curves],
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def summary_markdown(data: ReportData) -> str:
    """The report in one screen of GitHub Markdown."""
    parts = [f"## {escaped(data.title)}"]
    for board in data.boards:
        parts += _board(board, len(data.boards) > 1)
    for curve in data.curves:
        parts.append(escaped(" ".join(text for text in (curve.hint, curve.caveat) if text)))
    sampled = tables.samples(data)
    if sampled.rows:
        parts.append(markdown(sampled))
    parts.append(_folded("Speed by machine", speed_tables.hardware(data)))
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown(table: Table) -> str:
    """A table in GitHub Markdown, numbers to the right; empty where it has no rows."""
    if not table.rows:
        return ""
    right = [all(_is_number(row[place].kind) for row in table.rows) for place in range(len(table.columns))]
    lines = [_line(table.columns), _line("---:" if number else "---" for number in right)]
    lines += [_line(cell.text for cell in row) for row in table.rows]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text that cannot become markup of a table, a tag or a code span."""
    for char, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "\\`"), ("\n", " ")):
        text = text.replace(char, safe)
    return text


def _board(board: Board, named: bool) -> list[str]:
    headline = tables.headline(board)
    parts = [f"### {escaped(board.name)}"] if named else []
    parts += [markdown(headline), escaped(headline.note)]
    if board.unlike:
        parts.append(f"Not all of these runs were made alike: {escaped('; '.join(board.unlike))}.")
    parts += [_folded("Outcomes", tables.outcomes(board)), _folded("Rules", tables.rules(board))]
    parts.append(_folded("Paired comparisons", tables.pairs(board)))
    return parts


def _folded(title: str, table: Table) -> str:
    return f"<details><summary>{title}</summary>\n\n{markdown(table)}\n\n</details>" if table.rows else ""


def _line(cells: Any) -> str:
    return f"| {' | '.join(escaped(str(cell)) if cell not in ('---', '---:') else cell for cell in cells)} |"


def _is_number(kind: str) -> bool:
    return "number" in kind.split()
