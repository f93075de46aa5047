"""Tables for people at a terminal; colours come from rich, which honours NO_COLOR and plain pipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from harness import stats, units
from harness.comparison import facts
from harness.comparison.loaded import Answers, load_answers
from harness.comparison.pairs import Comparison
from harness.records import Outcome, Run
from harness.report.data import run_row

_TOP = 3


def result_table(rows: Sequence[Mapping[str, Any]], title: str = "") -> RichTable:
    """The result of `harness eval`: one line a run.

    Each mapping has `model`, `n`, `scored`, `execution_accuracy`, `exact_match`, `output_tokens_per_second` as in the
    command's JSON, and may have `ci_low`, `ci_high`, `suite_accuracy` and `outcomes` (name -> count).
    """
    table = _table(title)
    table.add_column("model", overflow="fold")
    suites = any(row.get("suite_accuracy") is not None for row in rows)
    heads = ["n", "exact match", "execution accuracy", "95 %", *(["suite"] if suites else []), "output"]
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("most frequent faults", overflow="fold", style="dim")
    for row in rows:
        accuracy, scored = row.get("execution_accuracy"), int(row.get("scored") or 0)
        low, high = _bounds(row)
        cells: list[Text | str] = [
            Text(str(row.get("model", ""))),
            units.count(scored),
            units.percent(row.get("exact_match")),
            Text(units.percent(accuracy), style="bold"),
            Text(units.interval(low, high)),
        ]
        cells += [units.percent(row.get("suite_accuracy"))] if suites else []
        table.add_row(*cells, units.rate(row.get("output_tokens_per_second")), _faults(row.get("outcomes") or {}))
    return table


def comparison_table(comparison: Comparison) -> Group:
    """The result of `harness compare`: one line a pair, with a sentence below for what it means."""
    table = _table("")
    for name in ("first", "second"):
        table.add_column(name, overflow="fold")
    for name in ("n", "difference", "95 %", "p", "p, Holm", "only first", "only second", "could have shown"):
        table.add_column(name, justify="right", no_wrap=True)
    notes: list[Text] = []
    for pair in comparison.pairs:
        style = "bold" if pair.distinguishable else ""
        table.add_row(
            Text(pair.a_model),
            Text(pair.b_model),
            units.count(pair.n),
            Text(units.points(pair.difference), style=style),
            Text(f"[{units.points(pair.ci_low)}, {units.points(pair.ci_high)}]"),
            units.p_value(pair.p_value),
            units.p_value(pair.p_holm),
            units.count(pair.only_a),
            units.count(pair.only_b),
            units.points(pair.minimum_detectable, sign=False),
        )
        if pair.unlike:
            notes.append(Text(f"Unlike: {'; '.join(pair.unlike)}.", style="yellow"))
    notes.append(Text("difference: second minus first, points; bold where the tests tell it from none", style="dim"))
    return Group(table, *notes)


def show(runs: Sequence[Run | Answers | Path | str], console: Console) -> None:
    """Print the result table of stored runs."""
    console.print(result_table([_result(run if isinstance(run, Answers) else load_answers(run)) for run in runs]))


def _result(answers: Answers) -> dict[str, Any]:
    row = run_row(0, answers, answers.run.model, {})
    head, exact, suite = (row.scores.get(rule) for rule in ("default", "exact", "suite"))
    return {
        "model": row.label,
        "n": row.n,
        "scored": row.n - row.unscorable,
        "execution_accuracy": head.share if head else None,
        "exact_match": exact.share if exact else None,
        "suite_accuracy": suite.share if suite else None,
        "output_tokens_per_second": facts.output_rate(answers.run),
        "outcomes": row.outcomes,
    }


def _table(title: str) -> RichTable:
    return RichTable(
        title=title or None, box=None, pad_edge=False, header_style="dim", title_justify="left", padding=(0, 2, 0, 0)
    )


def _bounds(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    if row.get("ci_low") is not None:
        return row.get("ci_low"), row.get("ci_high")
    accuracy, scored = row.get("execution_accuracy"), int(row.get("scored") or 0)
    return stats.wilson(round(accuracy * scored), scored) if accuracy is not None and scored else (None, None)


def _faults(outcomes: Mapping[str, int]) -> Text:
    wrong = {name: count for name, count in outcomes.items() if count and not _is_match(name)}
    top = sorted(wrong.items(), key=lambda pair: (-pair[1], pair[0]))[:_TOP]
    return Text(", ".join(f"{name.replace('_', ' ')} {units.count(count)}" for name, count in top))


def _is_match(name: str) -> bool:
    return name in (Outcome.CORRECT, Outcome.VACUOUS_MATCH)
