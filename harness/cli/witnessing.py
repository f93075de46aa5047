"""`harness witness`: the databases one question is judged on, whole, and what a query gives on them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from harness import benchmark as benchmarks
from harness import units
from harness.cli.output import console, emit, say
from harness.config import load_score_command
from harness.errors import DataError
from harness.evaluate.judging import compared_golds, score_settings
from harness.records import Item, Verdict
from harness.scoring import ScoreSettings, score
from harness.scoring.suites import with_suites
from harness.suite.record import Suite


def witness(name: str, identity: str, overrides: Sequence[str], sql: str | None) -> None:
    """Print every database of a question's suites; with `sql`, the one that exposes it."""
    command = load_score_command(name, overrides)
    benchmark = benchmarks.load(command.benchmark.name, command.benchmark.settings)
    item = next((item for item in benchmark.stream() if item.id == identity), None)
    if item is None:
        raise DataError(f"{benchmark.name} has no question '{identity}'; items.parquet of a run holds the ids.")
    settings = dataclasses.replace(score_settings(command.score, benchmark), suite=True)
    golds = compared_golds(benchmark.stream(), settings)
    suites = next(with_suites([item], settings, golds))[1]
    for gold, suite in zip(item.golds, suites, strict=True):
        _print(gold, suite)
    known = [_facts(gold, suite) for gold, suite in zip(item.golds, suites, strict=True)]
    document: dict[str, Any] = {"id": item.id, "suites": known}
    if sql is not None:
        document["answer"] = _asked(item, sql, settings)
    emit(document)


def _facts(gold: str, suite: Suite) -> dict[str, Any]:
    return {
        "gold": gold,
        "databases": list(suite.databases),
        "strategies": list(suite.strategies),
        "discriminating": suite.is_discriminating,
        "killed": suite.killed,
        "neighbours": suite.neighbours,
        "survivors": list(suite.survivors),
        "reason": suite.reason,
    }


def _print(gold: str, suite: Suite) -> None:
    say(f"gold: {gold}")
    if not suite.witnesses:
        say(f"no witness database: {suite.reason}")
        return
    say(f"{suite.killed} of {suite.neighbours} near-misses are told apart")
    say(suite.schema)
    for number, (script, strategy) in enumerate(zip(suite.witnesses, suite.strategies, strict=True)):
        say(f"\n-- witness {number} ({strategy.replace('_', ' ')})\n{script}")


def _asked(item: Item, sql: str, settings: ScoreSettings) -> dict[str, Any]:
    """What a query gives: its verdict, and the witness that exposes it."""
    verdict: Verdict = next(score([item], {item.id: sql}, settings))
    case = json.loads(verdict.witness_case) if verdict.witness_case else None
    say(f"\nexecution match: {verdict.execution_match}, suite match: {verdict.suite_match}")
    if verdict.reason:
        say(verdict.reason)
    if case is not None:
        say(f"told apart on witness {case['witness']}:\n{case['inserts']}")
        for whose in ("gold", "answer"):
            _print_table(whose, case[whose])
    return {
        "sql": sql,
        "outcome": str(verdict.outcome),
        "reason": verdict.reason,
        "execution_match": verdict.execution_match,
        "suite_match": verdict.suite_match,
        "witness_case": case,
    }


def _print_table(whose: str, shown: dict[str, Any]) -> None:
    if "error" in shown:
        say(f"{whose}: {shown['error']}")
        return
    table = Table(
        *(Column(Text(str(name))) for name in shown["columns"]), title=f"{whose}, {units.plural(shown['total'], 'row')}"
    )
    for row in shown["rows"]:
        table.add_row(*(Text("NULL" if cell is None else cell) for cell in row))
    console().print(table)
