"""The charts of a report's answers: learning curve, outcomes, rules."""

from __future__ import annotations

from harness.report.data import OUTCOME_GROUPS, Board, ReportData
from harness.report.drawing import GROUPS, INK, SERIES, colours, figure_of, name_rows, short
from harness.report.tables import RULE_NAMES, rule_effect, rule_judgements


def learning_curve(data: ReportData) -> str:
    """Execution accuracy over steps, with intervals, one line a training; empty where there is no curve."""
    if not data.curves:
        return ""
    with figure_of("curve", 6.0, 3.4) as (figure, drawn):
        axes = figure.add_subplot()
        for curve, colour in zip(data.curves, colours(), strict=False):
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
                steps, shares, color=colour, marker="o", markersize=4.5, linewidth=1.8, label=short(curve.training)
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


def outcomes(board: Board, name: str) -> str:
    """What became of the items, as one stacked bar a run."""
    with figure_of(f"outcomes-{name}", 6.0, 0.9 + 0.42 * len(board.rows)) as (figure, drawn):
        axes = figure.add_subplot()
        left = [0.0] * len(board.rows)
        for group, members in OUTCOME_GROUPS.items():
            widths = [100 * sum(row.outcomes.get(m, 0) for m in members) / max(1, row.n) for row in board.rows]
            if any(widths):
                axes.barh(range(len(left)), widths, left=left, height=0.62, color=GROUPS[group], label=group)
                left = [x + width for x, width in zip(left, widths, strict=True)]
        name_rows(axes, [row.label for row in board.rows])
        axes.set(xlim=(0, 100), xlabel="% of items")
        names = len(axes.containers)
        columns = names if names <= 4 else 3
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=columns, handlelength=1, columnspacing=1.2)
    return drawn.text("Share of items by kind of outcome, one bar a run")


def rules(board: Board, name: str) -> str:
    """How far each execution rule lies from the default one, one line of marks a run; empty with one rule."""
    others = [rule for rule in rule_judgements(board.rows) if rule != "default"]
    rows = [row for row in board.rows if row.headline]
    if not (others and rows):
        return ""
    with figure_of(f"rules-{name}", 6.0, 1.0 + 0.42 * len(rows)) as (figure, drawn):
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
        name_rows(axes, [row.label for row in rows])
        axes.margins(x=0.08)
        # rules that agree stand in the middle of a point, not of a thousandth
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.5), max(high, 0.5))
        axes.set(xlabel="points above or below the default rule")
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=5, handletextpad=0.2, columnspacing=1.0)
    return drawn.text("Difference of each comparison rule to the default one, one line a run")
