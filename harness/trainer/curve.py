"""The training curve of a card: loss by step, and the accuracy of what was evaluated on the way."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from harness.trainer.measured import Measurement
from harness.units import share

CURVE = "training_curve.png"
_ROWS = 12
"""Rows of the table beside those of evaluated steps."""


def curve_table(losses: Sequence[Mapping[str, float]], measured: Sequence[Measurement]) -> list[str]:
    """Markdown rows of step, epoch, loss and execution accuracy; about a dozen, those of evaluated steps always."""
    by_step = {int(entry["step"]): entry for entry in losses}
    accuracy = {entry.step: entry for entry in measured if entry.step is not None}
    steps = sorted(by_step)
    shown = set(accuracy) | {steps[round(at * (len(steps) - 1) / (_ROWS - 1))] for at in range(_ROWS) if steps}
    if not shown:
        return []
    rows = ["| step | epoch | training loss | execution accuracy |", "|---|---|---|---|"]
    for step in sorted(shown):
        entry, found = by_step.get(step, {}), accuracy.get(step)
        epoch = f"{entry['epoch']:.2f}" if "epoch" in entry else ""
        loss = f"{entry['loss']:.4f}" if "loss" in entry else ""
        rows.append(f"| {step:,} | {epoch} | {loss} | {'' if found is None else accuracy_text(found)} |")
    return rows


def accuracy_text(entry: Measurement) -> str:
    """Execution accuracy with its 95 % interval and the number of questions."""
    return share(entry.execution_accuracy, entry.ci_low, entry.ci_high, entry.scored)


def curve_image(losses: Sequence[Mapping[str, float]], measured: Sequence[Measurement]) -> bytes | None:
    """A PNG of loss (left) and execution accuracy with its interval (right) by step; None for fewer than two losses."""
    if len(losses) < 2:
        return None
    # deferred: matplotlib takes a second to import, and nothing else here needs it
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = [entry for entry in measured if entry.execution_accuracy is not None and entry.step is not None]
    figure = Figure(figsize=(7.2, 3.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left = figure.add_subplot(1, 2 if points else 1, 1)
    left.plot([entry["step"] for entry in losses], [entry["loss"] for entry in losses], color="#2b6cb0")
    left.set(xlabel="optimizer step", ylabel="training loss")
    if points:
        right = figure.add_subplot(1, 2, 2)
        middle = [100 * (entry.execution_accuracy or 0.0) for entry in points]
        below = [100 * ((entry.execution_accuracy or 0.0) - (entry.ci_low or 0.0)) for entry in points]
        above = [100 * ((entry.ci_high or 0.0) - (entry.execution_accuracy or 0.0)) for entry in points]
        steps = [entry.step or 0 for entry in points]
        right.errorbar(steps, middle, yerr=[below, above], fmt="o-", color="#c05621", capsize=3)
        right.set(xlabel="optimizer step", ylabel="execution accuracy, % (95 %)")
        right.set_ylim(bottom=0)
    blob = io.BytesIO()
    figure.savefig(blob, format="png", metadata={"Software": None})
    return blob.getvalue()
