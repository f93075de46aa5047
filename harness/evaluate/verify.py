"""A stored run held against itself and its inputs: totals from items, digests from inputs, verdicts from a new judging.

Nothing of the run is changed. What cannot be looked at here (an adapter that is gone, a server's model) is said, and
counts neither for nor against the run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.benchmark import split_digest
from harness.config import Experiment, restored
from harness.errors import ConfigError, HarnessError, StoreError
from harness.evaluate.again import Asked, answer_of_row, asked_by
from harness.evaluate.answering import model_facts
from harness.evaluate.judging import compared_golds, judged_rows, judges_digest, score_settings
from harness.evaluate.stored import Row, add_row, stored_rows
from harness.evaluate.subjects import subjects
from harness.evaluate.totals import Totals
from harness.prompt import prompt_digest
from harness.records import Item, Run

State = Literal["same", "differs", "not checked"]
Say = Callable[[str], None]
_TIMED = ("execute_seconds",)
_TOLD = 20
"""Differences of one kind that are listed; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    words: str = ""
    """What differs, or why it was not checked."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one item that came out otherwise this time."""

    id: str
    field: str
    stored: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of a run under verification."""

    checks: Sequence[Check]
    judged_again: int
    differences: Sequence[Difference]

    @property
    def ok(self) -> bool:
        """True where nothing that could be checked differs."""
        return not self.differences and all(check.state != "differs" for check in self.checks)


def verify(run: Run, overrides: Mapping[str, Any] | None = None, *, sample: int = 100, seed: int = 0) -> Verified:
    """Check a run; `overrides` say where its inputs lie now, `sample` rows (drawn by `seed`) are judged again.

    A StoreError where `items.parquet` is not the file `run.json` was written with.
    """
    totals = Totals()
    count = 0
    for row in stored_rows(run):
        count += 1
        add_row(totals, row)
    checks = [Check("items.parquet", "same"), *_totals(run, totals)]
    try:
        # judged without a cache: an answer out of it would prove nothing
        asked = asked_by(run, overrides or {}, cache_dir="")
        items = list(asked.items())
    except HarnessError as error:
        unseen = Check("inputs", "not checked", f"the benchmark cannot be loaded here: {error}")
        return Verified([*checks, unseen], 0, ())
    checks += _inputs(run, overrides or {}, items)
    if any(check.name == "benchmark" and check.state == "differs" for check in checks):
        return Verified([*checks, Check("verdicts", "not checked", "the questions are others")], 0, ())
    chosen = sorted(random.Random(seed).sample(range(count), min(sample, count)))
    differences = tuple(_judged_again(run, asked, items, chosen))
    checks.append(Check("verdicts", "differs" if differences else "same", f"{len(chosen):,} of {count:,} judged again"))
    return Verified(checks, len(chosen), differences)


# -- what the run was made from


def _totals(run: Run, totals: Totals) -> Iterator[Check]:
    stored = {key: value for key, value in (run.facts.get("totals") or {}).items() if key != "missing"}
    derived = totals.facts()
    wrong = [name for name, value in stored.items() if name in derived and derived[name] != value]
    words = "; ".join(f"{name} is {stored[name]!r}, the items give {derived[name]!r}" for name in wrong)
    yield Check("totals", "differs" if wrong else "same", words)
    unknown = [name for name in stored if name not in derived]
    if unknown:
        yield Check("totals", "not checked", f"this version does not derive {', '.join(unknown)}")


def _inputs(run: Run, overrides: Mapping[str, Any], items: Sequence[Item]) -> Iterator[Check]:
    stored = run.facts["digests"]
    yield _held("benchmark", stored.get("benchmark"), split_digest(items))
    if "experiment" in run.facts:
        yield from _answered(run, overrides)
    else:
        yield Check("predictions", "not checked", "the file they came from is not kept; the answers are in the items")
    judges = _held("judges", stored.get("judges"), judges_digest())
    if judges.state == "differs":
        words = "the verdicts were given by another version of the code; judged again by this one below"
        judges = Check("judges", "not checked", words)
    yield judges


def _answered(run: Run, overrides: Mapping[str, Any]) -> Iterator[Check]:
    try:
        experiment = restored(Experiment, run.facts["experiment"], run.path, overrides)
    except ConfigError as error:
        yield Check("prompt and model", "not checked", f"the experiment is another version's: {error}")
        return
    yield _held("prompt", run.facts["digests"].get("prompt"), prompt_digest(experiment.prompt))
    yield from _model(run, experiment)


def _model(run: Run, experiment: Experiment) -> Iterator[Check]:
    names = ("model", "adapter", "tokenizer")
    stored = run.facts["digests"]
    if experiment.generate.backend == "server":
        yield Check("model", "not checked", "a server answered, whose weights cannot be seen from here")
        return
    try:
        named = experiment.model_copy(update={"eval": experiment.eval.model_copy(update={"models": (run.model,)})})
        facts = model_facts(experiment, subjects(named)[0])
    except HarnessError as error:
        yield Check("model", "not checked", str(error))
        return
    for name in names:
        if facts.get(name) or stored.get(name):
            yield _held(name, stored.get(name), facts.get(name, ""))


def _held(name: str, stored: str | None, now: str) -> Check:
    if stored is None:
        return Check(name, "not checked", "run.json has no digest of it")
    words = "" if stored == now else f"run.json has {stored[:12]}, what lies here has {now[:12] or 'none'}"
    return Check(name, "same" if stored == now else "differs", words)


# -- verdicts, given again


def _judged_again(run: Run, asked: Asked, items: Sequence[Item], chosen: Sequence[int]) -> Iterator[Difference]:
    by_id = {item.id: item for item in items}
    wanted = set(chosen)
    by_sample: dict[int, list[Row]] = {}
    for place, row in enumerate(stored_rows(run)):
        if place in wanted:
            by_sample.setdefault(row.get("sample", 0), []).append(row)
    told = 0
    for rows in by_sample.values():
        unknown = [row["id"] for row in rows if row["id"] not in by_id]
        if unknown:
            raise StoreError(f"{run.path} has an item '{unknown[0]}' that the benchmark does not have.")
        answers = {row["id"]: answer for row in rows if (answer := answer_of_row(run, row)) is not None}
        subset = [by_id[row["id"]] for row in rows]
        settings = score_settings(asked.score, asked.benchmark)
        golds = compared_golds(items, settings)
        again = judged_rows(subset, answers, settings, Totals(), count=len(rows), golds=golds)
        for before, now in zip(rows, again, strict=True):
            for difference in _compared(before, now):
                told += 1
                if told <= _TOLD:
                    yield difference


def _compared(stored: Row, now: Row) -> Iterator[Difference]:
    for field, value in now.items():
        if field in _TIMED or field not in stored:
            continue
        before = dict(stored[field] or ()) if field == "tags" else stored[field]
        after = dict(value) if field == "tags" else value
        if before != after:
            yield Difference(str(stored["id"]), field, before, after)
