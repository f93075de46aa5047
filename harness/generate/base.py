"""What every generator offers; imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.generate.settings import DecodingSettings
from harness.records import Generation, Speed

Progress = Callable[[int, int], None]
"""Called with (answers done, answers in all)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question as a chat."""

    id: str
    messages: tuple[Mapping[str, str], ...]
    """`role` and `content` each, ending with the user's message."""


class Generator(Protocol):
    """Answers requests; answers come in any order, as soon as they exist, so that a killed run keeps its part."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What made the answers, for `run.json`: backend, model, dtype, batch size and notes."""
        ...

    def generate(
        self, requests: Sequence[Request], decoding: DecodingSettings, progress: Progress | None = None
    ) -> Iterator[Generation]:
        """Yields `decoding.samples` answers a request."""
        ...

    def speed(self) -> Speed | None:
        """Counts and seconds of the last `generate`, as far as it was drawn; None where nothing was timed."""
        ...
