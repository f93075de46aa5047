"""`harness.load_run`: a stored run, its totals and its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness import units
from harness.public.tables import table
from harness.records import Run
from harness.scratch import Scratch
from harness.store import find_run, load_items


class RunResult:
    """One finished run; in a notebook it shows itself as a table.

    Every share is over the scored questions, those whose gold could be run; None where there is none.
    """

    def __init__(self, run: Run, keep: Scratch | None = None) -> None:
        self.run = run
        # a run that nobody asked to store lives as long as its result
        self._keep = keep

    @property
    def id(self) -> str:
        """Id of the run."""
        return self.run.id

    @property
    def model(self) -> str:
        """What was judged: `base`, `checkpoint-120`, the name of a file of predictions ..."""
        return self.run.model

    @property
    def facts(self) -> Mapping[str, Any]:
        """The whole of run.json."""
        return self.run.facts

    @property
    def totals(self) -> Mapping[str, Any]:
        """Its totals: counts, shares by rule, outcomes."""
        return self.run.facts.get("totals") or {}

    @property
    def n(self) -> int:
        """Questions."""
        return int(self.totals.get("n") or 0)

    @property
    def scored(self) -> int:
        """Questions whose gold could be run."""
        return int(self.totals.get("scored") or 0)

    @property
    def execution_accuracy(self) -> float | None:
        """Share with the gold's answer, by the default rule."""
        return self.totals.get("execution_accuracy")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % Wilson interval."""
        found = self.totals.get("execution_accuracy_ci")
        return (found[0], found[1]) if found else None

    @property
    def exact_match(self) -> float | None:
        """Share with the gold's canonical statement."""
        return self.totals.get("exact_match")

    @property
    def suite_accuracy(self) -> float | None:
        """Share right on every witness database as well; None where none was made."""
        return (self.totals.get("suite") or {}).get("accuracy")

    @property
    def rules(self) -> Mapping[str, float | None]:
        """Share by comparison rule."""
        return self.totals.get("rules") or {}

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Outcome -> questions."""
        return self.totals.get("outcomes") or {}

    def items(self, columns: Sequence[str] | None = None) -> pa.Table:
        """One row a question, all columns of `items.parquet` or those named; `.to_pandas()` where pandas is there."""
        return load_items(self.run, columns)

    def __repr__(self) -> str:
        low, high = self.interval or (None, None)
        return f"<run {self.id}: {units.share(self.execution_accuracy, low, high, self.scored)}>"

    def _repr_html_(self) -> str:
        low, high = self.interval or (None, None)
        rows = [
            ("execution accuracy", units.share(self.execution_accuracy, low, high, self.scored)),
            ("exact match", units.percent(self.exact_match)),
            *((f"rule {rule}", units.percent(share)) for rule, share in self.rules.items() if rule != "default"),
        ]
        if self.suite_accuracy is not None:
            rows.append(("suite match", units.percent(self.suite_accuracy)))
        ranked = sorted(self.outcomes.items(), key=lambda pair: (-pair[1], pair[0]))
        rows.append(("outcomes", ", ".join(f"{name} {count}" for name, count in ranked)))
        return table(("judgement", "share"), rows, f"{self.id} ({self.model})")


def load_run(name: str | Path) -> RunResult:
    """A stored run by its folder, its id, or the beginning of its id; a StoreError names the candidates.

    >>> import harness
    >>> run = harness.load_run("reports/runs/mine")
    >>> run
    <run letters-mine-...: 66.7 % [20.8, 93.9] n=3>
    >>> run.outcomes
    {'correct': 2, 'wrong_row_count': 1}
    >>> run.items(["id", "outcome"]).to_pylist()[2]
    {'id': '3', 'outcome': 'wrong_row_count'}
    """
    return RunResult(find_run(str(name)))
