"""A file of predictions scored, whole or one shard of it, and stored as a run where a folder is named."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from harness.benchmark import Benchmark, split_digest
from harness.config import ScoreChoice
from harness.errors import StoreError
from harness.evaluate.judging import Tick, compared_golds, judged_rows, judges_digest, score_facts, score_settings
from harness.evaluate.predictions import Predictions
from harness.evaluate.run import benchmark_facts
from harness.evaluate.shards import Shard, shard_facts
from harness.evaluate.stored import stored_rows
from harness.evaluate.totals import Totals
from harness.machine import machine
from harness.records import Item, RunKind
from harness.store import RunFolder, digest_of, is_finished, read_run, run_id

_KIND: RunKind = "predictions"


@dataclass(frozen=True, slots=True)
class Scored:
    """Totals of a file of predictions, or of one shard of it."""

    totals: Mapping[str, Any]
    missing: int
    """Questions without a prediction, counted as wrong."""
    seconds: float
    """Wall seconds of scoring, starting the workers included."""
    out: Path | None
    reused: bool = False
    """True where the shard was there already."""
    remembered: int = 0
    """Verdicts that an earlier run had given to the same prediction: they took no time here."""


def score_predictions(
    benchmark: Benchmark,
    predictions: Predictions,
    choice: ScoreChoice,
    *,
    source: Path,
    out: Path | None,
    shard: Shard | None = None,
    tick: Tick | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Scored:
    """Judge every question of the benchmark's split, or those of a shard; with `out`, write the run there.

    Items are read as they are needed, so the memory does not grow with their number. A finished shard with the same
    inputs is reused, a damaged one is made again and said.
    """
    facts = _facts(benchmark, predictions, choice, source)
    first, last = 0, facts["benchmark"]["n"]
    if shard is not None:
        first, last = shard.bounds(last)
        facts |= {"shard": shard_facts(shard, facts["benchmark"]["n"])}
        out = None if out is None else shard.folder(out)
    if shard is not None and out is not None and (kept := _kept(out, facts, say)) is not None:
        return kept
    totals = Totals()
    missing = 0

    def items() -> Iterator[Item]:
        nonlocal missing
        for item in islice(benchmark.stream(), first, last):
            missing += item.id not in predictions.answers
            yield item

    settings = score_settings(choice, benchmark)
    golds = compared_golds(benchmark.stream(), settings)
    rows = judged_rows(items(), predictions.answers, settings, totals, count=last - first, golds=golds, tick=tick)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with nullcontext() if out is None else RunFolder(out) as folder:
        start = time.perf_counter()
        if folder is None:
            _drain(rows)
        else:
            folder.write_items(rows)
        seconds = time.perf_counter() - start
        counted = {**totals.facts(), "missing": missing}
        if folder is not None:
            timings = {"started": started, "phases": {"score": seconds}, "speed": None, "remembered": totals.remembered}
            folder.finish({**facts, "totals": counted, "timings": timings})
    return Scored(counted, missing, seconds, out, remembered=totals.remembered)


def _drain(rows: Iterable[Any]) -> None:
    for _ in rows:
        pass


def _kept(folder: Path, facts: Mapping[str, Any], say: Callable[[str], None]) -> Scored | None:
    """A finished shard with the same inputs, whole; None where it must be made."""
    if not is_finished(folder):
        return None
    try:
        run = read_run(folder)
        if run.facts["digests"]["inputs"] != facts["digests"]["inputs"]:
            return None
        _drain(stored_rows(run, ("id",)))
    except StoreError as error:
        say(f"The stored shard is damaged and is made again: {error}")
        return None
    say(f"reusing {folder}")
    totals = run.facts["totals"]
    return Scored(totals, totals["missing"], run.facts["timings"]["phases"]["score"], folder, reused=True)


def _facts(benchmark: Benchmark, predictions: Predictions, choice: ScoreChoice, source: Path) -> dict[str, Any]:
    """What `run.json` says apart from totals and timings."""
    here = machine()
    count, digest = _survey(benchmark)
    judged = {"score": score_facts(choice, benchmark), "judges": judges_digest()}
    digests = {"benchmark": digest, "predictions": predictions.answers.digest(), "judges": judged["judges"]}
    inputs = digest_of({**digests, **judged})
    return {
        "id": run_id(benchmark.name, source.stem, inputs),
        "model": source.stem,
        "kind": _KIND,
        "name": benchmark.name,
        "benchmark": benchmark_facts(benchmark, count, digest),
        "asked": dict(benchmark.asked),
        "digests": {**digests, "inputs": inputs},
        "score": judged["score"],
        "generator": {"backend": "file", "file": source.name},
        "machine": {**dataclasses.asdict(here), "name": here.name},
        "commit": here.commit,
    }


def _survey(benchmark: Benchmark) -> tuple[int, str]:
    """How many items there are, and their digest, in one pass."""
    count = 0

    def counted() -> Iterator[Item]:
        nonlocal count
        for item in benchmark.stream():
            count += 1
            yield item

    digest = split_digest(counted())
    return count, digest
