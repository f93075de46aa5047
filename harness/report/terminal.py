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
from harness.comparison.curve import Curve
from harness.comparison.loaded import Answers, load_answers
from harness.comparison.pairs import Comparison
from harness.comparison.samples import Sampling
from harness.records import Outcome, Run
from harness.report.data import run_row

_TOP = 3


def result_table(rows: Sequence[Mapping[str, Any]], title: str = "") -> RichTable:
    """The result of `harness eval`: one line a run.

    Each mapping has `model`, `n`, `scored`, `execution_accuracy`, `exact_match`, `output_tokens_per_second` as in the
    command's JSON, and may have `ci_low`, `ci_high`, `suite_accuracy`, `discriminating_accuracy` (execution accuracy on
    the questions whose databases tell the gold from trivial queries) and `outcomes` (name -> count).
    """
    table = _table(title)
    table.add_column("model", overflow="fold")
    suites = any(row.get("suite_accuracy") is not None for row in rows)
    told = any(row.get("discriminating_accuracy") is not None for row in rows)
    extra = [*["suite"] * suites, *["discriminating"] * told]
    heads = ["n", "exact match", "execution accuracy", "95 %", *extra, "output"]
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
        cells += [units.percent(row.get("suite_accuracy"))] * suites
        cells += [units.percent(row.get("discriminating_accuracy"))] * told
        table.add_row(*cells, units.rate(row.get("output_tokens_per_second")), _faults(row.get("outcomes") or {}))
    return table


def comparison_table(comparison: Comparison) -> Group:
    """The result of `harness compare`: one line a pair, with a sentence below for what it means."""
    table = _table("")
    for name in ("first", "second"):
        table.add_column(name, overflow="fold")
    clustered = any(pair.p_clustered is not None for pair in comparison.pairs)
    names = ["n", "difference", "95 %", "p", "p, Holm", *["by database"] * clustered]
    for name in (*names, "both", "only 1st", "only 2nd", "neither", "could have shown"):
        table.add_column(name, justify="right", no_wrap=True)
    notes: dict[str, Text] = {}
    for pair in comparison.pairs:
        counts = (pair.both, pair.only_a, pair.only_b, pair.neither)
        table.add_row(
            Text(pair.a_model),
            Text(f"{pair.b_model} (unlike)", style="yellow") if pair.unlike else Text(pair.b_model),
            units.count(pair.n),
            Text(units.points(pair.difference), style="bold" if pair.distinguishable else ""),
            Text(f"[{units.points(pair.ci_low)}, {units.points(pair.ci_high)}]"),
            units.p_value(pair.p_value),
            units.p_value(pair.p_holm),
            *[units.p_value(pair.p_clustered)] * clustered,
            *(units.count(value) for value in counts),
            units.points(pair.minimum_detectable, sign=False),
        )
        for phrase in pair.unlike:
            notes[phrase] = Text(f"unlike: {phrase}", style="yellow")
    return Group(table, *notes.values(), Text(_COMPARED + _BY_DATABASE * clustered, style="dim"))


_COMPARED = (
    "difference: second minus first, points; bold where the tests tell it from none. p: exact McNemar; Holm: over all "
    "pairs shown.\ncould have shown: the smallest true difference found with 80 % power. The items that flipped stand "
    "in the JSON."
)
_BY_DATABASE = " Intervals resample whole databases; by database: exact sign-flip test over them."


def curve_tables(curves: Sequence[Curve]) -> Group:
    """Learning curves: one line a checkpoint, and below it what may be concluded."""
    parts: list[RichTable | Text] = []
    for curve in curves:
        table = _table(f"Learning curve of {curve.training}")
        for name in ("step", "epoch", "model", "accuracy", "95 %", "n"):
            table.add_column(name, justify="left" if name == "model" else "right", no_wrap=name != "model")
        for point in curve.points:
            share = Text(units.percent(point.score.share), style="bold" if point is curve.best else "")
            bounds, n = units.interval(point.score.low, point.score.high), units.count(point.score.n)
            name = f"{point.model} (best)" if point is curve.best else point.model
            table.add_row(units.count(point.step), units.number(point.epoch), Text(name), share, Text(bounds), n)
        parts += [Text(), table, *(Text(text) for text in (curve.hint, curve.caveat) if text)]
    return Group(*parts)


def sampling_table(found: Sequence[tuple[str, Sampling]]) -> RichTable:
    """pass@k and majority of runs, (name, sampling) each, that drew several answers a question."""
    table = _table("Several answers a question")
    ks = sorted({k for _, sampling in found for k, *_ in sampling.pass_at})
    for name in ("model", "n", *(f"pass@{k}" for k in ks), "majority"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for model, sampling in found:
        passes = {k: f"{units.percent(mean)} {units.interval(low, high)}" for k, mean, low, high in sampling.pass_at}
        vote = sampling.majority
        elected = f"{units.percent(vote.share)} {units.interval(vote.low, vote.high)}" if vote else units.NONE
        cells = [Text(passes.get(k, units.NONE)) for k in ks]
        table.add_row(Text(model), units.count(sampling.n), *cells, Text(elected))
    return table


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
