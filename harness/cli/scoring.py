"""`harness score` and `harness audit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from harness import benchmark as benchmarks
from harness import units
from harness.cli.output import console, emit, progress, say
from harness.config import load_score_command
from harness.evaluate.judging import score_settings
from harness.evaluate.predictions import read_predictions
from harness.evaluate.scored import Scored, score_predictions
from harness.evaluate.shards import join_shards, parse_shard
from harness.scoring import FINDINGS, Audit
from harness.scoring import audit as audit_items

_NAMED = 5
"""Unusable items shown with their reason, a kind."""


def score(
    name: str,
    predictions: Path,
    overrides: Sequence[str],
    out: Path | None,
    *,
    allow_missing: bool,
    part: str | None = None,
) -> None:
    """Score a file of predictions, or one shard of it, and print what came of it."""
    shard = None if part is None else parse_shard(part)
    command = load_score_command(name, overrides)
    benchmark = benchmarks.load(command.benchmark.name, command.benchmark.settings)
    column = benchmark.settings.columns.id
    ids = (item.id for item in benchmark.stream())
    answers = read_predictions(predictions, ids, allow_missing=allow_missing, id_column=column)
    if answers.missing:
        say(f"{units.plural(len(answers.missing), 'question')} without a prediction: counted as wrong.")
    with progress("scoring") as tick:
        scored = score_predictions(
            benchmark, answers, command.score, source=predictions, out=out, shard=shard, tick=tick, say=say
        )
    _print(benchmark.name if shard is None else f"{benchmark.name}, shard {shard}", scored)
    emit(_document(scored) | ({} if shard is None else {"shard": str(shard), "reused": scored.reused}))


def join(folder: Path) -> None:
    """Join the shards under a folder into one run and print what came of it."""
    joined = join_shards(folder)
    scored = Scored(joined.totals, joined.totals["missing"], joined.score_seconds, joined.out)
    _print(f"{folder}, {units.plural(joined.shards, 'shard')}", scored)
    emit(_document(scored) | {"shards": joined.shards, "join_seconds": round(joined.seconds, 3)})


def _document(scored: Scored) -> dict[str, Any]:
    totals = scored.totals
    return {
        **{key: totals[key] for key in ("n", "scored", "unscorable", "execution_accuracy", "execution_accuracy_ci")},
        **{key: totals[key] for key in ("exact_match", "string_match", "structural_match")},
        "rules": totals["rules"],
        "suite": totals["suite"],
        "outcomes": totals["outcomes"],
        "missing": scored.missing,
        "seconds": round(scored.seconds, 3),
        "items_per_second": round(totals["n"] / scored.seconds, 1) if scored.seconds > 0 else None,
        "out": None if scored.out is None else str(scored.out),
    }


def _print(name: str, scored: Scored) -> None:
    totals = scored.totals
    table = Table(title=f"{name}: {units.plural(totals['n'], 'question')}", title_justify="left")
    table.add_column("judgement")
    table.add_column("share", justify="right")
    table.add_row("execution accuracy", accuracy(totals))
    for key in ("exact_match", "string_match", "structural_match"):
        table.add_row(key.replace("_", " "), units.percent(totals[key]))
    for rule, share in totals["rules"].items():
        if rule != "default":
            table.add_row(f"rule {rule}", units.percent(share))
    if totals["suite"]:
        table.add_row("suite match", units.percent(totals["suite"]["accuracy"]))
    console().print(table)
    say(outcomes(totals))
    say(f"{units.rate(totals['n'] / scored.seconds, 'items/s')} in {units.duration(scored.seconds)}")
    if scored.out is not None:
        say(f"stored in {scored.out}")


def accuracy(totals: Mapping[str, Any]) -> str:
    """Execution accuracy with its interval and count."""
    low, high = totals["execution_accuracy_ci"] or (None, None)
    return units.share(totals["execution_accuracy"], low, high, totals["scored"])


def outcomes(totals: Mapping[str, Any]) -> str:
    """Outcomes with their counts, the most frequent first."""
    ranked = sorted(totals["outcomes"].items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {count}" for name, count in ranked)


def audit(name: str, overrides: Sequence[str]) -> None:
    """Audit the benchmark's gold side and print what was found."""
    command = load_score_command(name, overrides)
    benchmark = benchmarks.load(command.benchmark.name, command.benchmark.settings)
    items = benchmark.items()
    with progress("auditing") as tick:
        found = audit_items(
            items,
            score_settings(command.score, benchmark),
            benchmark.items("train") if benchmark.has_training() else None,
            progress=lambda done: tick(done, len(items)),
        )
    _print_audit(benchmark.name, found)
    overlap = benchmark.overlap()
    emit(
        {
            "n": found.n,
            "usable": found.usable,
            "unusable": dict(found.unusable),
            "unusable_ids": {reason: list(ids) for reason, ids in found.unusable_ids.items()},
            "roads": dict(found.roads),
            "findings": {name: len(ids) for name, ids in found.findings.items()},
            "finding_ids": {name: list(ids) for name, ids in found.findings.items()},
            "overlap": None if overlap is None else dataclasses.asdict(overlap),
            "seconds": round(found.seconds, 3),
        }
    )


def _print_audit(name: str, found: Audit) -> None:
    say(f"{name}: {found.usable:,} of {units.plural(found.n, 'gold')} usable, in {units.duration(found.seconds)}")
    for reason, ids in found.unusable_ids.items():
        say(f"  unusable, {reason}: {len(ids)}")
        for identity in list(ids)[:_NAMED]:
            say(f"    {identity}: {found.reasons.get(identity, '')}")
    for finding, ids in found.findings.items():
        if ids:
            say(f"  {finding}: {len(ids)} ({FINDINGS[finding]})")
    say(f"  roads: {', '.join(f'{road} {count}' for road, count in found.roads.items())}")
