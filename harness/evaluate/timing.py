"""What run.json says of a run's time: the wall seconds by phase, and what the answers' speed is worth."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.config import Experiment
from harness.evaluate import speed as worth
from harness.records import Generation, Speed
from harness.throughput.budget import Phases
from harness.throughput.peaks import Peaks, measured

if TYPE_CHECKING:
    from harness.evaluate.totals import Totals


def device_peaks(experiment: Experiment) -> Peaks:
    """Measure once a process what the device that answers can do; blanks where a server answers."""
    if experiment.generate.backend == "server":
        return Peaks()
    from harness.model.load import pick_device

    return measured(pick_device(experiment.model.device).type)


def split_generation(phases: Phases, speed: Speed | None) -> None:
    """Take out of `generate` what its backend timed; what is left is batching, decoding of text, keeping of answers."""
    if speed is not None:
        parts = {
            name: getattr(speed, f"{name}_seconds") or 0.0 for name in ("tokenise", "compile", "prefill", "decode")
        }
        phases.split("generate", parts)


def split_scoring(phases: Phases, totals: Totals, workers: int) -> None:
    """Take out of `score` the wall seconds of the predictions in DuckDB: their sum over the workers."""
    phases.split("score", {"duckdb": totals.execute_seconds / (workers or _cores())})


def timing_facts(
    phases: Phases,
    before_seconds: float,
    speed: Speed | Mapping[str, Any] | None,
    made: Sequence[Generation],
    generator: Mapping[str, Any],
    peaks: Peaks,
    gpu: str,
    accuracy: float | None,
    earlier: Mapping[str, Any],
) -> dict[str, Any]:
    """Return `timings`, less its beginning.

    `before_seconds`: of reading the benchmark; `made`: the answers that `speed` timed; `earlier`: the timings of the
    run whose answers were judged again, whose peaks and ceilings stay those of the machine that answered.
    """
    phases.add("benchmark", before_seconds)
    plain = dataclasses.asdict(speed) if isinstance(speed, Speed) else dict(speed or {})
    wall = phases.wall_seconds + before_seconds
    facts: dict[str, Any] = {"phases": dict(phases.seconds), "wall_seconds": wall, "speed": plain or None}
    if not plain:
        return facts
    if earlier:
        count = earlier.get("answers_timed") or 0
        kept = {name: earlier[name] for name in ("peaks", "ceilings", "binds") if name in earlier}
        return facts | kept | {"answers_timed": count, "rates": worth.rates(plain, count, accuracy, None)}
    ceilings = worth.ceilings(plain, made, generator, peaks, gpu)
    return facts | {
        "answers_timed": len(made),
        "rates": worth.rates(plain, len(made), accuracy, wall),
        "peaks": worth.peak_facts(peaks, gpu),
        "ceilings": ceilings,
        "binds": worth.binds(ceilings),
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
