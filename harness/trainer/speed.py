"""What a training's speed is, for its record: tokens, operations, shares of the device's peaks, energy, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.machine import machine
from harness.model.load import Loaded
from harness.throughput import SHORTEST_ENERGY_SECONDS
from harness.throughput.cost import shape_of, train_flops
from harness.throughput.peaks import Peaks, datasheet
from harness.trainer.rows import Rows
from harness.trainer.settings import TrainSettings


def throughput_facts(
    loaded: Loaded,
    rows: Rows,
    settings: TrainSettings,
    peaks: Peaks,
    counted: Mapping[str, Any],
    joules: float | None,
    phases: Mapping[str, float],
) -> dict[str, Any]:
    """Return the facts; blanks where the kind of model or the hardware is unknown.

    `counted`: trained_tokens, padded_tokens, step_seconds, peak_memory_bytes of this session. Operations by the QLoRA
    convention of `harness.throughput.cost`; recomputation and padding are no useful work.
    """
    here = machine()
    tokens, seconds = counted["trained_tokens"], counted["step_seconds"]
    shape = shape_of(loaded.model.config)
    flops = None
    if shape is not None:
        flops = train_flops(shape, _context(rows, settings), settings.lora_r, bool(settings.modules_to_save))
    rate = tokens / seconds if seconds > 0 else None
    sheet = datasheet(here.gpu if loaded.device.type == "cuda" else "").flops
    energy = joules if joules is not None and seconds >= SHORTEST_ENERGY_SECONDS else None
    return {
        **counted,
        "tokens_per_second": rate,
        "flops_per_token": flops,
        "mfu_datasheet": _share(rate, flops, sheet),
        "mfu_measured": _share(rate, flops, peaks.flops),
        "joules": energy,
        "joules_per_token": energy / tokens if energy is not None and tokens else None,
        "phases": dict(phases),
        "machine": here.name,
        "throttle_reasons": list(here.throttle_reasons),
    }


def _context(rows: Rows, settings: TrainSettings) -> float:
    """Tokens that a trained token attends to on average, itself included."""
    if settings.packing == "wrapped":
        return (settings.max_length + 1) / 2
    lengths = [len(row) for row in rows.input_ids]
    return sum(length * (length + 1) / 2 for length in lengths) / max(1, sum(lengths))


def _share(rate: float | None, flops: float | None, peak: float | None) -> float | None:
    return rate * flops / peak if rate and flops and peak else None
