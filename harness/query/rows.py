"""One stored run as a row of the table `runs`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from harness.comparison import facts
from harness.records import RULES, Run


def run_row(run: Run) -> dict[str, Any]:
    """Column -> value, `facts` left out; None where the run does not say."""
    totals = facts.section(run, "totals")
    low, high = totals.get("execution_accuracy_ci") or (None, None)
    rules = totals.get("rules") or {}
    return {
        "run": run.id,
        "experiment": _text(run.facts.get("name")),
        "model": run.model,
        "kind": _text(run.facts.get("kind")),
        "benchmark": _text(facts.section(run, "benchmark").get("name")),
        "split": _text(facts.section(run, "benchmark").get("split")),
        "benchmark_digest": _text(facts.section(run, "digests").get("benchmark")),
        "prompt_digest": _text(facts.section(run, "digests").get("prompt")),
        **{name: _number(totals.get(name)) for name in ("n", "scored", "unscorable", "execution_accuracy")},
        "ci_low": _number(low),
        "ci_high": _number(high),
        **{f"accuracy_{rule}": _number(rules.get(rule)) for rule in RULES if rule != "default"},
        "suite_accuracy": _number((totals.get("suite") or {}).get("accuracy")),
        **{name: _number(totals.get(name)) for name in ("exact_match", "string_match", "structural_match")},
        **_asked(run),
        **_trained(run),
        **_timed(run, totals),
        "path": run.path,
    }


def _asked(run: Run) -> dict[str, Any]:
    model = facts.section(run, "experiment", "model")
    decoding = facts.section(run, "decoding")
    return {
        "base": _text(model.get("base")),
        "precision": _text(facts.section(run, "generator").get("precision") or model.get("precision")),
        "prompt_schema": _text(facts.section(run, "experiment", "prompt").get("schema")),
        **{name: _number(decoding.get(name)) for name in ("max_new_tokens", "temperature", "samples")},
    }


def _trained(run: Run) -> dict[str, Any]:
    training = facts.section(run, "training")
    return {
        "step": facts.step(run),
        "epoch": facts.epoch(run),
        "train_loss": _number(training.get("loss")),
        "train_seconds": _number(training.get("seconds")),
        "train_tokens_per_second": _number(training.get("train_tokens_per_second")),
    }


def _timed(run: Run, totals: Mapping[str, Any]) -> dict[str, Any]:
    speed = facts.section(run, "timings", "speed")
    seconds = _number(speed.get("generate_seconds"))
    tokens = _number(speed.get("output_tokens"))
    machine = facts.section(run, "machine")
    return {
        "prompt_tokens": _number(totals.get("prompt_tokens")),
        "output_tokens": _number(totals.get("output_tokens")),
        "generate_seconds": seconds,
        "output_tokens_per_second": tokens / seconds if tokens is not None and seconds else None,
        "score_seconds": _number(facts.section(run, "timings", "phases").get("score")),
        "peak_memory_bytes": _number(speed.get("peak_memory_bytes")),
        "energy_joules": _number(speed.get("energy_joules")),
        "hardware": _text(machine.get("name") or machine.get("gpu")),
        "gpu_count": _number(machine.get("gpu_count")),
        "commit": _text(run.facts.get("commit")),
        "started": _moment(facts.section(run, "timings").get("started")),
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
