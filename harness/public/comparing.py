"""`harness.compare`: runs, paired by question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import units
from harness.comparison import Comparison, Pair
from harness.comparison import compare as compare_runs
from harness.public.runs import RunResult
from harness.public.tables import table
from harness.records import Run
from harness.store import find_run

AnyRun = RunResult | Run | str | Path


class ComparisonResult:
    """All pairs of some runs; in a notebook it shows itself as a table."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @property
    def rule(self) -> str:
        """The judgement that was compared."""
        return self.comparison.rule

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """First against second, first against third, and so on."""
        return self.comparison.pairs

    def to_json(self) -> dict[str, Any]:
        """The document that `harness compare` ends with."""
        return self.comparison.to_json()

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Pair:
        return self.pairs[number]

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __repr__(self) -> str:
        told = "; ".join(f"{pair.a_model} -> {pair.b_model}: {_difference(pair)}" for pair in self.pairs)
        return f"<comparison by {self.rule}: {told}>"

    def _repr_html_(self) -> str:
        heads = ("first", "second", "difference (second minus first)", "p, Holm", "both", "only first", "only second")
        rows = [
            (
                pair.a_model,
                pair.b_model + (" (unlike)" if pair.unlike else ""),
                _difference(pair),
                units.p_value(pair.p_holm),
                *(units.count(value) for value in (pair.both, pair.only_a, pair.only_b, pair.neither)),
                "yes" if pair.distinguishable else "no",
            )
            for pair in self.pairs
        ]
        notes = dict.fromkeys(f"unlike: {phrase}" for pair in self.pairs for phrase in pair.unlike)
        return table((*heads, "neither", "told apart"), rows, f"Paired by question, rule {self.rule}", notes)


def _difference(pair: Pair) -> str:
    return units.point_difference(pair.difference, pair.ci_low, pair.ci_high, pair.n)


def compare(*runs: AnyRun | Sequence[AnyRun], rule: str = "default", anyway: bool = False) -> ComparisonResult:
    """Test runs against each other, paired by question: paired bootstrap, exact McNemar, Holm over all pairs.

    Runs are results of `harness.score` or `harness.load_run`, folders or ids. Runs whose benchmark, prompt, decoding or
    rule differ are refused with a CompareError naming the field, unless `anyway`.

    >>> import harness
    >>> found = harness.compare("reports/runs/worse", "reports/runs/better")
    >>> found
    <comparison by default: worse -> better: +70.0 points [+10.0, +100.0] n=10>
    >>> pair = found[0]
    >>> pair.both, pair.only_a, pair.only_b, pair.neither
    (2, 0, 7, 1)
    >>> round(pair.p_value, 4), pair.distinguishable
    (0.0156, True)
    """
    listed: list[AnyRun] = []
    for part in runs:
        if isinstance(part, (RunResult, Run, str, Path)):
            listed.append(part)
        else:
            listed.extend(part)
    return ComparisonResult(compare_runs([_run(run) for run in listed], rule=rule, anyway=anyway))


def _run(run: AnyRun) -> Run:
    if isinstance(run, RunResult):
        return run.run
    return run if isinstance(run, Run) else find_run(str(run))
