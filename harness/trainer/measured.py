"""What evaluations found about a model folder, kept beside its weights in `results.json`: the numbers on its card."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StoreError
from harness.scratch import write_whole

RESULTS = "results.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model's totals on one split of one benchmark; shares lie between 0 and 1, None where nothing was scored."""

    run: str
    """Id of the stored run."""
    model: str
    """`base`, `checkpoint-120`, `final`, `merged` ..."""
    weights: str
    """Digest of the adapter (of the model, where there is no adapter): equal digests are equal weights."""
    benchmark: str
    dataset: str
    """Id on the hub; else the benchmark's name."""
    split: str
    revision: str
    """The hub's; else the digest of the questions, golds and tables."""
    digest: str
    """Of the questions, golds and tables."""
    n: int
    scored: int
    """Questions whose gold could be run: what the shares are over."""
    execution_accuracy: float | None
    ci_low: float | None
    ci_high: float | None
    exact_match: float | None
    suite_accuracy: float | None = None
    step: int | None = None
    """Optimizer step of an adapter."""
    limited: bool = False
    """True where only the first questions were asked (`eval.limit`)."""

    @property
    def place(self) -> tuple[str, str, str]:
        """What a later measurement replaces: the same model on the same split."""
        return self.model, self.benchmark, self.split


def read_measurements(folder: Path) -> tuple[Measurement, ...]:
    """What `results.json` holds, empty where there is none; StoreError where it is broken."""
    file = folder / RESULTS
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}")
        return tuple(Measurement(**entry) for entry in document["results"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} cannot be read ({error}); delete it and evaluate again.") from error


def add_measurements(folder: Path, found: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Put measurements in their places, write `results.json`, and return all; one over fewer questions never wins."""
    kept = {entry.place: entry for entry in read_measurements(folder)}
    for entry in found:
        if entry.limited and entry.place in kept and not kept[entry.place].limited:
            continue
        kept[entry.place] = entry
    ordered = tuple(sorted(kept.values(), key=lambda entry: (entry.benchmark, entry.split, _rank(entry))))
    document = {"format": FORMAT, "results": [dataclasses.asdict(entry) for entry in ordered]}
    try:
        write_whole(folder / RESULTS, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise StoreError(f"{folder / RESULTS} cannot be written ({error.strerror}); free some disk.") from error
    return ordered


def _rank(entry: Measurement) -> tuple[bool, int, str]:
    return entry.model != "base", -1 if entry.step is None else entry.step, entry.model
