"""`harness bench`: runs the measuring scripts under benchmarks/speed, stores the figures, tells what became slower."""

from __future__ import annotations

import dataclasses
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import units
from harness.bench import gate as gates
from harness.bench import stored
from harness.bench.figures import doubts, summarised
from harness.cli.output import emit, say
from harness.config import load_experiment
from harness.errors import ConfigError, HarnessError
from harness.machine import machine, throttle_reasons

KINDS = ("score", "generate", "train")
STORE = Path("reports/bench")
_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "speed"


class SlowerError(HarnessError):
    """A figure fell beyond the noise that was measured."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """How `harness bench` was called."""

    kind: str
    experiment: Path
    overrides: Sequence[str]
    repeats: int = 5
    quick: bool = False
    gate: bool = False
    store: Path = STORE

    @property
    def again(self) -> str:
        """The command that measures the same with more repeats."""
        words = ["harness bench", self.kind, "--experiment", str(self.experiment), *self.overrides]
        return " ".join([*words, *(["--quick"] if self.quick else []), "--repeats", str(2 * self.repeats)])


def bench(asked: Asked) -> None:
    """Measure one kind of work, print and store its figures; SlowerError with `gate` where one fell beyond noise."""
    if asked.kind == "compare":
        _lay_out(asked)
        return
    if asked.kind not in KINDS:
        raise ConfigError(f"'{asked.kind}' is nothing that is measured; choose {', '.join(KINDS)}, or compare.")
    here = machine()
    say(here.name)
    slowed = set(throttle_reasons())
    results = [summarised(figure) for figure in _figures(asked)]
    slowed |= set(throttle_reasons())
    notes = doubts(results, sorted(slowed), asked.again)
    for result in results:
        say(line(result))
    subject = _subject(asked)
    compared = gates.compare(results, stored.history(asked.store, here, asked.kind, subject))
    record: dict[str, Any] = {"kind": asked.kind, "subject": subject, "results": results, "notes": notes}
    record |= {"machine": {**dataclasses.asdict(here), "name": here.name}, "commit": here.commit}
    slower = [change for change in compared if change["slower"]]
    # what failed the gate is not what the next run is held against
    file = None if slower and asked.gate else stored.write(asked.store, here, record)
    for note in notes:
        say(note)
    for change in compared:
        say(_changed(change))
    emit({**record, "compared": compared, "stored": None if file is None else str(file)})
    if slower and asked.gate:
        raise SlowerError(
            f"{plural(len(slower))} slower than on this machine at {slower[0]['last']}, beyond the noise: "
            f"{slower[0]['name']} {slower[0]['change']:+.1%} (noise {slower[0]['noise']:.1%}); measure again with "
            f"`{asked.again}`, or accept it by running without --gate."
        )


def line(result: Mapping[str, Any]) -> str:
    """One figure for people: name, median with unit, interval, share of the ceiling where known."""
    text = f"  {result['name']:<58} {units.rate(result['value'], result['unit']):>16}"
    if "low" in result:
        text += f"  [{units.rate(result['low'], '').strip()}, {units.rate(result['high'], '').strip()}]"
        text += f" {100 * result['confidence']:.0f} %, n={result['repeats']}"
    return text + "".join(f", {name} {result[name]}" for name in ("exact", "binds", "note") if result.get(name))


def plural(count: int) -> str:
    """`1 figure is`, `2 figures are`."""
    return "1 figure is" if count == 1 else f"{count} figures are"


def _figures(asked: Asked) -> list[dict[str, Any]]:
    script = _FOLDER / f"bench_{asked.kind}.py"
    if not script.is_file():
        raise ConfigError(
            f"{script} is not here; the speed suites are part of a checkout, not of an installed package."
        )
    figures = runpy.run_path(str(script))["figures"]
    # scoring is measured on rows of its own, so that the figure is the same whatever is trained
    given = () if asked.kind == "score" else (load_experiment(asked.experiment, asked.overrides),)
    found: list[dict[str, Any]] = figures(*given, repeats=asked.repeats, quick=asked.quick)
    return found


def _subject(asked: Asked) -> str:
    """What was measured, so that like is held against like."""
    words = [] if asked.kind == "score" else [str(asked.experiment), *asked.overrides]
    return " ".join([*words, *(["quick"] if asked.quick else [])])


def _changed(change: Mapping[str, Any]) -> str:
    word = "slower" if change["slower"] else "as before"
    return f"  {change['name']:<58} {change['change']:+.1%} since {change['last']}, noise {change['noise']:.1%}: {word}"


def _lay_out(asked: Asked) -> None:
    """The newest stored runs of every machine beside each other."""
    runs = stored.latest(asked.store)
    if not runs:
        raise ConfigError(f"No benchmark run is stored in {asked.store}; make one with `harness bench score`.")
    table = gates.side_by_side(runs)
    for name, row in table.items():
        say(name)
        for where, value in row.items():
            say(f"    {where:<52} {'-' if value is None else f'{value:,.1f}':>16}")
    emit({"machines": sorted({run["machine"]["name"] for run in runs}), "figures": table})
