"""What an evaluation will take on another GPU and at another size: seconds and money, before anything runs.

Operations and bytes are counted from the model's shape (`harness.throughput.cost`) and divided by the datasheet's
peaks; the shares of a peak that are reached, launches and one-off costs are constants measured on one H100 and one CPU,
and nothing is fitted to another machine. SQL time and tokens a question come from a stored run of the experiment where
there is one. How far off this is where it was measured: `harness.evaluate.plan_error`, `reports/plan.md`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import ConfigError
from harness.generate.engine.work import STEPS
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
    measured: str = ""
    """Where predictions for it have been compared with what it took; empty: nowhere."""
    engine: bool = True
    """Whether the engine's kernels run on it: NVIDIA's, from compute capability 8.0."""


GPUS: Mapping[str, Gpu] = {
    "T4": Gpu(65e12, 0.32e12, 0.4, engine=False),
    "L4": Gpu(121e12, 0.30e12, 0.8),
    "A10": Gpu(125e12, 0.60e12, 1.0),
    "A100": Gpu(312e12, 2.04e12, 2.0),
    "H100": Gpu(989e12, 3.35e12, 3.0, "tables of speed and whole evaluations"),
    "H200": Gpu(989e12, 4.8e12, 4.0, "a table of speed, no whole evaluation"),
    "CPU": Gpu(
        0.43e12, 0.048e12, 0.1, "whole evaluations on two cores of one machine; another is not known", engine=False
    ),
}
"""A CPU has no datasheet for this: two cores of a Xeon as the probe of `harness.throughput.peaks` found them."""

BYTES_SHARE = 0.8
"""Of peak bytes that the engine's kernels reach (profile on an H100: the cache is read at 2.7 of 3.35 TB/s)."""
DECODE_SHARE = 0.71
"""Of peak operations while answers are written (the same profile: products at 700 of 989 TFLOP/s)."""
TAIL = 3.7
"""Steps at the end in which slots stay empty, over the mean answer (Spider: 3.6 and 3.75)."""
EAGER_LAYER = 0.0044
"""Seconds a layer and step take where the host launches every kernel of a GPU (Spider, 270M, generate() on an H100)."""
EAGER_PASSES = 16.0
"""Bytes that unfused layers move while reading a prompt, over those of the engine's fused ones (the same run)."""
EAGER_READ_SHARE = 0.14
"""Of peak operations in products of unfused layers."""
PADDING = 0.56
"""Padded tokens a prompt token in generate()'s batches of Spider's prompts."""
CPU_SHARE = 0.32
"""Of peak operations on a CPU."""
CPU_BYTES_SHARE = 0.45
"""Of peak bytes on a CPU."""
CPU_CACHE_PASSES = 3.3
"""Times that a CPU's step moves every row's cache: it is copied to be longer by one, widened, and read."""
CPU_LAYER = 0.0004
"""Seconds a layer and step take on a CPU, whatever they compute."""
START = 17.0
"""Seconds until a process has loaded torch and probed its GPU (16.6 and 17.2 were measured)."""
CPU_START = 3.6
"""The same where a CPU answers."""
ENGINE_ONCE = 13.0
"""Seconds of building and capturing kernels, once a process: half of them inside the first reading of prompts."""
LOAD_WEIGHTS = 5e7
"""Weights a second that are read, dequantised and quantised, the tokenizer's share of the time with them."""
LOAD_START = 0.4
"""Seconds of loading that do not grow with the model."""
TOKENISE = 1.5e-6
"""Seconds of the host a prompt token."""
SCORE_START = 1.4
"""Seconds until the scoring workers of one model have started."""
SCORE_PARENT = 0.0008
"""Seconds of one process a question, however many workers score (0.7 and 0.9 ms on 200,000 questions)."""
SQL_SECONDS = 0.004
"""Core seconds of a worker a question: between Spider's 2.1 ms and 7.4 where every eighth brings new tables."""
SUITE_SECONDS = 0.12
"""Core seconds to make one gold's witness databases (reports/suites.md: 0.08 to 0.21)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The two constants that are fitted to a table of the engine's speed, on one machine."""

    prefill_share: float
    """Of peak operations in the products while prompts are read."""
    layer: float
    """Seconds a layer and captured step take beside what they move and compute."""


H100 = Fit(prefill_share=0.66, layer=20e-6)
"""Fitted to `2026-11-24-h100-speed/engine.json` alone (`benchmarks/speed/plan_table.py` shows it)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the model."""

    questions: int
    prompt_tokens: float
    """A question, on average."""
    output_tokens: float
    sql_seconds: float = SQL_SECONDS
    """Core seconds of scoring a question."""
    suite_seconds: float = 0.0
    """Core seconds of making a question's suite, once for all models; 0 where none is asked for or all are there."""
    models: int = 1
    """Models that answer the same questions, one after the other."""
    load_seconds: float | None = None
    """Of loading one model and describing its run; None: by the model's size."""
    longest: float = 256.0
    """Tokens after which an answer is cut (generate.max_new_tokens)."""
    padding: float = PADDING
    """Padded tokens a prompt token, where generate() reads prompts of several lengths together."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Predicted seconds by phase, for all models together; prefill holds making tokens of the prompts."""

    start: float
    load: float
    once: float
    prefill: float
    decode: float
    suites: float
    score: float

    @property
    def seconds(self) -> float:
        """Wall seconds in all."""
        return self.start + self.load + self.once + self.prefill + self.decode + self.suites + self.score

    def cost(self, price: float) -> float:
        """Money, at so much an hour."""
        return self.seconds / 3600 * price


def gpu_of(name: str) -> Gpu:
    """The device of a name such as `A100`, or of a driver's name that holds one; a ConfigError lists the known."""
    for known in sorted(GPUS, key=len, reverse=True):
        if known.lower() in name.lower():
            return GPUS[known]
    raise ConfigError(f"No figures are known for '{name}'; known are {', '.join(GPUS)}.")


def plan(
    shape: ModelShape, load: Load, gpu: Gpu, backend: Backend, *, batch: int, workers: int, fit: Fit = H100
) -> Plan:
    """Predict an evaluation; `batch` sequences are decoded together, `workers` processes score."""
    on_cpu = gpu is GPUS["CPU"]
    if on_cpu:
        prefill, decode = _cpu(shape, load, gpu, batch)
    elif backend == "engine":
        prefill, decode = _engine(shape, load, gpu, batch, fit)
    else:
        prefill, decode = _eager(shape, load, gpu, batch)
    tokenise = load.questions * load.prompt_tokens * TOKENISE
    sized = LOAD_START + (shape.linear_parameters + shape.head_parameters) / LOAD_WEIGHTS
    return Plan(
        start=CPU_START if on_cpu else START,
        load=load.models * (sized if load.load_seconds is None else load.load_seconds),
        once=ENGINE_ONCE if backend == "engine" and not on_cpu else 0.0,
        prefill=load.models * (prefill + tokenise),
        decode=load.models * decode,
        suites=load.questions * load.suite_seconds / workers,
        score=load.models * (SCORE_START + load.questions * max(load.sql_seconds / workers, SCORE_PARENT)),
    )


def _engine(shape: ModelShape, load: Load, gpu: Gpu, batch: int, fit: Fit) -> tuple[float, float]:
    """Seconds of reading and of writing, in captured steps."""
    read = _read(shape, load)
    moved = load.questions * load.prompt_tokens * activation_bytes(shape)
    prefill = read / (gpu.flops * fit.prefill_share) + moved / (gpu.bytes * BYTES_SHARE)
    steps = engine_steps(load, batch)
    rows = max(1, min(batch, load.questions))
    tokens, context = load.questions * load.output_tokens, _context(load)
    # a captured step computes every slot, filled or not
    computed = decode_flops(shape, steps * rows, context) / (gpu.flops * DECODE_SHARE)
    fetched = decode_bytes(shape, steps, tokens, context) / (gpu.bytes * BYTES_SHARE)
    return prefill, computed + fetched + steps * shape.layers * fit.layer


def engine_steps(load: Load, batch: int) -> float:
    """Steps until the last answer has ended: slots are filled again as long as there are prompts."""
    slots = max(1, min(batch, load.questions))
    # no answer goes on behind max_new_tokens
    tail = min(TAIL * load.output_tokens, max(0.0, load.longest - load.output_tokens))
    waves = math.ceil(load.questions / slots) * load.output_tokens
    steps = max(load.questions * load.output_tokens / slots + tail, waves)
    return math.ceil(steps / STEPS - 1e-9) * STEPS


def _eager(shape: ModelShape, load: Load, gpu: Gpu, batch: int) -> tuple[float, float]:
    """The same where the host launches every kernel of transformers' layers."""
    read = _read(shape, load) * (1 + load.padding)
    moved = load.questions * load.prompt_tokens * (1 + load.padding) * activation_bytes(shape) * EAGER_PASSES
    prefill = read / (gpu.flops * EAGER_READ_SHARE) + moved / (gpu.bytes * BYTES_SHARE)
    steps, rows = eager_steps(load, batch), max(1, min(batch, load.questions))
    tokens, context = load.questions * load.output_tokens, _context(load)
    fetched = decode_bytes(shape, steps, tokens, context) / (gpu.bytes * BYTES_SHARE)
    computed = decode_flops(shape, steps * rows, context) / (gpu.flops * EAGER_READ_SHARE)
    # what the device does is hidden behind the launches, or they behind it
    return prefill, max(fetched, computed, steps * shape.layers * EAGER_LAYER)


def eager_steps(load: Load, batch: int) -> float:
    """Steps of static batches, each going on until its longest answer ends.

    The longest of m answers is the mean one times ln m + 0.58 where lengths fall off exponentially.
    """
    rows = max(1, min(batch, load.questions))
    whole, rest = divmod(load.questions, rows)

    def longest(count: int) -> float:
        return min(load.output_tokens * max(1.0, math.log(count) + 0.58), load.longest)

    return whole * longest(rows) + (longest(rest) if rest else 0.0)


def _cpu(shape: ModelShape, load: Load, gpu: Gpu, batch: int) -> tuple[float, float]:
    """The same on a CPU, in 32-bit numbers; rows that have ended are carried on until their batch is done."""
    prefill = _read(shape, load) / (gpu.flops * CPU_SHARE)
    steps, rows = eager_steps(load, batch), max(1, min(batch, load.questions))
    context = _context(load)
    moved = decode_bytes(shape, steps, steps * rows, context, 4.0, 4.0 * CPU_CACHE_PASSES)
    computed = decode_flops(shape, steps * rows, context) / (gpu.flops * CPU_SHARE)
    return prefill, moved / (gpu.bytes * CPU_BYTES_SHARE) + computed + steps * shape.layers * CPU_LAYER


def activation_bytes(shape: ModelShape) -> int:
    """Bytes a prompt token's 16-bit activations move in fused layers beside the products.

    Four norms with their sums read and write the hidden state three times each, the gate reads two and writes one
    inner vector, rotation and cache read and write queries, keys and values.
    """
    heads = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    return 2 * shape.layers * (12 * shape.hidden + 3 * shape.mlp + 4 * heads)


def _read(shape: ModelShape, load: Load) -> float:
    prompts = load.questions * load.prompt_tokens
    return prefill_flops(shape, prompts, load.questions, prompts * load.prompt_tokens)


def _context(load: Load) -> float:
    return load.prompt_tokens + load.output_tokens / 2


def load_of_run(facts: Mapping[str, Any], questions: int, models: int) -> Load:
    """What a stored run says about one question's tokens and scoring time."""
    totals, timings = facts["totals"], facts["timings"]
    phases = timings["phases"]
    cores = max(1, int(facts["machine"].get("cpu_count") or 1))
    count = max(1, totals["n"])
    # a verdict that an earlier run had given took no time
    judged = max(1, totals["n"] - (timings.get("remembered") or 0))
    scored = phases.get("score", 0.0) + phases.get("duckdb", 0.0)
    # starting the workers does not grow with the number of questions
    each = max(0.0, scored - SCORE_START) / judged
    # where the parent took the time, or suites may have been made, the run says nothing of scoring
    is_told = each > 2 * SCORE_PARENT and not facts.get("score", {}).get("suite")
    padded = (timings.get("speed") or {}).get("padded_tokens") or 0
    is_eager = facts.get("generator", {}).get("backend") == "transformers"
    return Load(
        questions,
        totals["prompt_tokens"] / count,
        totals["output_tokens"] / count,
        each * cores if is_told else SQL_SECONDS,
        models=models,
        load_seconds=phases["load"] + phases.get("describe", 0.0) if "load" in phases else None,
        padding=padded / max(1, totals["prompt_tokens"]) if is_eager else PADDING,
    )
