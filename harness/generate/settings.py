"""How answers are decoded and where from: the `generate` section as frozen records. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """What decides the text of an answer, and how many are made at once."""

    max_new_tokens: int = 256
    """An answer longer than this is cut and marked unfinished."""
    temperature: float = 0.0
    """0 is greedy: the likeliest token each step."""
    top_p: float = 1.0
    """Nucleus sampling: only the likeliest tokens that together hold this much probability."""
    samples: int = 1
    """Answers a question; more than one needs a temperature above 0."""
    seed: int = 0
    """Of the sampling; greedy decoding draws nothing."""
    stop: tuple[str, ...] = ()
    """Further tokens (each one token of the vocabulary) that end an answer, beside eos and the turn's end."""
    batch_size: int = 0
    """Sequences decoded together; 0 chooses by the memory found."""
    block: int = 2048
    """Prompts among which the engine shares its slots; processes share whole blocks."""
    cache: Literal["dynamic", "static"] = "dynamic"
    """transformers' KV cache: static is compiled by transformers on a GPU."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """An OpenAI-compatible server; the key is read from the environment, never from a file."""

    url: str = "http://localhost:8000/v1"
    """Base address, up to and with `/v1`."""
    model: str = ""
    """The name the server knows; empty asks the server for the only one it serves."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; no key is sent where it is unset."""
    concurrency: int = 16
    """Requests in flight."""
    retries: int = 5
    """Further tries after 408, 409, 429, 5xx or a broken connection, with growing pauses."""
    timeout_seconds: float = 120.0
    """Of one request."""
