"""What a training left on disk: `harness.json` beside an adapter and in each checkpoint. Imports no torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.scratch import write_whole

RECORD = "harness.json"
FORMAT = 1
CHECKPOINTS = "checkpoints"
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An adapter saved on the way."""

    name: str
    """`checkpoint-N`, N the optimizer step."""
    path: Path
    step: int
    epoch: float
    loss: float | None
    """Mean training loss of the last logged stretch; None where none was logged yet."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished adapter and how it was made; times and rates are of the last session where a training was resumed."""

    adapter: Path
    checkpoints: tuple[Checkpoint, ...]
    loss: float | None
    """Mean training loss of the last logged stretch."""
    losses: tuple[Mapping[str, float], ...]
    """What was logged: step, epoch, loss, grad_norm, learning_rate, mean_token_accuracy."""
    steps: int
    seconds: float
    """Wall seconds of this session's training, checkpoints and logging included."""
    step_seconds: float
    """The part of `seconds` that was not spent writing checkpoints; the base of `train_tokens_per_second`."""
    trained_tokens: int
    """Input tokens that went through the model in this session, prompt included, padding left out."""
    loss_tokens: int
    """Tokens the loss was taken over in this session."""
    peak_memory_bytes: int | None
    resumed_from: int
    """Step this session began at; 0 where it began anew."""
    over_long: Mapping[str, int]
    """Rows longer than max_length: `rows` in all, `dropped` of them left out, `truncated` cut."""
    facts: Mapping[str, Any]
    """Settings, digests, base model, dtypes, trainable parameters, versions."""
    reused: bool = field(default=False, compare=False)
    """True where nothing was trained: the same adapter was there already."""

    @property
    def train_tokens_per_second(self) -> float | None:
        """Trained tokens (padding left out) over step_seconds; None where nothing was timed."""
        return self.trained_tokens / self.step_seconds if self.step_seconds > 0 else None

    @property
    def padded_tokens(self) -> int | None:
        """Padding that went through the model in this session, where it was counted."""
        return self.facts.get("padded_tokens")


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `harness.json` to `folder` by rename; StoreError where the disk does not take it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **record}, indent=1, sort_keys=True) + "\n"
        write_whole(folder / RECORD, text.encode())
    except OSError as error:
        raise StoreError(f"{folder / RECORD} cannot be written ({error.strerror}); free some disk.") from error


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return `harness.json` of `folder`; None where there is none; StoreError where it is broken."""
    file = folder / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read ({error}); move {folder} away and train again.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise StoreError(f"{file} is of another version of harness; move {folder} away and train again.")
    return record


def record_of(result: TrainResult) -> dict[str, Any]:
    """Return a result as JSON; paths are left out, since the folder may move."""
    record = dataclasses.asdict(result)
    for key in ("adapter", "checkpoints", "reused"):
        del record[key]
    record["losses"] = [dict(entry) for entry in result.losses]
    record["train_tokens_per_second"] = result.train_tokens_per_second
    return record


def find_result(out: Path) -> TrainResult | None:
    """Return the finished training in `out`; None where there is none."""
    record = read_record(out)
    if record is None or record.get("status") != "finished" or not (out / WEIGHTS).is_file():
        return None
    names = {entry.name for entry in dataclasses.fields(TrainResult)} - {"adapter", "checkpoints", "reused"}
    values = {key: value for key, value in record.items() if key in names}
    values["losses"] = tuple(values["losses"])
    return TrainResult(adapter=out, checkpoints=find_checkpoints(out), reused=True, **values)


def find_checkpoints(out: Path) -> tuple[Checkpoint, ...]:
    """Return the whole checkpoints of a training, oldest first; ones cut off while written are passed over."""
    found = []
    for folder in (out / CHECKPOINTS).glob("checkpoint-*"):
        if not (folder / RECORD).is_file() or not (folder / WEIGHTS).is_file():
            continue
        record = read_record(folder) or {}
        found.append(Checkpoint(folder.name, folder, record["step"], record["epoch"], record.get("loss")))
    return tuple(sorted(found, key=lambda checkpoint: checkpoint.step))
