"""How a chart becomes part of the page: inline SVG by matplotlib in the page's own colours and fonts.

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

from harness.report.data import OUTCOME_GROUPS

INK, MUTED, GRID, PAPER = "#010203", "#010204", "#010205", "#010206"
SERIES = ("#020301", "#020302", "#020303", "#020304", "#020305", "#020306", "#020307", "#020308")
GROUPS = dict(zip(OUTCOME_GROUPS, ("#030401", "#030402", "#030403", "#030404", "#030405", "#030406"), strict=True))

_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line", PAPER: "paper"}
_VARIABLES |= {colour: f"series-{number}" for number, colour in enumerate(SERIES, 1)}
_VARIABLES |= {colour: f"group-{number}" for number, colour in enumerate(GROUPS.values(), 1)}

Box = tuple[float, float, float, float]
"""Left, lower, right and upper edge in points."""

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


class Drawn:
    """The SVG of a figure, known once its block has ended."""

    def __init__(self) -> None:
        self.svg = ""

    def text(self, title: str) -> str:
        """The SVG as an image with a spoken title."""
        return self.svg.replace("<svg ", f'<svg role="img" aria-label="{title}" class="chart" ', 1)


@contextmanager
def figure_of(name: str, width: float, height: float) -> Iterator[tuple[Figure, Drawn]]:
    """A figure of inches; when the block ends its SVG is there. No pyplot: no global state, no backend."""
    drawn = Drawn()
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


def name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the bars of a chart from the top down; by place, since two shortened names may be alike."""
    axes.set_yticks(range(len(labels)), [short(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="y", labelcolor=INK)


def name_points(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write each (name, x, y) beside its point where it covers no other name or point; left out where there is no room.

    A name left out is told by the table below the chart.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # the layout decides where the points lie
    size, scale = 8.5, 72 / axes.figure.dpi
    places = [scale * axes.transData.transform((x, y)) for _, x, y in points]
    edge = scale * axes.bbox.x1
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    for (name, x, y), (left, low) in zip(points, places, strict=True):
        width = 0.56 * size * len(name)
        for dx, dy in ((7, 2), (-7 - width, 2), (7, -10), (-7 - width, -10), (7, 13), (-7 - width, 13)):
            box = (left + dx, low + dy, left + dx + width, low + dy + size)
            if box[2] <= edge and box[0] >= scale * axes.bbox.x0 and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                axes.annotate(name, (x, y), textcoords="offset points", xytext=(dx, dy), fontsize=size, color=MUTED)
                break


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def short(label: str, longest: int = 30) -> str:
    """A name that leaves room for the drawing."""
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def colours() -> Sequence[str]:
    """Colours for as many series as a chart may have; they repeat after eight."""
    return SERIES * 8
