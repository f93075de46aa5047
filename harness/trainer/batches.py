"""What trl's collator makes, with what the loss needs counted on the host and, where asked, one shape for all steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from harness.trainer.rows import IGNORED

Batch = dict[str, Any]
CAPACITY_STEP = 256
"""Places for loss tokens are given in such portions, so that few shapes occur."""
LEAN_KEYS = ("loss_index", "loss_targets", "loss_weight", "real_tokens")
"""What LeanCollator adds; the model itself does not take these."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape for every micro-step."""

    tokens: int
    """Positions of a flattened row: batch_size x max_length."""
    documents: int
    """Most documents that such a row can hold, those of padding included."""
    longest: int
    """Positions of the longest document: max_length."""


def packed_shape(lengths: Sequence[Sequence[int]], batch_size: int, max_length: int) -> Shape:
    """Return the shape that holds any `batch_size` packs, given the document lengths of each pack."""
    most = max(map(len, lengths), default=1)
    return Shape(batch_size * max_length, batch_size * (most + 1) + 1, max_length)


class LeanCollator:
    """Adds to a batch of trl's collator where its loss tokens are, so that nothing has to wait for the device.

    `loss_index` [places] are positions (of the flattened batch) whose next token is learned, `loss_targets` [places]
    these tokens, `loss_weight` [places] 1, or 0 at places that are filled up; `real_tokens` [1] counts input tokens
    without padding. With a `shape`, one flattened row is padded to it by documents of padding, `cu_seq_lens` by
    documents of no length; where rows are not flattened, there are made to be `rows` of them, `row_length` long.
    """

    def __init__(
        self,
        inner: Callable[[list[Mapping[str, Any]]], Batch],
        pad_id: int,
        shape: Shape | None = None,
        row_length: int = 0,
        rows: int = 0,
        portions: bool = False,
    ) -> None:
        self.inner = inner
        self.pad_id = pad_id
        self.shape = shape
        self.row_length = row_length
        self.rows = rows
        self.portions = portions

    def __call__(self, examples: list[Mapping[str, Any]]) -> Batch:
        """Return the batch of these examples."""
        batch = self.inner(examples)
        mask = batch.pop("attention_mask", None) if self.row_length else batch.get("attention_mask")
        real = int(mask.sum()) if mask is not None else batch["input_ids"].numel()
        if self.shape is not None and "cu_seq_lens_q" in batch:
            batch = _fill(batch, self.shape, self.pad_id)
        elif self.row_length:
            rows, length = batch["input_ids"].shape
            more = (0, self.row_length - length, 0, max(0, self.rows - rows))
            batch["input_ids"] = torch.nn.functional.pad(batch["input_ids"], more, value=self.pad_id)
            batch["labels"] = torch.nn.functional.pad(batch["labels"], more, value=IGNORED)
        return batch | _loss_places(batch["labels"], self.portions) | {"real_tokens": torch.tensor([real])}


def _loss_places(labels: torch.Tensor, portions: bool) -> Batch:
    width = labels.shape[1]
    row, at = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
    index, targets = row * width + at, labels[row, at + 1]
    weight = torch.ones(len(index), dtype=torch.float32)
    places = -(-max(1, len(index)) // CAPACITY_STEP) * CAPACITY_STEP if portions else max(1, len(index))
    more = places - len(index)
    pad = torch.nn.functional.pad
    return {
        "loss_index": pad(index, (0, more)),
        "loss_targets": pad(targets, (0, more)),
        "loss_weight": pad(weight, (0, more)),
    }


def _fill(batch: Batch, shape: Shape, pad_id: int) -> Batch:
    """Pad one flattened row to `shape`; what fills it up are documents of at most `longest` tokens."""
    pad = torch.nn.functional.pad
    used = batch["input_ids"].shape[1]
    fillers = [min(shape.longest, shape.tokens - start) for start in range(used, shape.tokens, shape.longest)]
    positions = [torch.arange(length) for length in fillers]
    starts = batch["cu_seq_lens_q"]
    ends = starts[-1] + torch.tensor(fillers, dtype=torch.int32).cumsum(0).to(torch.int32)
    starts = torch.cat([starts, ends])
    starts = pad(starts, (0, shape.documents + 1 - len(starts)), value=shape.tokens)
    more = shape.tokens - used
    return {
        "input_ids": pad(batch["input_ids"], (0, more), value=pad_id),
        "labels": pad(batch["labels"], (0, more), value=IGNORED),
        "position_ids": torch.cat([batch["position_ids"], *(p[None] for p in positions)], dim=1),
        "cu_seq_lens_q": starts,
        "cu_seq_lens_k": starts,
        "max_length_q": shape.longest,
        "max_length_k": shape.longest,
    }
