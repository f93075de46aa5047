"""What a stored run was made from, read back from its run.json, and its answers, for those who judge them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from harness import benchmark as benchmarks
from harness.benchmark import Benchmark
from harness.config import ScoreChoice, merged, restored
from harness.errors import ConfigError
from harness.evaluate.judging import NO_PREDICTION
from harness.evaluate.stored import Row, generation_of_row
from harness.records import Generation, Item, Outcome, Run


@dataclass(frozen=True, slots=True)
class Asked:
    """A run's questions, and how its answers were judged."""

    benchmark: Benchmark
    limit: int | None
    score: ScoreChoice

    def items(self) -> Iterator[Item]:
        """The questions, in the run's order."""
        return islice(self.benchmark.stream(), self.limit)


def asked_by(run: Run, overrides: Mapping[str, Any], cache_dir: str | None = None) -> Asked:
    """The run's benchmark and scoring settings; `overrides` say where its inputs lie now and what is judged otherwise.

    `cache_dir`: where golds are kept, in the run's place. A HarnessError where the inputs cannot be loaded.
    """
    score = {key: value for key, value in run.facts["score"].items() if key in ScoreChoice.model_fields}
    kept = {} if cache_dir is None else {"cache_dir": cache_dir}
    choice = restored(ScoreChoice, {**score, **kept, **overrides.get("score", {})}, run.path)
    named = merged(_benchmark_of(run), overrides.get("benchmark", {}))
    stored = run.facts.get("experiment", {})
    limit = merged(stored.get("eval", {}), overrides.get("eval", {})).get("limit")
    return Asked(benchmarks.load(named.pop("name"), named), limit, choice)


def _benchmark_of(run: Run) -> Mapping[str, Any]:
    """The benchmark's name and settings; of an experiment nothing else is read, however old its other settings are."""
    if "experiment" in run.facts:
        chosen = run.facts["experiment"]["benchmark"]
        return {**chosen.get("settings", {}), "name": chosen["name"]}
    if "asked" not in run.facts:
        raise ConfigError("its run.json was written before benchmarks were kept by name; score it again.")
    asked: Mapping[str, Any] = run.facts["asked"]
    return asked


def answer_of_row(run: Run, row: Row) -> Generation | str | None:
    """What was judged: SQL as it stood, a model's text, or nothing."""
    if row["reason"] == NO_PREDICTION:
        return None
    given_as_sql = run.facts.get("kind") == "predictions" and row["sql"] == row["completion"].strip()
    if given_as_sql and row["outcome"] != Outcome.TRUNCATED:
        return str(row["completion"])
    return replace(generation_of_row(row), id=row["id"])
