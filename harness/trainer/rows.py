"""Examples to token rows with labels, over-long ones counted; and the digest of the data. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import DataError
from harness.model.chat import encode_example
from harness.trainer.settings import Example, TrainSettings

IGNORED = -100
"""Label of a token the loss is not taken over (torch's ignore_index)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokenised training data."""

    input_ids: list[list[int]]
    labels: list[list[int]]
    over_long: int
    dropped: int

    @property
    def tokens(self) -> int:
        """Input tokens of one pass over the rows, before packing."""
        return sum(map(len, self.input_ids))

    @property
    def loss_tokens(self) -> int:
        """Tokens of one pass that the loss is taken over (a row's first token has nothing before it, so no loss)."""
        return sum(label != IGNORED for row in self.labels for label in row[1:])


def encode_rows(examples: Sequence[Example], tokenizer: Any, settings: TrainSettings) -> Rows:
    """Tokenise `examples`; DataError where there are none, or none fits max_length."""
    if not examples:
        raise DataError("There are no training rows; check benchmark.train and its sizes.")
    inputs, labels = [], []
    over_long = dropped = 0
    for example in examples:
        prompt, answer = encode_example(tokenizer, example.messages, example.completion)
        ids = prompt + answer
        targets = ids if settings.loss_on == "all" else [IGNORED] * len(prompt) + answer
        if settings.packing != "wrapped" and len(ids) > settings.max_length:
            over_long += 1
            ids, targets = ids[: settings.max_length], targets[: settings.max_length]
            if settings.over_long == "drop" or all(label == IGNORED for label in targets):
                dropped += 1
                continue
        inputs.append(ids)
        labels.append(list(targets))
    if not inputs:
        raise DataError(
            f"Not one of {len(examples):,} training rows fits train.max_length={settings.max_length} tokens; raise it."
        )
    return Rows(inputs, labels, over_long, dropped)


def data_digest(examples: Iterable[Example]) -> str:
    """Return a hex digest of the examples in their order."""
    sha = hashlib.sha256()
    for example in examples:
        row = [[dict(message) for message in example.messages], example.completion]
        sha.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
        sha.update(b"\n")
    return sha.hexdigest()
