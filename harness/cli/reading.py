"""`harness compare` and `harness report`: stored runs, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.output import console, emit, say
from harness.comparison import compare as compare_runs
from harness.errors import StoreError
from harness.report import report as write_page
from harness.report.leaderboard import write_leaderboard
from harness.report.terminal import comparison_table
from harness.store import find_run, list_runs

PAGE = Path("reports/page")
PUBLISHED = Path("reports/published")


def compare(names: Sequence[str], rule: str, *, anyway: bool) -> None:
    """Test runs against each other and print every pair."""
    comparison = compare_runs([find_run(name) for name in names], anyway=anyway, rule=rule)
    console().print(comparison_table(comparison))
    emit(comparison.to_json())


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
