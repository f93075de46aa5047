"""What run.json says about a run, read in one place: unknown is None or empty, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.records import Run

_STEP = re.compile(r"(?:^|[-_/])(?:checkpoint|step)[-_](\d+)$")

_PHASES = (
    *("benchmark", "prepare", "merge", "probe", "load", "quantise", "tokenise", "compile", "capture", "prefill"),
    *("decode", "generate", "train", "save", "duckdb", "score", "describe", "wait", "store"),
)


def section(run: Run, *names: str) -> Mapping[str, Any]:
    """The object under a path of keys; empty where the run does not have it."""
    value: Any = run.facts
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def step(run: Run) -> int | None:
    """Optimiser steps behind the model: 0 for the base, None where it is not known to be a checkpoint."""
    if is_base(run):
        return 0
    for value in (run.facts.get("step"), section(run, "training").get("step")):
        if isinstance(value, int | float):
            return int(value)
    found = _STEP.search(run.model)
    return int(found.group(1)) if found else None


def epoch(run: Run) -> float | None:
    """Passes over the training data behind the model, where recorded."""
    for value in (run.facts.get("epoch"), section(run, "training").get("epoch")):
        if isinstance(value, int | float):
            return float(value)
    return None


def is_base(run: Run) -> bool:
    """True for the model before any training of ours."""
    return run.facts.get("kind") == "base" or run.model == "base"


def is_checkpoint(run: Run) -> bool:
    """True for a state saved during training, told by its name; not for the final adapter or the merged model."""
    return _STEP.search(run.model) is not None


def training(run: Run) -> str:
    """What the checkpoints of one training share; empty for the base and for answers made elsewhere."""
    value = run.facts.get("training")
    if isinstance(value, str):
        return value
    facts = section(run, "training")
    return "" if is_base(run) else str(facts.get("digest") or facts.get("name") or run.facts.get("name") or "")


def experiment(run: Run) -> str:
    """Name of the experiment, empty where there is none."""
    return str(run.facts.get("name") or section(run, "experiment").get("name") or "")


def machine(run: Run) -> str:
    """The hardware that answered, in a few words; empty where unknown.

    Answers made elsewhere were only scored on the machine that run.json names, which says nothing about their speed.
    """
    return machine_name(run) if speed(run) or section(run, "training") else ""


def machine_name(run: Run) -> str:
    """The hardware that run.json names, whatever it did; empty where unknown."""
    facts = section(run, "machine")
    if facts.get("name"):
        return str(facts["name"])
    if facts.get("gpu"):
        count = facts.get("gpu_count") or 1
        return f"{count} x {facts['gpu']}" if count > 1 else str(facts["gpu"])
    if facts.get("cpu") or facts.get("cpu_count"):
        return f"{facts.get('cpu') or 'CPU'} ({facts.get('cpu_count') or '?'} cores)"
    return ""


def throttled(run: Run) -> list[str]:
    """What held the GPU's clocks down, in words; empty where nothing did or nobody looked."""
    found = section(run, "machine").get("throttle_reasons")
    return [str(reason).replace("_", " ") for reason in found] if isinstance(found, list | tuple) else []


def speed(run: Run) -> Mapping[str, Any]:
    """Counts and seconds of generation (`records.Speed`); empty where nothing was timed."""
    return section(run, "timings", "speed") or section(run, "speed")


def output_rate(run: Run) -> float | None:
    """Output tokens a second over all generation seconds."""
    facts = speed(run)
    tokens, seconds = facts.get("output_tokens"), facts.get("generate_seconds")
    return tokens / seconds if tokens and seconds else None


def phases(run: Run) -> dict[str, float]:
    """Wall seconds of the evaluation by phase, in the order they happen; run.json itself keeps its keys sorted."""
    return _ordered(section(run, "timings", "phases") or section(run, "phases"))


def training_phases(run: Run) -> dict[str, float]:
    """Wall seconds of the training behind the model by phase; empty where not recorded."""
    return _ordered(section(run, "training", "throughput", "phases"))


def _ordered(found: Mapping[str, Any]) -> dict[str, float]:
    known = {str(name): float(value) for name, value in found.items() if isinstance(value, int | float)}
    return {name: known[name] for name in sorted(known, key=phase_order)}


def phase_order(phase: str) -> tuple[int, str]:
    """Sort key that puts phases in the order they happen, unknown ones last."""
    place = _PHASES.index(phase) if phase in _PHASES else len(_PHASES)
    return place, phase


def benchmark(run: Run) -> str:
    """Name and split of the benchmark: `spider dev`."""
    facts = section(run, "benchmark")
    return " ".join(str(facts[key]) for key in ("name", "split") if facts.get(key)) or "unnamed benchmark"


def benchmark_digest(run: Run) -> str:
    """Digest of the questions, golds and data; empty where not recorded."""
    return str(section(run, "benchmark").get("digest") or section(run, "digests").get("benchmark") or "")


def ceilings(run: Run) -> dict[str, Mapping[str, Any]]:
    """Name -> {value, unit, share} of the limits recorded with the run: bandwidth, compute, launches."""
    found = section(run, "timings", "ceilings") or section(run, "ceilings")
    return {str(name): fact for name, fact in found.items() if isinstance(fact, Mapping)}


def binds(run: Run, phase: str) -> str:
    """What limits a phase (`decode`, `prefill`): `bandwidth`, `compute`, `launches`; empty where unknown or nothing."""
    return str(section(run, "timings", "binds").get(phase) or "")


def rates(run: Run, hits: int | None = None) -> dict[str, float]:
    """Rates of generation by name, as recorded; for runs that recorded none, those that counts and seconds give.

    `hits`: answers that are right, for `correct_queries_per_second` and `joules_per_correct_query`.
    """
    stored = section(run, "timings", "rates")
    found = {str(name): float(value) for name, value in stored.items() if isinstance(value, int | float)}
    facts, asked = speed(run), section(run, "totals").get("n")
    seconds, joules, output = (facts.get(name) for name in ("generate_seconds", "energy_joules", "output_tokens"))
    parts = {
        "output_tokens_per_second": (output, seconds),
        "queries_per_second": (asked, seconds),
        "correct_queries_per_second": (hits, seconds),
        "joules_per_query": (joules, asked),
        "joules_per_correct_query": (joules, hits),
        "joules_per_output_token": (joules, output),
    }
    # answers kept from a killed call were not generated in these seconds
    kept = section(run, "timings").get("answers_kept")
    known = {} if kept else {name: a / b for name, (a, b) in parts.items() if a is not None and b}
    return known | found
