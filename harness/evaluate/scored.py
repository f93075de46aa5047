"""A file of predictions scored, and stored as a run where a folder is named."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.benchmark import Benchmark, split_digest
from harness.config import ScoreChoice
from harness.evaluate.judging import Tick, judged_rows, judges_digest, score_facts, score_settings
from harness.evaluate.predictions import Predictions
from harness.evaluate.run import benchmark_facts
from harness.evaluate.totals import Totals
from harness.machine import machine
from harness.store import RunFolder, digest_of, run_id


@dataclass(frozen=True, slots=True)
class Scored:
    """Totals of a file of predictions."""

    totals: Mapping[str, Any]
    missing: int
    """Questions without a prediction, counted as wrong."""
    seconds: float
    """Wall seconds of scoring, starting the workers included."""
    out: Path | None


def score_predictions(
    benchmark: Benchmark,
    predictions: Predictions,
    choice: ScoreChoice,
    *,
    source: Path,
    out: Path | None,
    tick: Tick | None = None,
) -> Scored:
    """Judge every question of the benchmark's split; with `out`, write `run.json` and `items.parquet` there."""
    items = benchmark.items()
    totals = Totals()
    settings = score_settings(choice, benchmark)
    rows = judged_rows(items, predictions.answers, settings, totals, missing=predictions.missing, tick=tick)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with nullcontext() if out is None else RunFolder(out) as folder:
        start = time.perf_counter()
        if folder is None:
            _drain(rows)
        else:
            folder.write_items(rows)
        seconds = time.perf_counter() - start
        if folder is not None:
            facts = _facts(benchmark, predictions, choice, totals, source)
            timings = {"started": started, "phases": {"score": seconds}, "speed": None}
            folder.finish({**facts, "timings": timings})
    return Scored(totals.facts(), len(predictions.missing), seconds, out)


def _drain(rows: Iterable[Any]) -> None:
    for _ in rows:
        pass


def _facts(
    benchmark: Benchmark, predictions: Predictions, choice: ScoreChoice, totals: Totals, source: Path
) -> dict[str, Any]:
    here = machine()
    digest = split_digest(benchmark.items())
    answers = {key: _text(value) for key, value in predictions.answers.items()}
    judged = {"score": score_facts(choice, benchmark), "judges": judges_digest()}
    digests = {"benchmark": digest, "predictions": digest_of(answers), "judges": judged["judges"]}
    inputs = digest_of({**digests, **judged})
    return {
        "id": run_id(benchmark.name, source.stem, inputs),
        "model": source.stem,
        "kind": "predictions",
        "name": benchmark.name,
        "benchmark": benchmark_facts(benchmark, benchmark.items(), digest),
        "digests": {**digests, "inputs": inputs},
        "score": judged["score"],
        "generator": {"backend": "file", "file": source.name},
        "machine": {**dataclasses.asdict(here), "name": here.name},
        "commit": here.commit,
        "totals": {**totals.facts(), "missing": len(predictions.missing)},
    }


def _text(answer: Any) -> Any:
    return answer if isinstance(answer, str) else dataclasses.asdict(answer)
