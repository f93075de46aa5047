"""`harness compare` and `harness report`: stored runs, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.output import console, emit, say
from harness.comparison import compare as compare_runs
from harness.comparison import load_answers
from harness.comparison.curve import learning_curves
from harness.comparison.samples import sampling
from harness.errors import StoreError
from harness.report import report as write_page
from harness.report.leaderboard import write_leaderboard
from harness.report.terminal import comparison_table, curve_tables, sampling_table
from harness.store import find_run, list_runs

PAGE = Path("reports/page")
PUBLISHED = Path("reports/published")


def compare(names: Sequence[str], rule: str, *, anyway: bool) -> None:
    """Test runs against each other; print every pair, learning curves and what several samples bought."""
    answers = [load_answers(find_run(name)) for name in names]
    comparison = compare_runs(answers, anyway=anyway, rule=rule)
    console().print(comparison_table(comparison))
    curves = learning_curves(answers, rule, comparison.pairs)
    if curves:
        console().print(curve_tables(curves))
    sampled = [(run.run, found) for run in answers if (found := sampling(run))]
    if sampled:
        console().print(sampling_table([(run.model, found) for run, found in sampled]))
    further = {"curves": [curve.to_json() for curve in curves]}
    emit(comparison.to_json() | further | {"sampling": {run.id: found.to_json() for run, found in sampled}})


def report(names: Sequence[str], out: Path | None) -> None:
    """Write the page over the runs named, or over all of them, and the leaderboard over what is published."""
    page = write_report(names, out)
    say(f"report: {page}")
    board = write_leaderboard(PUBLISHED, PUBLISHED.parent / "README.md") if PUBLISHED.is_dir() else None
    emit({"out": str(page), "leaderboard": None if board is None else str(board)})


def write_report(names: Sequence[str], out: Path | None) -> Path:
    """The page's path; a StoreError where there is no run to show."""
    runs = [find_run(name) for name in names] if names else list_runs()
    if not runs:
        raise StoreError("There is no run to report; make one with `harness eval`, or name run folders.")
    return write_page(runs, out or PAGE)
