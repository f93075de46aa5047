"""`harness bench`: runs the measuring scripts under benchmarks/speed, which pytest-benchmark runs too."""

from __future__ import annotations

import dataclasses
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import units
from harness.cli.output import emit, say
from harness.config import load_experiment
from harness.errors import ConfigError
from harness.machine import machine

KINDS = ("score", "generate", "train")
_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "speed"


def bench(what: str, experiment: Path, overrides: Sequence[str]) -> None:
    """Measure one kind of work and print its figures, each with its unit."""
    if what not in KINDS:
        raise ConfigError(f"'{what}' is nothing that is measured; choose {', '.join(KINDS)}.")
    script = _FOLDER / f"bench_{what}.py"
    if not script.is_file():
        raise ConfigError(
            f"{script} is not here; the speed suites are part of a checkout, not of an installed package."
        )
    figures = runpy.run_path(str(script))["figures"]
    # scoring is measured on rows of its own, so that the figure is the same whatever is trained
    results = figures() if what == "score" else figures(load_experiment(experiment, overrides))
    here = machine()
    say(here.name)
    for result in results:
        say(line(result))
    emit({"machine": {**dataclasses.asdict(here), "name": here.name}, "results": results})


def line(result: dict[str, Any]) -> str:
    """One figure for people: name, value with unit, what else was noted."""
    rest = ", ".join(f"{key} {value}" for key, value in result.items() if key not in ("name", "value", "unit"))
    return f"  {result['name']:<58} {units.rate(result['value'], result['unit']):>16}{'  ' + rest if rest else ''}"
