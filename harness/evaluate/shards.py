"""Shards: a scoring cut into parts that any scheduler may run, each a run folder of its own, joined into one run.

A shard is a stretch of the items in the benchmark's order, so that joining is reading one after the other. What is
joined has the same bytes whatever the number of shards (timings apart).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, StoreError
from harness.evaluate.stored import add_row, stored_rows
from harness.evaluate.totals import Totals
from harness.records import Run
from harness.store import RunFolder, is_finished, read_run

FOLDER = "shards"
_NAME = re.compile(r"(\d+)-of-(\d+)")
_APART = ("timings", "totals", "shard", "machine", "commit", "id", "asked", "generator")
"""What may differ between two shards; of the machine, the versions may not."""
_JUDGING = ("harness", "duckdb", "sqlglot")
"""Versions that a verdict on given answers depends on; where a model answered too, all count."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` parts, counted from 1."""

    number: int
    of: int

    def bounds(self, count: int) -> tuple[int, int]:
        """First and last (exclusive) place of the shard's items among `count`; sizes differ by one at most."""
        return count * (self.number - 1) // self.of, count * self.number // self.of

    def folder(self, out: Path) -> Path:
        """Where the shard lies under the run it belongs to."""
        return out / FOLDER / f"{self.number:05}-of-{self.of:05}"

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_shard(text: str) -> Shard:
    """`3/16` as a shard; a ConfigError where it is none."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if found is not None:
        shard = Shard(int(found[1]), int(found[2]))
        if 1 <= shard.number <= shard.of:
            return shard
    raise ConfigError(f"'{text}' is no shard; write NUMBER/OF, such as 3/16 (the first is 1/16, the last 16/16).")


@dataclass(frozen=True, slots=True)
class Joined:
    """One run made of shards."""

    totals: Mapping[str, Any]
    shards: int
    seconds: float
    """Wall seconds of joining."""
    score_seconds: float
    """Seconds of scoring, all shards together."""
    out: Path


def join_shards(out: Path) -> Joined:
    """Write the run of all shards under `out`; a StoreError names what is missing, damaged or unlike."""
    start = time.perf_counter()
    runs = finished_shards(out)
    with RunFolder(out) as folder:
        totals = write_joined(folder, runs, lambda: _timings(runs, time.perf_counter() - start))
    scored = sum(run.facts["timings"]["phases"].get("score", 0.0) for run in runs)
    return Joined(totals, len(runs), time.perf_counter() - start, scored, out)


def write_joined(folder: RunFolder, runs: Sequence[Run], timings: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Write the run of these shards to a folder that is held; returns its totals.

    The memory does not depend on the number of items; `timings` is asked when the items are written.
    """
    totals = Totals()
    folder.write_items(_rows(runs, totals))
    facts = {key: value for key, value in runs[0].facts.items() if key not in ("shard", "format")}
    counted = totals.facts()
    if "missing" in runs[0].facts["totals"]:
        counted["missing"] = sum(run.facts["totals"]["missing"] for run in runs)
    folder.finish({**facts, "totals": counted, "timings": timings()})
    return counted


def _timings(runs: Sequence[Run], seconds: float) -> dict[str, Any]:
    spent = [run.facts["timings"]["phases"].get("score", 0.0) for run in runs]
    machines = [run.facts["machine"]["name"] for run in runs]
    return {
        "started": min(run.facts["timings"]["started"] for run in runs),
        "phases": {"score": sum(spent), "join": seconds},
        "shards": [{"machine": name, "seconds": took} for name, took in zip(machines, spent, strict=True)],
        "speed": None,
    }


def finished_shards(out: Path) -> list[Run]:
    """Every shard's run, in order; a StoreError where one is missing or does not belong to the others."""
    named = sorted(path for path in (out / FOLDER).glob("*-of-*") if _NAME.fullmatch(path.name))
    counts = sorted({int(path.name.partition("-of-")[2]) for path in named})
    if not counts:
        raise StoreError(f"{out} holds no shards; make them with `harness score BENCHMARK PREDICTIONS --shard 1/N`.")
    if len(counts) > 1:
        shown = " and of ".join(str(count) for count in counts)
        raise StoreError(f"{out / FOLDER} holds shards of {shown}; delete the folders that are not wanted.")
    shards = [Shard(number, counts[0]) for number in range(1, counts[0] + 1)]
    absent = [str(shard) for shard in shards if not is_finished(shard.folder(out))]
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        which = "shards are" if len(absent) > 1 else "shard is"
        raise StoreError(
            f"{len(absent)} {which} not finished in {out}: {', '.join(absent[:5])}{more}; run `harness score` with "
            f"--shard {absent[0]} (again), then join."
        )
    runs = [read_run(shard.folder(out)) for shard in shards]
    _check_alike(out, runs)
    return runs


def _check_alike(out: Path, runs: Sequence[Run]) -> None:
    """Refuse shards of another benchmark, predictions, judge or version, naming the field."""
    first = _identity(runs[0])
    for run in runs[1:]:
        other = _identity(run)
        for field in sorted(set(first) | set(other)):
            mine, theirs = first.get(field), other.get(field)
            if mine != theirs:
                number, of = run.facts["shard"]["number"], run.facts["shard"]["of"]
                raise StoreError(
                    f"The shards in {out} do not belong together: {field} is {mine!r} in shard 1/{of} and {theirs!r} "
                    f"in shard {number}/{of}; run one of them again with the other's inputs and versions."
                )
    expected = runs[0].facts["benchmark"]["n"]
    held = sum(run.facts["shard"]["n"] for run in runs)
    if held != expected:
        raise StoreError(
            f"The shards in {out} hold {held:,} items where the benchmark has {expected:,}; make them again."
        )


def _identity(run: Run) -> dict[str, Any]:
    facts = {key: value for key, value in run.facts.items() if key not in _APART}
    facts["digests"] = {key: value for key, value in facts["digests"].items() if key != "items"}
    machine = run.facts["machine"]
    facts["machine"] = {"python": machine["python"]}
    names = _JUDGING if run.facts.get("kind") == "predictions" else sorted(machine["versions"])
    facts["machine"]["versions"] = {name: machine["versions"].get(name) for name in names}
    return dict(_flat(facts))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _flat(below, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _rows(runs: Sequence[Run], totals: Totals) -> Iterator[dict[str, Any]]:
    """Every row: all questions' first answers in the benchmark's order, then all second ones."""
    samples = runs[0].facts.get("decoding", {}).get("samples", 1)
    for sample in range(samples):
        for run in runs:
            count = 0
            for row in _rows_of(run):
                if row["sample"] == sample:
                    count += 1
                    add_row(totals, row)
                    yield row
            if count != run.facts["shard"]["n"]:
                told = f"{count:,} items where its run.json says {run.facts['shard']['n']:,}"
                raise StoreError(f"{run.path} holds {told}; make the shard again.")


def _rows_of(run: Run) -> Iterator[dict[str, Any]]:
    try:
        yield from stored_rows(run)
    except StoreError as error:
        number, of = run.facts["shard"]["number"], run.facts["shard"]["of"]
        told = f"Shard {number}/{of} is damaged: {error} Run `harness score` with --shard {number}/{of} again."
        raise StoreError(told) from None


def shard_facts(shard: Shard, count: int) -> dict[str, int]:
    """What a shard's `run.json` says about its place."""
    first, last = shard.bounds(count)
    return {**asdict(shard), "first": first, "n": last - first}
