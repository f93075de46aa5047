"""Which of a generator's batches (the engine's blocks) to answer: one rank's part, without what is kept.

Imports no torch.

The last bits of an answer depend on which prompts share a batch. So the batches are cut from all requests, always
alike, and whole batches are handed out or left out: the answers are then those of one undisturbed process, however many
processes there are and however often they were killed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


class Named(Protocol):
    """What has an id."""

    @property
    def id(self) -> str:
        """Whose answer it is."""
        ...


Prompt = TypeVar("Prompt", bound=Named)
Batch = tuple[int, Sequence[Prompt]]
"""Place of its first prompt among all, and its prompts."""


@dataclass(frozen=True, slots=True)
class Share:
    """Every `count`-th batch from `index` on, but those whose answers are all kept."""

    index: int = 0
    count: int = 1
    kept: Collection[str] = frozenset()

    def batches(self, prompts: Sequence[Prompt], size: int) -> list[Batch[Prompt]]:
        """The batches to answer, out of all that `prompts` are cut into."""
        cut = ((at, prompts[at : at + size]) for at in range(0, len(prompts), size))
        return [
            (at, batch)
            for number, (at, batch) in enumerate(cut)
            if number % self.count == self.index and any(prompt.id not in self.kept for prompt in batch)
        ]

    def idle(self, prompts: int, size: int, setting: str, samples: int = 1) -> list[str]:
        """What to note where there are more processes than batches of `size`, which `setting` decides."""
        batches = -(-prompts // size)
        if batches >= self.count:
            return []
        enough = samples * max(1, prompts // self.count)
        return [
            f"{self.count - batches} of {self.count} processes had nothing to answer: {prompts} questions make "
            f"{batches} batches of {size}; {setting}={enough} would occupy all"
        ]

    def items(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """For a generator whose answers do not depend on each other: a stretch of what is left."""
        left = [prompt for prompt in prompts if prompt.id not in self.kept]
        return left[len(left) * self.index // self.count : len(left) * (self.index + 1) // self.count]


WHOLE = Share()
"""All of it."""


def smaller(batches: Iterable[Batch[Prompt]], size: int) -> list[Batch[Prompt]]:
    """The same batches cut further."""
    return [(at + start, batch[start : start + size]) for at, batch in batches for start in range(0, len(batch), size)]
