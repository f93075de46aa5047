"""What an evaluation will take on another GPU and at another size: seconds and money, before anything runs.

Operations and bytes are counted from the model's shape (`harness.throughput.cost`); launches, one-off costs and the
share of a peak that is reached are constants fitted to the published H100 runs and to pocket on a CPU; SQL time and
tokens a question come from a stored run of the experiment where there is one. Its error there: reports/LOG.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import ConfigError
from harness.throughput.cost import ModelShape, decode_bytes, decode_flops, prefill_flops

Backend = Literal["engine", "transformers"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device by its datasheet, and what an hour of it costs about."""

    flops: float
    """Dense 16-bit operations a second."""
    bytes: float
    """Bytes a second from its memory."""
    price: float
    """US dollars an hour on demand, a round figure of 2026; give your own with --price."""


GPUS: Mapping[str, Gpu] = {
    "T4": Gpu(65e12, 0.32e12, 0.4),
    "L4": Gpu(121e12, 0.30e12, 0.8),
    "A10": Gpu(125e12, 0.60e12, 1.0),
    "A100": Gpu(312e12, 2.04e12, 2.0),
    "H100": Gpu(989e12, 3.35e12, 3.0),
    "H200": Gpu(989e12, 4.8e12, 4.0),
    "CPU": Gpu(0.15e12, 0.02e12, 0.1),
}
PREFILL_SHARE: Mapping[str, float] = {"engine": 0.14, "transformers": 0.024}
"""Of peak operations while prompts are read, by a model of 100 million weights; larger ones reach more."""
PREFILL_GROWTH = 0.58
"""Power of the weights by which the engine's share grows (0.14 at 0.1, 0.43 at 0.7 thousand million)."""
PREFILL_MOST = 0.5
CPU_SHARE = 0.4
"""The same on a CPU, which has no launches to wait for."""
DECODE_SHARE = 0.45
"""Of peak bytes while answers are written."""
ENGINE_STEP = 0.0003
"""Seconds a captured step takes beside its bytes: one launch, one look at what has ended."""
EAGER_LAYER = 0.0021
"""Seconds a layer and step take where the host launches every kernel of a GPU."""
CPU_LAYER = 0.0004
"""The same on a CPU."""
ENGINE_ONCE = 18.0
"""Seconds of compiling and capturing, once for all checkpoints (7 and 23 were measured)."""
LONGEST = 8.0
"""The longest answer of many over the mean one; a static batch goes on until it ends."""
TAIL = 3.0
"""Steps at the end of an evaluation in which slots stay empty, over the mean answer."""
SQL_SECONDS = 1 / 270
"""Core seconds a question costs to score, inline schema, one contained worker (harness bench score)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the model."""

    questions: int
    prompt_tokens: float
    """A question, on average."""
    output_tokens: float
    sql_seconds: float = SQL_SECONDS
    """Core seconds of scoring a question."""
    models: int = 1
    """Models that answer the same questions, one after the other."""
    load_seconds: float = 6.0
    """Of loading one model."""
    longest: float = 256.0
    """Tokens after which an answer is cut (generate.max_new_tokens)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Predicted seconds by phase, for all models together."""

    load: float
    once: float
    prefill: float
    decode: float
    score: float

    @property
    def seconds(self) -> float:
        """Wall seconds in all."""
        return self.load + self.once + self.prefill + self.decode + self.score

    def cost(self, price: float) -> float:
        """Money, at so much an hour."""
        return self.seconds / 3600 * price


def gpu_of(name: str) -> Gpu:
    """The device of a name such as `A100`, or of a driver's name that holds one; a ConfigError lists the known."""
    for known in sorted(GPUS, key=len, reverse=True):
        if known.lower() in name.lower():
            return GPUS[known]
    raise ConfigError(f"No figures are known for '{name}'; known are {', '.join(GPUS)}.")


def plan(shape: ModelShape, load: Load, gpu: Gpu, backend: Backend, *, batch: int, workers: int) -> Plan:
    """Predict an evaluation; `batch` sequences are decoded together, `workers` processes score."""
    tokens = load.questions * load.output_tokens
    prompts = load.questions * load.prompt_tokens
    context = load.prompt_tokens + load.output_tokens / 2
    read = prefill_flops(shape, prompts, load.questions, prompts * load.prompt_tokens)
    together = max(1, min(batch, load.questions))
    if backend == "engine":
        # no answer goes on behind max_new_tokens
        steps = tokens / together + min(TAIL * load.output_tokens, max(0.0, load.longest - load.output_tokens))
    else:
        steps = math.ceil(load.questions / together) * min(LONGEST * load.output_tokens, load.longest)
    on_cpu = gpu is GPUS["CPU"]
    reached = gpu.flops * (CPU_SHARE if on_cpu else _prefill_share(shape, backend))
    moved = decode_bytes(shape, steps, tokens, context) / (gpu.bytes * DECODE_SHARE)
    counted = decode_flops(shape, steps * together, context) / (gpu.flops * (CPU_SHARE if on_cpu else 0.14))
    beside = ENGINE_STEP if backend == "engine" else (CPU_LAYER if on_cpu else EAGER_LAYER) * shape.layers
    # captured steps add their launch to their bytes; eager ones hide the bytes behind the launches
    decode = moved + steps * beside if backend == "engine" or on_cpu else max(moved, counted, steps * beside)
    if on_cpu:
        decode += counted
    return Plan(
        load=load.models * load.load_seconds,
        once=ENGINE_ONCE if backend == "engine" else 0.0,
        prefill=load.models * read / reached,
        decode=load.models * decode,
        score=load.models * load.questions * load.sql_seconds / workers,
    )


def _prefill_share(shape: ModelShape, backend: Backend) -> float:
    if backend != "engine":
        return PREFILL_SHARE[backend]
    return min(PREFILL_MOST, PREFILL_SHARE[backend] * (shape.linear_parameters / 1e8) ** PREFILL_GROWTH)


def load_of_run(facts: Mapping[str, Any], questions: int, models: int) -> Load:
    """What a stored run says about one question's tokens and scoring time."""
    totals, phases = facts["totals"], facts["timings"]["phases"]
    cores = max(1, int(facts["machine"].get("cpu_count") or 1))
    count = max(1, totals["n"])
    return Load(
        questions,
        totals["prompt_tokens"] / count,
        totals["output_tokens"] / count,
        # a run of a few questions spends its time on starting workers, which does not grow with their number
        max(phases.get("score", 0.0) - 1.0, 0.1) * cores / count,
        models,
        phases.get("load", 6.0),
    )
