"""The report as one HTML file that needs nothing else: styles, script, charts and items lie inside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness import units
from harness.comparison import facts
from harness.comparison.slices import SMALL
from harness.report import charts, speed_charts, speed_tables, tables
from harness.report.data import Board, ReportData, RunRow
from harness.report.items import item_payload
from harness.report.tables import Cell

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("store.js", "diff.js", "tables.js", "inserts.js", "item.js", "browser.js", "start.js")
"""In the order they are put into the one script of the page."""


def page(data: ReportData) -> str:
    """The whole page; everything that is not our own markup is escaped."""
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    payload = item_payload(data)
    boards = [_board(board, number) for number, board in enumerate(data.boards)]
    return environment.get_template("page.html.jinja").render(
        title=data.title,
        lead=_lead(data),
        sections=_sections(data),
        boards=boards,
        has_pairs=any(board["matrix"] or board["unlike"] for board in boards),
        curves=data.curves,
        charts={
            "curve": Markup(charts.learning_curve(data)),
            "frontier": Markup(speed_charts.frontier(data)),
            "time": Markup(speed_charts.time_budget(data)),
            "training": Markup(speed_charts.training_budget(data)),
        },
        small=SMALL,
        samples=tables.samples(data),
        hardware=speed_tables.hardware(data),
        machines=speed_tables.machines(data),
        time_budget=speed_tables.time_budget(data),
        training_budget=speed_tables.training_budget(data),
        ceilings=speed_tables.ceilings(data),
        latency=speed_tables.latency(data),
        runs=[{"label": row.label, "id": row.run.id, "facts": _made(row)} for row in data.rows],
        payload_meta=Markup(payload.meta),
        payload_index=Markup(payload.index),
        payload_blocks=[Markup(block) for block in payload.blocks],
        css=Markup((ASSETS / "page.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)),
    )


def _board(board: Board, number: int) -> dict[str, Any]:
    return {
        "name": board.name,
        "labels": [row.label for row in board.rows],
        "headline": tables.headline(board),
        "outcomes": tables.outcomes(board),
        "outcome_chart": Markup(charts.outcomes(board, str(number))),
        "slices": [(name.replace("_", " "), tables.slices(board, name)) for name in board.slices],
        "rules": tables.rules(board),
        "rule_chart": Markup(charts.rules(board, str(number))),
        "matrix": _matrix(board) if board.comparisons else [],
        "pairs": tables.pairs(board),
        "clustered": any(pair.p_clustered is not None for made in board.comparisons for pair in made.pairs),
        "unlike": board.unlike,
    }


def _matrix(board: Board) -> list[list[Cell]]:
    return [[_difference(board, row, column) for column in board.rows] for row in board.rows]


def _difference(board: Board, row: RunRow, column: RunRow) -> Cell:
    """Accuracy of `row` minus accuracy of `column`, leading to the items that flipped between them."""
    if row is column:
        return Cell("·", kind="number")
    pair, sign = board.pair(column.run.id, row.run.id), 1
    if pair is None:
        pair, sign = board.pair(row.run.id, column.run.id), -1
    if pair is None:
        return Cell(units.NONE, kind="number")
    difference = sign * pair.difference
    kind = "number" if not pair.distinguishable else "number good" if difference > 0 else "number bad"
    return Cell(units.points(difference), tables.link(row.index, versus=str(column.index), flip="any"), kind)


def _lead(data: ReportData) -> str:
    runs = units.plural(len(data.rows), "run")
    parts = [f"{board.name}: {units.plural(max(row.n for row in board.rows), 'question')}" for board in data.boards]
    machines = dict.fromkeys(facts.machine(row.run) for row in data.rows if facts.machine(row.run))
    where = f" Answered on {' and '.join(machines)}." if machines else ""
    return (
        f"{runs} on {'; '.join(parts)}. Generated and gold SQL are both executed in DuckDB and their results compared."
        + where
    )


def _sections(data: ReportData) -> list[tuple[str, str]]:
    names = [("results", "Results"), ("curve", "Learning curve"), ("outcomes", "Outcomes"), ("slices", "Slices")]
    names += [
        ("rules", "Rules"),
        ("compare", "Compare"),
        ("speed", "Speed"),
        ("items", "Items"),
        ("provenance", "Provenance"),
    ]
    paired = any(board.comparisons or board.unlike for board in data.boards)
    absent = {"curve": not data.curves, "compare": not paired}
    return [(id_, name) for id_, name in names if not absent.get(id_)]


def _made(row: RunRow) -> list[tuple[str, str]]:
    """What a reader needs to make the run again, flat and in a fixed order; unknown facts are left out."""
    run = row.run
    plain = ("name", "command", "commit")
    found = [(name, str(run.facts[name])) for name in plain if run.facts.get(name)]
    for name in ("benchmark", "digests", "decoding", "generator", "score", "rejudged", "training", "machine"):
        found += _flat(name, facts.section(run, name))
    return found


def _flat(prefix: str, section: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key in sorted(section):
        value = section[key]
        if isinstance(value, Mapping):
            found += _flat(f"{prefix} {key}", value)
        elif value not in (None, "", [], ()):
            text = ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
            found.append((f"{prefix} {key}".replace("_", " "), text if len(text) <= 400 else text[:400] + " …"))
    return found
