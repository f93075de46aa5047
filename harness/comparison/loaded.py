"""A stored run with its items as columns, one row an item: what every comparison and every report starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from harness import stats
from harness.errors import StoreError
from harness.records import RULES, Run

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

    @property
    def facts(self) -> Mapping[str, Any]:
        """The whole of run.json."""
        return self.run.facts

    def section(self, name: str) -> Mapping[str, Any]:
        """One object of run.json; empty where the run does not have it."""
        value = self.run.facts.get(name)
        return value if isinstance(value, Mapping) else {}

    def column(self, name: str) -> Sequence[Any]:
        """A column's values; all None where the run does not have it."""
        found = self.columns.get(name)
        return found if found is not None else [None] * len(self.ids)

    def verdicts(self, rule: str = "default") -> Sequence[bool | None]:
        """Each item's verdict by one judgement (`JUDGEMENTS`); None where the gold could not be scored."""
        name = COLUMNS.get(rule, f"match_{rule}")
        if rule == "default" and name not in self.columns:
            name = "match_default"
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
    """Read a run's folder (run.json and items.parquet); StoreError names what is missing or unreadable."""
    folder = Path(run.path if isinstance(run, Run) else run)
    record = run if isinstance(run, Run) else _read_run(folder)
    path = folder / "items.parquet"
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); evaluate the run again.") from error
    columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in table.column_names}
    if "id" not in columns or not ({"execution_match", "match_default"} & columns.keys()):
        raise StoreError(
            f"{path} has no column id or execution_match, so it is not a run's items; name a run's folder."
        )
    columns["id"] = [str(value) for value in columns["id"]]
    columns, samples = _first_samples(columns)
    if len(set(columns["id"])) != len(columns["id"]):
        raise StoreError(f"{path} holds an id twice; evaluate the run again.")
    return Answers(record, columns, samples)


def _read_run(folder: Path) -> Run:
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{folder} is not a run: it has no run.json. Runs lie under reports/runs.") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); evaluate the run again.") from error
    if not isinstance(facts, dict):
        raise StoreError(f"{path} holds no JSON object; evaluate the run again.")
    return Run(str(facts.get("id") or folder.name), str(facts.get("model") or folder.name), facts, str(folder))


def _first_samples(columns: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], dict[str, list[dict[str, Any]]]]:
    """Split several samples an item from the first one, which stands for the item everywhere else."""
    numbers = columns.get("sample")
    if not numbers or not any(numbers):
        return columns, {}
    samples: dict[str, list[dict[str, Any]]] = {}
    kept: list[int] = []
    wanted = [
        name for name in ("sample", "execution_match", "match_default", "answer_digest", "sql") if name in columns
    ]
    for row in sorted(range(len(numbers)), key=lambda index: numbers[index] or 0):
        id_ = columns["id"][row]
        if id_ not in samples:
            samples[id_] = []
            kept.append(row)
        samples[id_].append({name: columns[name][row] for name in wanted})
    kept.sort()
    return {name: [values[row] for row in kept] for name, values in columns.items()}, samples
