"""The cards of what an experiment evaluated: each model folder keeps its results and shows them. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.benchmark import Benchmark
from harness.config import Experiment
from harness.errors import HarnessError, StoreError
from harness.evaluate.subjects import Subject
from harness.model.files import digest, read_json
from harness.records import Run
from harness.trainer.measured import Measurement, add_measurements, read_measurements
from harness.trainer.result import RECORD, TrainResult, find_result

MERGED_FACTS = "adapter_digest"
"""What only the record of a merged model has."""


def data_facts(benchmark: Benchmark, split: str, digest_of_items: str) -> dict[str, Any]:
    """Where questions are from, for a card: benchmark, hub id and revision, split, digest."""
    settings = benchmark.settings
    return {
        "benchmark": benchmark.name,
        "hub": settings.hub,
        "revision": settings.hub_revision,
        "split": split,
        "digest": digest_of_items,
    }


def refresh_cards(
    experiment: Experiment, benchmark: Benchmark, subject: Subject, run: Run, say: Callable[[str], None]
) -> None:
    """Put a run's results on the cards of its model and of the adapter it belongs to; a full disk is said, not raised.

    Only folders that harness wrote get a card. Answers of a server say nothing about local weights.
    """
    if experiment.generate.backend == "server":
        return
    found = measurement(benchmark, subject, run)
    out = Path(experiment.adapter_folder)
    try:
        result = find_result(out)
        if result is not None and _belongs(subject, run, result):
            _refresh_adapter(result, found)
        if subject.folder is not None and subject.folder != out and (subject.folder / RECORD).is_file():
            _refresh_folder(subject.folder, found)
    except (StoreError, OSError) as error:
        say(f"{subject.name}: the card is not refreshed ({error})")


def push_cards(experiment: Experiment, say: Callable[[str], None]) -> None:
    """With `train.push_to_hub`, put the refreshed card of the adapter on the hub too; what goes wrong is said."""
    out = Path(experiment.adapter_folder)
    if not experiment.train.push_to_hub or experiment.generate.backend == "server" or not read_measurements(out):
        return
    from harness.trainer.hub import push_card

    try:
        push_card(out, experiment.train.hub_model_id or out.name)
    except HarnessError as error:
        say(str(error))


def measurement(benchmark: Benchmark, subject: Subject, run: Run) -> Measurement:
    """A run's totals as a card shows them."""
    facts = run.facts
    totals, digests = facts["totals"], facts["digests"]
    low, high = totals["execution_accuracy_ci"] or (None, None)
    split = benchmark.settings.evaluate
    return Measurement(
        run=run.id,
        model=subject.name,
        weights=digests["adapter"] or digests["model"],
        benchmark=benchmark.name,
        dataset=benchmark.settings.hub or benchmark.name,
        split=split,
        revision=benchmark.settings.hub_revision or digests["benchmark"],
        digest=digests["benchmark"],
        n=totals["n"],
        scored=totals["scored"],
        execution_accuracy=totals["execution_accuracy"],
        ci_low=low,
        ci_high=high,
        exact_match=totals["exact_match"],
        suite_accuracy=(totals["suite"] or {}).get("accuracy"),
        step=subject.training.get("step"),
        limited=facts["experiment"]["eval"]["limit"] is not None,
    )


def card_of_merged(folder: Path) -> None:
    """Write the card of a model that was just merged; StoreError where the disk does not take it."""
    _refresh_merged(folder, read_json(folder / RECORD), read_measurements(folder))


def _belongs(subject: Subject, run: Run, result: TrainResult) -> bool:
    if subject.kind == "base":
        return bool(run.facts["digests"]["model"] == result.facts["model"]["digest"])
    return subject.folder is not None and subject.folder.resolve().is_relative_to(result.adapter.resolve())


def _refresh_adapter(result: TrainResult, found: Measurement) -> None:
    # deferred, here and below: the hub's client takes half a second to import, and most commands write no card
    from harness.trainer.card import write_card

    write_card(result.adapter, result, add_measurements(result.adapter, [found]), digest(result.adapter))


def _refresh_folder(folder: Path, found: Measurement) -> None:
    record = read_json(folder / RECORD)
    if MERGED_FACTS in record:
        _refresh_merged(folder, record, add_measurements(folder, [found]))
    elif record.get("status") == "checkpoint":
        from harness.trainer.card import write_checkpoint_card

        write_checkpoint_card(folder, record, add_measurements(folder, [found]))
    elif (result := find_result(folder)) is not None:
        _refresh_adapter(result, found)


def _refresh_merged(folder: Path, record: Mapping[str, Any], measured: tuple[Measurement, ...]) -> None:
    from harness.trainer.card import write_merged_card

    write_merged_card(folder, record, record.get("training") or {}, measured)
