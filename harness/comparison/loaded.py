"""A stored run with its items as columns, one row an item: what every comparison and every report starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import stats
from harness.errors import StoreError
from harness.records import RULES, Run
from harness.store import find_run, load_items

COLUMNS = {"default": "execution_match", "suite": "suite_match", "string": "string_match", "exact": "exact_match"} | {
    "structural": "structural_match"
}
"""Judgements whose column is not `match_<rule>`."""

JUDGEMENTS = (*RULES, "suite", "string", "exact", "structural")
"""Every yes/no judgement an item may carry, in the order tables show them."""


@dataclass(frozen=True, slots=True)
class Score:
    """A share of scored items with its interval."""

    hits: int
    n: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, verdicts: Sequence[bool | None]) -> Score | None:
        """Wilson interval over the items that have a verdict; None where no item has one."""
        known = [verdict for verdict in verdicts if verdict is not None]
        if not known:
            return None
        hits = sum(known)
        return cls(hits, len(known), hits / len(known), *stats.wilson(hits, len(known)))

    def to_json(self) -> dict[str, Any]:
        """The score as plain numbers."""
        return {"hits": self.hits, "n": self.n, "share": self.share, "ci_low": self.low, "ci_high": self.high}


@dataclass(frozen=True, slots=True)
class Answers:
    """One run: its facts, and its items as columns of equal length."""

    run: Run
    columns: Mapping[str, Sequence[Any]]
    """Column name -> values; the first sample of each item."""
    samples: Mapping[str, Sequence[Mapping[str, Any]]]
    """Item id -> its samples in order; empty where one answer an item was drawn."""

    @property
    def ids(self) -> Sequence[str]:
        """The items' ids, in stored order."""
        return self.columns["id"]

    def column(self, name: str) -> Sequence[Any]:
        """A column's values; all None where the run does not have it."""
        found = self.columns.get(name)
        return found if found is not None else [None] * len(self.ids)

    def verdicts(self, rule: str = "default") -> Sequence[bool | None]:
        """Each item's verdict by one judgement (`JUDGEMENTS`); None where the gold could not be scored."""
        name = COLUMNS.get(rule, f"match_{rule}")
        values = self.column(name)
        if rule not in ("string", "exact", "structural"):
            return values
        # text is judged without execution, but an item whose gold is broken is left out of every share alike
        return [None if run is None else value for value, run in zip(values, self.verdicts(), strict=True)]

    def score(self, rule: str = "default") -> Score | None:
        """Share of the scored items that one judgement calls right."""
        return Score.of(self.verdicts(rule))

    @property
    def clusters(self) -> Sequence[str]:
        """Each item's unit of the cluster bootstrap: its database, else the item itself."""
        return [cluster or id_ for cluster, id_ in zip(self.column("cluster"), self.ids, strict=True)]


def load_answers(run: Run | Path | str) -> Answers:
    """Read a run by its folder, its id or its record; StoreError names what is missing or unreadable."""
    record = run if isinstance(run, Run) else find_run(str(run))
    table = load_items(record)
    columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in table.column_names}
    if "id" not in columns or "execution_match" not in columns:
        raise StoreError(f"The items of {record.path} have no column id or execution_match; evaluate the run again.")
    columns, samples = _first_samples(columns)
    if len(set(columns["id"])) != len(columns["id"]):
        raise StoreError(f"The items of {record.path} hold an id twice; evaluate the run again.")
    return Answers(record, columns, samples)


def _first_samples(columns: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], dict[str, list[dict[str, Any]]]]:
    """Split several samples an item from the first one, which stands for the item everywhere else."""
    numbers = columns.get("sample")
    if not numbers or not any(numbers):
        return columns, {}
    samples: dict[str, list[dict[str, Any]]] = {}
    kept: list[int] = []
    wanted = [name for name in ("sample", "execution_match", "answer_digest", "sql") if name in columns]
    for row in sorted(range(len(numbers)), key=lambda index: numbers[index] or 0):
        id_ = columns["id"][row]
        if id_ not in samples:
            samples[id_] = []
            kept.append(row)
        samples[id_].append({name: columns[name][row] for name in wanted})
    kept.sort()
    return {name: [values[row] for row in kept] for name, values in columns.items()}, samples
