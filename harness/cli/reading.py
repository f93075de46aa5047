"""`harness compare` and `harness report`: stored runs, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from harness import units
from harness.cli.output import console, emit, say
from harness.comparison import compare as compare_runs
from harness.errors import StoreError
from harness.records import Run
from harness.report import write_page
from harness.store import find_run, list_runs


def compare(names: Sequence[str], rule: str, *, anyway: bool) -> None:
    """Test runs against each other and print every pair."""
    comparison = compare_runs([find_run(name) for name in names], anyway=anyway, rule=rule)
    table = Table(title=f"paired by question, rule {rule}", title_justify="left")
    for column in ("b - a", "difference in points [95 %]", "p (McNemar, Holm)", "only a / only b", "unlike"):
        table.add_column(column)
    for pair in comparison.pairs:
        table.add_row(
            f"{pair.b_model} - {pair.a_model}",
            units.point_difference(pair.difference, pair.ci_low, pair.ci_high, pair.n),
            units.p_value(pair.p_holm),
            f"{pair.only_a} / {pair.only_b}",
            ", ".join(pair.unlike) or units.NONE,
        )
    console().print(table)
    emit(comparison.to_json())


def report(names: Sequence[str], out: Path | None) -> None:
    """Write the page over the runs named, or over all of them."""
    page = write_report(names, out)
    say(f"report: {page}")
    emit({"out": str(page)})


def write_report(names: Sequence[str], out: Path | None) -> Path:
    """The page's path; a StoreError where there is no run to show."""
    runs: list[Run] = [find_run(name) for name in names] if names else list_runs()
    if not runs:
        raise StoreError("There is no run to report; make one with `harness eval`, or name run folders.")
    return write_page(runs, out or Path("reports/page"))
