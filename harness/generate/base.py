"""What every generator offers; imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.errors import ConfigError
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
        """Yield `decoding.samples` answers a request."""
        ...

    def speed(self) -> Speed | None:
        """Return counts and seconds of the last `generate` as far as it was drawn; None where nothing was timed."""
        ...


def check_decoding(decoding: DecodingSettings) -> None:
    """Raise ConfigError where the settings contradict themselves."""
    if decoding.samples > 1 and decoding.temperature <= 0:
        raise ConfigError(
            f"generate.samples = {decoding.samples} with generate.temperature = 0 gives the same answer each time; "
            "raise the temperature or set samples to 1."
        )
    if decoding.samples < 1 or decoding.max_new_tokens < 1:
        raise ConfigError("generate.samples and generate.max_new_tokens must be at least 1.")
