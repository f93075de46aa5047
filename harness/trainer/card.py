"""The README.md of an adapter, a checkpoint or a merged model: what it is, what it scored, how it was made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from harness.errors import StoreError
from harness.scratch import write_whole
from harness.trainer.curve import CURVE, curve_image, curve_table
from harness.trainer.measured import Measurement
from harness.trainer.norms import gradient_rows
from harness.trainer.result import TrainResult
from harness.trainer.sections import base_id, base_name, identity, made, merged_from, recipe, results, use

CARD = "README.md"
TASK = ("text-generation", "Text-to-SQL")


def write_card(folder: Path, result: TrainResult, measured: Sequence[Measurement] = (), weights: str = "") -> None:
    """Write the card of a finished adapter and its curve; `weights` is its digest, by which its results are known.

    StoreError where the disk does not take it.
    """
    facts = result.facts
    own = _own(measured, weights)
    on_the_way = _on_the_way(measured)
    image = curve_image(result.losses, on_the_way)
    table = curve_table(result.losses, on_the_way)
    body = [
        f"# Text-to-SQL adapter for {base_name(facts['model'])}",
        "",
        made(facts),
        *results(measured),
        *use(facts["model"], adapter=True),
        *recipe(facts, result.over_long),
        *(["## Training curve", *([f"![loss and accuracy by step]({CURVE})", ""] if image else []), *table, ""]),
        *_measured(result),
        *identity(facts),
    ]
    if image:
        _write(folder / CURVE, image)
    _write(folder / CARD, _card(folder.name, facts, "peft", own, body))


def write_checkpoint_card(folder: Path, record: Mapping[str, Any], measured: Sequence[Measurement] = ()) -> None:
    """Write the card of a checkpoint from its `harness.json`; StoreError where the disk does not take it."""
    loss = "" if record.get("loss") is None else f", training loss {record['loss']:.4f}"
    body = [
        f"# Text-to-SQL adapter for {base_name(record['model'])}, {folder.name}",
        "",
        made(record),
        "",
        f"Saved after optimizer step {record['step']:,} (epoch {record['epoch']:.2f}{loss}).",
        *results(measured),
        *use(record["model"], adapter=True),
        *recipe(record),
        *identity(record),
    ]
    _write(folder / CARD, _card(folder.name, record, "peft", measured, body))


def write_merged_card(
    folder: Path, record: Mapping[str, Any], training: Mapping[str, Any], measured: Sequence[Measurement] = ()
) -> None:
    """Write the card of a merged model from its `harness.json` and, where known, its adapter's facts.

    StoreError where the disk does not take it.
    """
    facts = {**training, "model": record}
    body = [
        f"# {record['adapter']} merged into {base_name(record)}",
        "",
        merged_from(record),
        *results(measured),
        *use(record, adapter=False),
        *(recipe(training) if training else []),
    ]
    _write(folder / CARD, _card(folder.name, facts, "transformers", measured, body))


def eval_results(measured: Sequence[Measurement]) -> list[EvalResult]:
    """The hub's records of execution accuracy, exact match and, where judged, suite accuracy."""
    return [
        EvalResult(
            task_type=TASK[0],
            task_name=TASK[1],
            dataset_type=entry.dataset,
            dataset_name=entry.benchmark,
            dataset_split=entry.split,
            dataset_revision=entry.revision,
            dataset_args={"digest": entry.digest, "questions": entry.n, "scored": entry.scored},
            metric_type=kind,
            metric_name=kind.replace("_", " "),
            metric_value=round(value, 6),
            metric_args=_interval(entry) if kind == "execution_accuracy" else None,
        )
        for entry in measured
        for kind in ("execution_accuracy", "exact_match", "suite_accuracy")
        if (value := getattr(entry, kind)) is not None
    ]


def _own(measured: Sequence[Measurement], weights: str) -> list[Measurement]:
    """The adapter's own results, one a split: the last checkpoint is the adapter where nothing was trained after it."""
    own: dict[tuple[str, str], Measurement] = {}
    for entry in measured:
        if entry.model == "final" or (weights and entry.weights == weights):
            place = (entry.benchmark, entry.split)
            own[place] = entry if entry.model == "final" else own.get(place, entry)
    return list(own.values())


def _on_the_way(measured: Sequence[Measurement]) -> list[Measurement]:
    """Checkpoints on the split that most of them were asked, the base before them as step 0."""
    splits: dict[tuple[str, str], list[Measurement]] = {}
    for entry in measured:
        if entry.model.startswith("checkpoint-") and not entry.limited:
            splits.setdefault((entry.benchmark, entry.split), []).append(entry)
    if not splits:
        return []
    chosen = max(splits, key=lambda split: len(splits[split]))
    start = [
        dataclasses.replace(entry, step=0)
        for entry in measured
        if entry.model == "base" and (entry.benchmark, entry.split) == chosen and not entry.limited
    ]
    return start + splits[chosen]


def _interval(entry: Measurement) -> dict[str, Any] | None:
    if entry.ci_low is None or entry.ci_high is None:
        return None
    return {"interval_95": [round(entry.ci_low, 6), round(entry.ci_high, 6)], "rule": "default"}


def _card(name: str, facts: Mapping[str, Any], library: str, own: Sequence[Measurement], body: Sequence[str]) -> bytes:
    base = base_id(facts["model"])
    data = facts.get("data") or {}
    front = ModelCardData(
        base_model=base,
        datasets=[data["hub"]] if data.get("hub") else None,
        eval_results=eval_results(own) or None,
        library_name=library,
        model_name=name,
        pipeline_tag=TASK[0],
        tags=["text-to-sql", "qlora", "trl"] if library == "peft" else ["text-to-sql"],
        metrics=sorted({result.metric_type for result in eval_results(own)}) or None,
    )
    return str(ModelCard(f"---\n{front.to_yaml()}\n---\n" + "\n".join(body) + "\n")).encode()


def _measured(result: TrainResult) -> list[str]:
    rate, memory = result.train_tokens_per_second, result.peak_memory_bytes
    since = f" (resumed at step {result.resumed_from}; times are of the last session)" if result.resumed_from else ""
    return [
        "## Measured while training",
        "| what | value |",
        "|---|---|",
        f"| optimizer steps | {result.steps:,}{since} |",
        f"| training loss at the end | {'' if result.loss is None else f'{result.loss:.4f}'} |",
        f"| wall time | {result.seconds:.1f} s |",
        f"| trained tokens (prompt included, padding left out) a second | {'' if rate is None else f'{rate:,.0f}'} |",
        f"| peak memory | {'' if memory is None else f'{memory / 2**30:.2f} GiB'} |",
        *gradient_rows(result.facts),
        "",
    ]


def _write(file: Path, data: bytes) -> None:
    try:
        write_whole(file, data)
    except OSError as error:
        raise StoreError(f"{file} cannot be written ({error.strerror}); free some disk.") from error
