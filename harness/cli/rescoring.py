"""`harness rescore`: a stored run's answers, judged again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import units
from harness.cli.output import emit, progress, say
from harness.cli.scoring import accuracy
from harness.config import parse_overrides
from harness.evaluate.rescore import rescore as judge_again
from harness.store import find_run

_VERDICTS = {"execution_match": "execution accuracy", "suite_match": "the suite", "exact_match": "exact match"}


def rescore(name: str, overrides: Sequence[str], out: Path | None) -> None:
    """Judge a run's answers again, say what changed and where the new run lies."""
    run = find_run(name)
    with progress("judging again") as tick:
        found = judge_again(run, parse_overrides(overrides), out, tick)
    totals = found.run.facts["totals"]
    say(f"{run.model}: {accuracy(run.facts['totals'])}, judged again {accuracy(totals)}")
    for (before, now), count in sorted(found.outcomes.items(), key=lambda pair: (-pair[1], pair[0])):
        say(f"  {before} is now {now}: {units.count(count)}")
    told = [f"{words} {units.count(found.verdicts.get(key, 0))}" for key, words in _VERDICTS.items()]
    say("already judged by this version" if found.reused else f"verdicts that differ: {', '.join(told)}")
    say(f"stored in {found.run.path}")
    emit(
        {
            "run": found.run.id,
            "from": run.id,
            "out": found.run.path,
            "reused": found.reused,
            **{key: totals[key] for key in ("n", "scored", "unscorable", "execution_accuracy", "exact_match", "suite")},
            "execution_accuracy_before": run.facts["totals"]["execution_accuracy"],
            "outcomes_changed": [
                {"before": before, "now": now, "n": count} for (before, now), count in sorted(found.outcomes.items())
            ],
            "verdicts_changed": dict(found.verdicts),
        }
    )
