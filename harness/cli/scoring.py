"""`harness score` and `harness audit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from harness import benchmark as benchmarks
from harness import units
from harness.cli.gate import OPEN, Gate
from harness.cli.output import console, emit, progress, say
from harness.config import load_score_command
from harness.evaluate.judging import score_settings
from harness.evaluate.predictions import read_predictions
from harness.evaluate.scored import Scored, score_predictions
from harness.evaluate.shards import join_shards, parse_shard
from harness.records import Item
from harness.scoring import FINDINGS, Audit, ScoreSettings, audit_suites
from harness.scoring import audit as audit_items
from harness.store import read_run

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
    gate: Gate = OPEN,
) -> None:
    """Score a file of predictions, or one shard of it, and print what came of it; MarkError by the gate."""
    shard = None if part is None else parse_shard(part)
    command = load_score_command(name, overrides)
    benchmark = benchmarks.load(command.benchmark.name, command.benchmark.settings)
    column = benchmark.settings.columns.id
    ids = (item.id for item in benchmark.stream())
    answers = read_predictions(predictions, ids, allow_missing=allow_missing, id_column=column)
    if answers.missing:
        say(f"{units.plural(len(answers.missing), 'question')} without a prediction: counted as wrong.")
    with gate.folder(out) as folder:
        with progress("scoring") as tick:
            scored = score_predictions(
                benchmark, answers, command.score, source=predictions, out=folder, shard=shard, tick=tick, say=say
            )
        gate.write([] if folder is None or shard is not None else [read_run(folder)])
    scored = dataclasses.replace(scored, out=out)
    _print(benchmark.name if shard is None else f"{benchmark.name}, shard {shard}", scored)
    sharded = {} if shard is None else {"shard": str(shard), "reused": scored.reused}
    emit(_document(scored) | sharded | gate.facts(scored.totals))
    gate.check(predictions.name, scored.totals)


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
        "remembered": scored.remembered,
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
    for label, share in suite_lines(totals["suite"]):
        table.add_row(label, share)
    console().print(table)
    say(outcomes(totals))
    known = f", {scored.remembered:,} judged in earlier runs" if scored.remembered else ""
    say(f"{units.rate(totals['n'] / scored.seconds, 'items/s')} in {units.duration(scored.seconds)}{known}")
    if scored.out is not None:
        say(f"stored in {scored.out}")


def suite_lines(suite: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What stands beside execution accuracy where witness databases were asked: accuracy on them, luck, vacuity."""
    if not suite:
        return []
    low, high = suite["accuracy_ci"]
    lines = [
        ("suite match", units.share(suite["accuracy"], low, high, suite["n"])),
        ("right by luck", units.count(suite["lucky"])),
    ]
    told = suite["discriminating"]
    if told:
        low, high = told["accuracy_ci"] or (None, None)
        lines += [
            ("discriminating questions", units.percent(told["share"])),
            ("execution accuracy on these", units.share(told["accuracy"], low, high, told["n"])),
            ("suite match on these", units.percent(told["suite_accuracy"])),
        ]
    return lines


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
    suites = _audited_suites(items, score_settings(command.score, benchmark), found)
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
            "suite": suites,
            "overlap": None if overlap is None else dataclasses.asdict(overlap),
            "seconds": round(found.seconds, 3),
        }
    )


def _audited_suites(items: Sequence[Item], settings: ScoreSettings, found: Audit) -> dict[str, Any] | None:
    """What the witness databases can tell, printed and as a document; None where suites are switched off."""
    if not settings.suite:
        return None
    with progress("making witness databases") as tick:
        unusable = set(found.reasons)
        told = audit_suites(items, settings, unusable, lambda done: tick(done, len(items) - len(unusable)))
    low, high = told.kill_rate_ci or (None, None)
    say(f"  witness databases: {told.with_suite:,} of {units.plural(told.n, 'question')} have some")
    say(f"  kill rate: {units.share(told.kill_rate, low, high, told.killable)}, near-misses of {told.sampled} golds")
    say(f"  discriminating: {units.percent(told.discriminating_share)} of {told.with_suite:,}")
    for reason, count in list(told.without.items())[:_NAMED]:
        say(f"  no witness database: {count} ({reason})")
    return {
        "n": told.n,
        "with_suite": told.with_suite,
        "without": told.without,
        "witnesses_per_item": told.witnesses / told.with_suite if told.with_suite else None,
        "kill_rate": told.kill_rate,
        "kill_rate_ci": None if told.kill_rate_ci is None else [low, high],
        "killed": told.killed,
        "killable": told.killable,
        "sampled": told.sampled,
        "discriminating_share": told.discriminating_share,
        "discriminating": told.discriminating,
        "vacuous_ids": list(told.vacuous_ids),
    }


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
