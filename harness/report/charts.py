"""The charts of a report as inline SVG, drawn by matplotlib.

Colours are placeholders that become the page's CSS variables, so a chart follows light and dark; text stays text;
element ids are salted by the chart's name and no date is written, so equal inputs give equal bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import units
from harness.comparison import facts
from harness.report.data import OUTCOME_GROUPS, Board, ReportData
from harness.report.tables import RULE_NAMES, rule_effect, rule_judgements

INK, MUTED, GRID, PAPER = "#010203", "#010204", "#010205", "#010206"
SERIES = ("#020301", "#020302", "#020303", "#020304", "#020305", "#020306", "#020307", "#020308")
GROUPS = dict(zip(OUTCOME_GROUPS, ("#030401", "#030402", "#030403", "#030404", "#030405", "#030406"), strict=True))

_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line", PAPER: "paper"}
_VARIABLES |= {colour: f"series-{number}" for number, colour in enumerate(SERIES, 1)}
_VARIABLES |= {colour: f"group-{number}" for number, colour in enumerate(GROUPS.values(), 1)}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "text.color": INK,
    "text.parse_math": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def learning_curve(data: ReportData) -> str:
    """Execution accuracy over steps, with intervals, one line a training; empty where there is no curve."""
    if not data.curves:
        return ""
    with _figure("curve", 6.8, 3.4) as (figure, drawn):
        axes = figure.add_subplot()
        for curve, colour in zip(data.curves, _cycle(), strict=False):
            steps = [point.step for point in curve.points]
            shares = [100 * point.score.share for point in curve.points]
            axes.fill_between(
                steps,
                [100 * point.score.low for point in curve.points],
                [100 * point.score.high for point in curve.points],
                color=colour,
                alpha=0.14,
                linewidth=0,
            )
            axes.plot(
                steps, shares, color=colour, marker="o", markersize=4.5, linewidth=1.8, label=_short(curve.training)
            )
            best = curve.best
            axes.annotate(
                f"{100 * best.score.share:.1f} %",
                (best.step, 100 * best.score.share),
                textcoords="offset points",
                xytext=(0, 9),
                ha="center",
                color=colour,
                weight="bold",
            )
        if len(data.curves) > 1:
            axes.legend(loc="lower right")
        axes.margins(y=0.15)
        axes.set(xlabel="optimiser steps (0 is the base)", ylabel="execution accuracy, %")
    return drawn.text("Execution accuracy over training steps, with 95 % intervals")


def frontier(data: ReportData) -> str:
    """Accuracy against output tokens a second, one colour for each machine; empty where nothing was timed."""
    timed = [(row, rate) for row in data.rows if row.headline and (rate := facts.output_rate(row.run))]
    if not timed:
        return ""
    machines = list(dict.fromkeys(facts.machine(row.run) or "unknown machine" for row, _ in timed))
    with _figure("frontier", 6.8, 3.6) as (figure, drawn):
        axes = figure.add_subplot()
        for machine, colour in zip(machines, _cycle(), strict=False):
            members = [(row, rate) for row, rate in timed if (facts.machine(row.run) or "unknown machine") == machine]
            shares = [100 * row.headline.share for row, _ in members if row.headline]
            below = [100 * (row.headline.share - row.headline.low) for row, _ in members if row.headline]
            above = [100 * (row.headline.high - row.headline.share) for row, _ in members if row.headline]
            axes.errorbar(
                [rate for _, rate in members],
                shares,
                yerr=[below, above],
                fmt="o",
                markersize=5,
                elinewidth=1.2,
                color=colour,
                label=_short(machine, 45),
            )
            for (row, rate), share in zip(members, shares, strict=True):
                axes.annotate(
                    _short(row.label),
                    (rate, share),
                    textcoords="offset points",
                    xytext=(7, 3),
                    fontsize=8.5,
                    color=MUTED,
                )
        rates = [rate for _, rate in timed]
        if max(rates) > 8 * min(rates):
            axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: units.number(value))
        axes.margins(x=0.25, y=0.12)
        axes.set(xlabel="output tokens a second", ylabel="execution accuracy, %")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return drawn.text("Execution accuracy against output tokens a second")


def outcomes(board: Board, name: str) -> str:
    """What became of the items, as one stacked bar a run."""
    with _figure(f"outcomes-{name}", 6.8, 0.9 + 0.42 * len(board.rows)) as (figure, drawn):
        axes = figure.add_subplot()
        left = [0.0] * len(board.rows)
        for group, members in OUTCOME_GROUPS.items():
            widths = [100 * sum(row.outcomes.get(m, 0) for m in members) / max(1, row.n) for row in board.rows]
            if any(widths):
                axes.barh(range(len(left)), widths, left=left, height=0.62, color=GROUPS[group], label=group)
                left = [x + width for x, width in zip(left, widths, strict=True)]
        _name_rows(axes, [row.label for row in board.rows])
        axes.set(xlim=(0, 100), xlabel="% of items")
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=6, handlelength=1, columnspacing=1.2)
    return drawn.text("Share of items by kind of outcome, one bar a run")


def rules(board: Board, name: str) -> str:
    """How far each execution rule lies from the default one, one line of marks a run; empty with one rule."""
    others = [rule for rule in rule_judgements(board.rows) if rule != "default"]
    rows = [row for row in board.rows if row.headline]
    if not (others and rows):
        return ""
    with _figure(f"rules-{name}", 6.8, 1.0 + 0.42 * len(rows)) as (figure, drawn):
        axes = figure.add_subplot()
        axes.axvline(0, color=INK, linewidth=1)
        marks = ("v", "^", "s", "D", "P")
        for number, (rule, colour, mark) in enumerate(zip(others, SERIES, marks, strict=False)):
            # rules that agree would hide one another: each keeps its own height within the run's line
            shift = 0.28 * (2 * number / max(1, len(others) - 1) - 1)
            known = [(rule_effect(row, rule), place + shift) for place, row in enumerate(rows)]
            axes.plot(
                [100 * effect for effect, _ in known if effect is not None],
                [place for effect, place in known if effect is not None],
                linestyle="none",
                marker=mark,
                markersize=6,
                markeredgewidth=0,
                color=colour,
                label=RULE_NAMES[rule],
            )
        _name_rows(axes, [row.label for row in rows])
        axes.margins(x=0.08)
        axes.set(xlabel="points above or below the default rule")
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=6, handletextpad=0.2, columnspacing=1.0)
    return drawn.text("Difference of each comparison rule to the default one, one line a run")


def time_budget(data: ReportData) -> str:
    """Wall time by phase, one stacked bar a run; empty where no phase was timed."""
    rows = [row for row in data.rows if facts.phases(row.run)]
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in facts.phases(row.run)))
    with _figure("time", 6.8, 0.9 + 0.42 * len(rows)) as (figure, drawn):
        axes = figure.add_subplot()
        left = [0.0] * len(rows)
        for name, colour in zip(names, _cycle(), strict=False):
            spent = [facts.phases(row.run).get(name, 0.0) for row in rows]
            label = name.replace("_", " ")
            axes.barh(range(len(rows)), spent, left=left, height=0.62, color=colour, label=label)
            left = [x + seconds for x, seconds in zip(left, spent, strict=True)]
        _name_rows(axes, [row.label for row in rows])
        axes.xaxis.set_major_formatter(lambda value, _: units.number(value))
        axes.set(xlabel="wall seconds")
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=6, handlelength=1, columnspacing=1.2)
    return drawn.text("Wall time by phase, one bar a run")


class _Drawn:
    """The SVG of a figure, known once its block has ended."""

    def __init__(self) -> None:
        self.svg = ""

    def text(self, title: str) -> str:
        """The SVG as an image with a spoken title."""
        return self.svg.replace("<svg ", f'<svg role="img" aria-label="{title}" class="chart" ', 1)


@contextmanager
def _figure(name: str, width: float, height: float) -> Iterator[tuple[Figure, _Drawn]]:
    """A figure of inches; when the block ends its SVG is there. No pyplot: no global state, no backend."""
    drawn = _Drawn()
    style: Any = _STYLE | {"svg.hashsalt": name}
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, drawn
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        drawn.svg = _inline(buffer.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    """Strip what only a file of its own needs, and give the colours and ids to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(
        r' id="(?:figure|axes|text|patch|line2d|matplotlib|xtick|ytick|legend|[A-Za-z]*[Cc]ollection)[^"]*"', "", svg
    )
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the bars of a chart from the top down; by place, since two shortened names may be alike."""
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="y", labelcolor=INK)


def _short(label: str, longest: int = 30) -> str:
    """A name that leaves room for the drawing."""
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def _cycle() -> Sequence[str]:
    return SERIES * 8
