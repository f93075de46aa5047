"""How commands present themselves: examples below each help, --quiet and --json on every one, completion by <Tab>."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": (
        "harness init shop --database shop.duckdb --questions questions.csv",
        "harness init shop --database tables/ --questions questions.csv --question asked --gold sql",
    ),
    "train": (
        "harness train benchmarks/pocket/pocket.toml",
        "harness train benchmarks/pocket/pocket.toml train.max_steps=20 train.output=reports/adapters/short",
    ),
    "eval": (
        "harness eval benchmarks/pocket/pocket.toml",
        "harness eval benchmarks/pocket/pocket.toml --model base --show 2 eval.limit=50",
        "harness eval benchmarks/pocket/pocket.toml --model final --fail-under 0.55 --junit results.xml",
    ),
    "score": (
        "harness score pocket predictions.jsonl --out reports/runs/mine",
        "harness score questions.jsonl predictions.jsonl --allow-missing score.suite=true",
        "harness score spider predictions.jsonl benchmark.root=/data/spider --fail-under 0.55 --junit results.xml",
    ),
    "rescore": (
        "harness rescore reports/runs/mine",
        "harness rescore reports/runs/mine score.suite=false --out reports/runs/without",
    ),
    "verify": ("harness verify reports/runs/mine", "harness verify reports/runs/mine --sample 500"),
    "plan": ("harness plan benchmarks/pocket/pocket.toml --gpu A100 --n 100000",),
    "audit": ("harness audit pocket", "harness audit spider benchmark.root=/data/spider"),
    "witness": (
        "harness witness pocket 100006",
        'harness witness pocket 100006 --sql "SELECT name FROM telescopes"',
    ),
    "compare": (
        "harness compare reports/runs/a reports/runs/b",
        "harness compare reports/runs/a reports/runs/b --rule suite",
    ),
    "report": ("harness report", "harness report reports/runs/a reports/runs/b --out page"),
    "sql": (
        "harness sql",
        'harness sql "SELECT model, n, execution_accuracy FROM runs ORDER BY 3 DESC"',
        'harness sql "SELECT outcome, count(*) FROM items GROUP BY 1" --runs reports/runs',
    ),
    "bench": ("harness bench score", "harness bench generate --experiment benchmarks/pocket/pocket.toml"),
    "merge": ("harness merge reports/adapters/pocket --out merged",),
    "ask": (
        'harness ask "How many orders are there?" --schema schema.sql',
        'harness ask "How many orders are there?" --schema shop --experiment benchmarks/shop/shop.toml --model base',
    ),
}
"""Command -> lines that can be typed as they stand."""
QUIET = ("--quiet", "-q")
JSON = ("--json",)
MODES = {
    QUIET: "Print nothing but the JSON document, and why it failed",
    JSON: "Print nothing but the JSON document; a failure is one too, with error and kind",
}


class Command(TyperCommand):
    """A command with examples in its help, and --quiet and --json (which `harness.cli` reads before it runs)."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        name = settings.get("name") or (arguments[0] if arguments else None)
        settings["epilog"] = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES.get(str(name), ()))
        settings["params"] = [*(settings.get("params") or []), _flag(QUIET), _flag(JSON)]
        super().__init__(*arguments, **settings)


def _flag(names: tuple[str, ...]) -> Any:
    """An option that takes no value and reaches no function."""
    probe = typer.Typer(add_completion=False)

    @probe.command()
    def command(flag: bool = typer.Option(False, *names, help=MODES[names])) -> None:
        """Nothing: only its option is taken."""

    (option,) = (part for part in typer.main.get_command(probe).params if part.name == "flag")
    option.expose_value = False
    return option


def complete_benchmark(incomplete: str) -> list[str]:
    """Names under benchmarks/; the shell adds files where none fits."""
    return _starting(incomplete, (path.parent.name for path in Path("benchmarks").glob("*/benchmark.toml")))


def complete_experiment(incomplete: str) -> list[str]:
    """Experiment files under benchmarks/."""
    files = (path for path in Path("benchmarks").glob("*/*.toml") if path.name != "benchmark.toml")
    return _starting(incomplete, (path.as_posix() for path in files))


def complete_run(incomplete: str) -> list[str]:
    """Ids of the runs under reports/runs."""
    return _starting(incomplete, (path.parent.name for path in Path("reports/runs").glob("*/run.json")))


def complete_setting(incomplete: str) -> list[str]:
    """Settings of an experiment file, each with its equals sign."""
    # deferred: completion of anything else should not wait for pydantic
    from harness.config import Experiment, keys

    return _starting(incomplete, (f"{key}=" for key in keys(Experiment)))


def complete_rule(incomplete: str) -> list[str]:
    """Judgements that runs can be compared by."""
    from harness.comparison.loaded import JUDGEMENTS

    return _starting(incomplete, JUDGEMENTS)


def _starting(incomplete: str, words: Any) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))
