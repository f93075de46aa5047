"""The charts of a report's speed: accuracy against throughput, time by phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence

from harness import units
from harness.comparison import facts
from harness.report.data import ReportData
from harness.report.drawing import SERIES, colours, figure_of, name_points, name_rows, short
from harness.report.speed_tables import trainings


def frontier(data: ReportData) -> str:
    """Accuracy against output tokens a second, one colour for each machine; empty where nothing was timed."""
    timed = [(row, rate) for row in data.rows if row.headline and (rate := facts.output_rate(row.run))]
    if not timed:
        return ""
    machines = list(dict.fromkeys(facts.machine(row.run) or "unknown machine" for row, _ in timed))
    with figure_of("frontier", 6.0, 3.6) as (figure, drawn):
        axes = figure.add_subplot()
        for machine, colour in zip(machines, colours(), strict=False):
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
                label=short(machine, 45),
            )
        rates = [rate for _, rate in timed]
        if max(rates) > 8 * min(rates):
            axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: units.number(value))
        axes.margins(x=0.25, y=0.12)
        axes.set(xlabel="output tokens a second", ylabel="execution accuracy, %")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        named = [(short(row.label), rate, 100 * row.headline.share) for row, rate in timed if row.headline]
        name_points(axes, named)
    return drawn.text("Execution accuracy against output tokens a second")


def time_budget(data: ReportData) -> str:
    """Wall time of each evaluation by phase, one stacked bar a run; empty where no phase was timed."""
    lines = [(row.label, facts.phases(row.run)) for row in data.rows if facts.phases(row.run)]
    return _stacked("time", lines, "Wall time of each evaluation by phase, one bar a run")


def training_budget(data: ReportData) -> str:
    """Wall time of each training by phase, one stacked bar a training; empty where no phase was timed."""
    return _stacked("training", trainings(data), "Wall time of each training by phase, one bar a training")


def _stacked(name: str, lines: Sequence[tuple[str, Mapping[str, float]]], title: str) -> str:
    if not lines:
        return ""
    totals: Counter[str] = Counter()
    for _, spent in lines:
        totals.update(spent)
    # as many phases as there are colours, each wide enough to be seen; the rest is one block
    longest = max(sum(spent.values()) for _, spent in lines)
    seen = {phase for _, spent in lines for phase, seconds in spent.items() if seconds >= 0.01 * longest}
    largest = {phase for phase, _ in totals.most_common(len(SERIES) - 1)} & seen
    phases = sorted(largest, key=facts.phase_order)
    with figure_of(name, 6.0, 0.9 + 0.42 * len(lines)) as (figure, drawn):
        axes = figure.add_subplot()
        left = [0.0] * len(lines)
        for phase, colour in zip((*phases, "other"), SERIES, strict=False):
            widths = [_seconds(spent, phase, largest) for _, spent in lines]
            if any(widths):
                axes.barh(range(len(left)), widths, left=left, height=0.62, color=colour, label=phase.replace("_", " "))
                left = [x + width for x, width in zip(left, widths, strict=True)]
        name_rows(axes, [label for label, _ in lines])
        axes.xaxis.set_major_formatter(lambda value, _: units.number(value))
        axes.set(xlabel="wall seconds")
        columns = len(axes.containers) if len(axes.containers) <= 6 else 4
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=columns, handlelength=1, columnspacing=1.2)
    return drawn.text(title)


def _seconds(spent: Mapping[str, float], phase: str, largest: Container[str]) -> float:
    if phase == "other":
        return sum(seconds for name, seconds in spent.items() if name not in largest)
    return spent.get(phase, 0.0)
