"""`harness train` and `harness eval`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import units
from harness.cli.gate import OPEN, Gate
from harness.cli.output import console, emit, no_progress, progress, say
from harness.cli.reading import write_report
from harness.cli.scoring import accuracy
from harness.config import Experiment, load_experiment
from harness.evaluate.run import Evaluated, Evaluation, Hooks
from harness.evaluate.training import train_experiment
from harness.ranks import ranks
from harness.report.terminal import result_table
from harness.store import load_items

_SHOWN = 2000
"""Characters of a context or answer that `--show` prints."""


def train(path: Path, overrides: Sequence[str]) -> None:
    """Train the experiment's adapter and print where it lies and how fast it went."""
    experiment = load_experiment(path, overrides)
    together = ranks(os.environ, experiment.model.device)
    if not together.first:
        train_experiment(experiment, say=_unsaid, ranks=together)
        return
    with progress("training") as tick:
        result = train_experiment(experiment, say=say, tick=tick, ranks=together)
    if result.reused:
        say(f"{result.adapter} is already trained by this recipe: reused.")
    loss = "" if result.loss is None else f", loss {result.loss:.3f}"
    say(f"{units.plural(result.steps, 'step')} in {units.duration(result.seconds)}{loss}")
    emit(
        {
            "adapter": str(result.adapter),
            "checkpoints": [str(checkpoint.path) for checkpoint in result.checkpoints],
            "train_tokens_per_second": result.train_tokens_per_second,
            "peak_memory_bytes": result.peak_memory_bytes,
            "loss": result.loss,
            "steps": result.steps,
            "seconds": result.seconds,
            "reused": result.reused,
        }
    )


def evaluate(path: Path, overrides: Sequence[str], gate: Gate = OPEN) -> None:
    """Evaluate the experiment's models, print one table, write the report page; MarkError by the gate."""
    experiment = load_experiment(path, overrides)
    together = ranks(os.environ, experiment.model.device)
    if not together.first:
        for _ in Evaluation(experiment, Hooks(_unsaid, no_progress), together).all():
            pass
        return
    evaluation = Evaluation(experiment, Hooks(say, progress), together)
    found: list[Evaluated] = []
    for evaluated in evaluation.all():
        found.append(evaluated)
        say(f"{evaluated.run.model}: {accuracy(evaluated.run.facts['totals'])}")
    documents = [_document(evaluated) for evaluated in found]
    console().print(result_table(documents, experiment.name))
    _show(found, experiment.eval.show)
    gate.write([evaluated.run for evaluated in found])
    last = found[-1].run
    emit({"runs": documents, "report": _report(experiment, found), **gate.facts(last.facts["totals"])})
    gate.check(last.model, last.facts["totals"])


def _unsaid(text: str) -> None:
    """The first of several processes speaks for all."""


def _document(evaluated: Evaluated) -> dict[str, Any]:
    run = evaluated.run
    totals = run.facts["totals"]
    low, high = totals["execution_accuracy_ci"] or (None, None)
    return {
        "run": run.id,
        "path": run.path,
        "model": run.model,
        **{key: totals[key] for key in ("n", "scored", "unscorable", "execution_accuracy")},
        "ci_low": low,
        "ci_high": high,
        "exact_match": totals["exact_match"],
        "suite_accuracy": (totals["suite"] or {}).get("accuracy"),
        "discriminating_accuracy": discriminating(totals).get("accuracy"),
        "discriminating_share": discriminating(totals).get("share"),
        "outcomes": totals["outcomes"],
        "output_tokens_per_second": _rate(evaluated),
        "reused": evaluated.reused,
    }


def discriminating(totals: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the totals say of the questions whose witnesses tell their golds from trivial queries."""
    return (totals["suite"] or {}).get("discriminating") or {}


def _rate(evaluated: Evaluated) -> float | None:
    speed = evaluated.run.facts.get("timings", {}).get("speed") or {}
    seconds = speed.get("generate_seconds")
    return speed["output_tokens"] / seconds if seconds else None


def _show(found: Sequence[Evaluated], count: int) -> None:
    """The first questions with context, gold and every model's answer."""
    columns = ("question", "context", "gold_sql", "completion", "outcome", "reason")
    tables = [load_items(evaluated.run, columns).slice(0, count).to_pylist() for evaluated in found]
    for rows in zip(*tables, strict=True):
        say(f"\nContext:\n{rows[0]['context'][:_SHOWN]}")
        say(f"Query:\n{rows[0]['question']}")
        say(f"Original answer:\n{rows[0]['gold_sql']}")
        for evaluated, row in zip(found, rows, strict=True):
            verdict = row["outcome"] + (f": {row['reason']}" if row["reason"] else "")
            say(f"Generated by {evaluated.run.model} ({verdict}):\n{row['completion'][:_SHOWN]}")


def _report(experiment: Experiment, found: Sequence[Evaluated]) -> str | None:
    if not experiment.eval.report:
        return None
    page = write_report([evaluated.run.path for evaluated in found], None)
    say(f"report: {page}")
    return str(page)
