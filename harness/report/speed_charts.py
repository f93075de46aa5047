"""The charts of a report's speed: accuracy against throughput, time by phase."""

from __future__ import annotations

from harness import units
from harness.comparison import facts
from harness.report.data import ReportData
from harness.report.drawing import MUTED, colours, figure_of, name_rows, short


def frontier(data: ReportData) -> str:
    """Accuracy against output tokens a second, one colour for each machine; empty where nothing was timed."""
    timed = [(row, rate) for row in data.rows if row.headline and (rate := facts.output_rate(row.run))]
    if not timed:
        return ""
    machines = list(dict.fromkeys(facts.machine(row.run) or "unknown machine" for row, _ in timed))
    with figure_of("frontier", 6.8, 3.6) as (figure, drawn):
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
            for (row, rate), share in zip(members, shares, strict=True):
                axes.annotate(
                    short(row.label),
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


def time_budget(data: ReportData) -> str:
    """Wall time by phase, one stacked bar a run; empty where no phase was timed."""
    rows = [row for row in data.rows if facts.phases(row.run)]
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in facts.phases(row.run)))
    with figure_of("time", 6.8, 0.9 + 0.42 * len(rows)) as (figure, drawn):
        axes = figure.add_subplot()
        left = [0.0] * len(rows)
        for name, colour in zip(names, colours(), strict=False):
            spent = [facts.phases(row.run).get(name, 0.0) for row in rows]
            label = name.replace("_", " ")
            axes.barh(range(len(rows)), spent, left=left, height=0.62, color=colour, label=label)
            left = [x + seconds for x, seconds in zip(left, spent, strict=True)]
        name_rows(axes, [row.label for row in rows])
        axes.xaxis.set_major_formatter(lambda value, _: units.number(value))
        axes.set(xlabel="wall seconds")
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=6, handlelength=1, columnspacing=1.2)
    return drawn.text("Wall time by phase, one bar a run")
