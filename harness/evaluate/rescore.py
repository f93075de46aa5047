"""A stored run's answers judged again by this version of the code, and stored as a run beside it; no model is needed.

What answered, on what machine and how fast stays as it was; verdicts, totals and the judges' digests are new, and
`run.json` says under `rejudged` from which run, by which commit and versions, and what judged before.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.benchmark import split_digest
from harness.errors import ConfigError, StoreError
from harness.evaluate.again import Asked, answer_of_row, asked_by
from harness.evaluate.answer_file import AnswerFile
from harness.evaluate.judging import Tick, compared_golds, judged_rows, judges_digest, score_facts, score_settings
from harness.evaluate.speed import rates
from harness.evaluate.stored import Row, stored_rows
from harness.evaluate.totals import Totals
from harness.machine import machine
from harness.records import Run
from harness.store import RunFolder, digest_of, is_finished, read_run, run_id

_JUDGED = ("execution_match", "suite_match", "exact_match")
_VERSIONS = ("duckdb", "harness", "sqlglot")


@dataclass(frozen=True, slots=True)
class Rescored:
    """The new run, and what changed between the two."""

    run: Run
    outcomes: Mapping[tuple[str, str], int]
    """(outcome before, outcome now) -> answers, where they differ; empty where nothing was judged."""
    verdicts: Mapping[str, int]
    """`execution_match`, `suite_match`, `exact_match` -> answers whose verdict differs."""
    reused: bool = False
    """True where this version has judged these answers already: the run itself, or the one beside it."""


def rescore(run: Run, overrides: Mapping[str, Any], out: Path | None, tick: Tick | None = None) -> Rescored:
    """Judge a run's answers again and store them in `out`; default: beside the run, under the id that is then theirs.

    `overrides` say where the benchmark lies now and what is judged otherwise (`score.*`). A ConfigError for a setting
    that decides the answers, a StoreError where the questions are no longer those of the run, or `out` is the run.
    """
    asked = asked_by(run, _judging(overrides))
    count = sum(1 for _ in asked.items())
    if split_digest(asked.items()) != run.facts["digests"].get("benchmark"):
        raise StoreError(f"The benchmark that lies here is not the one that {run.id} was asked; name its own.")
    facts = _facts(run, asked)
    if out is None and run.facts["digests"].get("inputs") == facts["digests"]["inputs"]:
        return Rescored(run, {}, {}, reused=True)
    folder = out or Path(run.path).parent / facts["id"]
    if is_finished(folder) and read_run(folder).facts["digests"].get("inputs") == facts["digests"]["inputs"]:
        return Rescored(read_run(folder), {}, {}, reused=True)
    if folder.resolve() == Path(run.path).resolve():
        raise StoreError(f"{folder} holds the run that is judged again; name another folder with --out.")
    changes = _Changes()
    totals = Totals()
    started, begun = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    with RunFolder(folder) as target:
        target.write_items(changes.noted(stored_rows(run), _rows(run, asked, totals, count, tick)))
        spent = {"started": started, "seconds": time.perf_counter() - begun}
        counted = totals.facts()
        if "missing" in run.facts["totals"]:
            counted["missing"] = run.facts["totals"]["missing"]
        timings = {**_timings(run, counted), "answers_from": run.id, "rejudged": spent}
        target.finish({**facts, "totals": counted, "timings": timings})
    return Rescored(read_run(folder), dict(changes.outcomes), dict(changes.verdicts))


def _judging(overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    other = sorted(set(overrides) - {"benchmark", "score"})
    if other:
        raise ConfigError(f"{other[0]} decides what is answered, not how it is judged; run `harness eval` for that.")
    return overrides


def _rows(run: Run, asked: Asked, totals: Totals, count: int, tick: Tick | None) -> Iterator[dict[str, Any]]:
    """Rows judged anew: all questions' first answers, then all second ones, as they were stored."""
    settings = score_settings(asked.score, asked.benchmark)
    golds = compared_golds(asked.items(), settings)
    samples = run.facts.get("decoding", {}).get("samples", 1)
    for sample in range(samples):
        answers = AnswerFile()
        for row in stored_rows(run):
            if row["sample"] == sample and (answer := answer_of_row(run, row)) is not None:
                answers.put(row["id"], answer)
        # the totals are those of the first answer to each question
        counted = totals if sample == 0 else Totals()
        for row in judged_rows(asked.items(), answers, settings, counted, count=count, golds=golds, tick=tick):
            yield {**row, "sample": sample}


class _Changes:
    """What differs from the stored rows, counted as the new ones pass."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.verdicts: Counter[str] = Counter()

    def noted(self, stored: Iterator[Row], fresh: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for before, now in zip(stored, fresh, strict=True):
            if before["id"] != now["id"]:
                raise StoreError(f"The items of the run are not in its benchmark's order ('{before['id']}').")
            if before["outcome"] != now["outcome"]:
                self.outcomes[before["outcome"], now["outcome"]] += 1
            self.verdicts.update(name for name in _JUDGED if before.get(name) != now[name])
            yield now


def _facts(run: Run, asked: Asked) -> dict[str, Any]:
    """What `run.json` says apart from totals and timings; the id is the one that `harness eval` would give."""
    here = machine()
    judged = {"score": score_facts(asked.score, asked.benchmark), "judges": judges_digest()}
    digests = {**run.facts["digests"], "judges": judged["judges"]}
    made = ("generation",) if "experiment" in run.facts else ("benchmark", "predictions")
    digests["inputs"] = digest_of({**{name: digests[name] for name in made}, **judged})
    facts = {
        **run.facts,
        "id": run_id(str(run.facts["name"]), run.model, digests["inputs"]),
        "digests": digests,
        "score": judged["score"],
        "rejudged": {
            "from": run.id,
            "judges_before": run.facts["digests"].get("judges"),
            "commit": here.commit,
            "versions": {name: here.versions[name] for name in _VERSIONS if name in here.versions},
            "machine": here.name,
        },
    }
    if "experiment" in run.facts:
        facts["experiment"] = {**run.facts["experiment"], "score": asked.score.model_dump()}
    return facts


def _timings(run: Run, totals: Mapping[str, Any]) -> dict[str, Any]:
    """The run's own timings; what they say of right answers follows the new verdicts."""
    timings = dict(run.facts["timings"])
    if timings.get("rates") and timings.get("speed"):
        accuracy = totals["execution_accuracy"]
        timings["rates"] = rates(
            timings["speed"], timings.get("answers_timed") or 0, accuracy, timings.get("wall_seconds")
        )
    return timings
