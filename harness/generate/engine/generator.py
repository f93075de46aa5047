"""Answers from the engine: longest prompts first, slots refilled as sequences finish, no wait for the device a step."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.errors import DeviceError
from harness.generate.base import Progress, Request, check_decoding
from harness.generate.engine.decoder import Decoder
from harness.generate.engine.shape import EngineUnfitError, Shape, read_shape
from harness.generate.settings import DecodingSettings
from harness.model.chat import stop_ids
from harness.model.load import Loaded
from harness.model.nf4 import dequantise
from harness.records import Generation, Speed
from harness.throughput import clock, timed, weighted_quantiles

MOST_SLOTS = 1024
STEPS = 16
"""Decode steps between two looks at which sequences are done."""
PROMPT_TOKENS = 32_768
"""Prompt positions read at once, padding included."""
MEMORY_SHARE = 0.8
"""Of the free GPU memory, what the cache may take."""
OLDEST = (8, 0)
"""Compute capability that Triton still builds for."""
_WIDTH = 64
"""Positions are rounded up to this, so that a like benchmark reuses the cache of the last."""


@dataclass(frozen=True, slots=True)
class Work:
    """One prompt as ids, and how many ids may answer it."""

    number: int
    ids: Sequence[int]
    limit: int


@dataclass(slots=True)
class Counts:
    """What one pass over the prompts took."""

    prompt_tokens: int = 0
    padded_tokens: int = 0
    output_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    seconds: float = 0.0
    steps: int = 0
    peak_memory_bytes: int | None = None
    joules: float | None = None
    tokenise_seconds: float = 0.0
    compile_seconds: float = 0.0
    """Weights taken, kernels compiled, steps captured: in no other count of seconds."""
    first_token: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of reading prompts together, and how many."""
    between: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of a decode step, and the tokens that came so."""
    notes: list[str] = field(default_factory=list)

    def add(self, groups: Sequence[Sequence[Work]], spans: Sequence[float], captured: float, tokens: int) -> None:
        """Count a turn: the seconds of reading each group, then those of its decode steps, capturing included."""
        *reading, decoding = spans
        self.first_token.extend((seconds, len(group)) for seconds, group in zip(reading, groups, strict=True))
        self.prompt_tokens += sum(len(work.ids) for group in groups for work in group)
        self.prefill_seconds += sum(reading)
        self.decode_seconds += decoding - captured
        self.seconds += sum(spans) - captured
        self.compile_seconds += captured
        self.output_tokens += tokens
        self.steps += STEPS


class EngineGenerator:
    """The generator over a `Decoder`; greedy decoding alone."""

    def __init__(self, loaded: Loaded) -> None:
        """Take over a loaded model; EngineUnfitError where the engine cannot run it."""
        check_device(loaded.device)
        _plain(loaded)
        self._loaded = loaded
        self._shape: Shape = read_shape(loaded.model)
        self._decoder: Decoder | None = None
        self._prompt_tokens = PROMPT_TOKENS
        self._counts = Counts()

    @property
    def facts(self) -> Mapping[str, Any]:
        """The model's facts beside backend, slots, and how the weights are held."""
        decoder = self._decoder
        mine: dict[str, Any] = {"backend": "engine"}
        if self._loaded.facts.get("precision") == "nf4":
            mine["base_precision"] = "nf4-dequantised"
        if decoder is not None:
            mine |= {"batch_size": decoder.slots, "capture_seconds": round(decoder.capture_seconds, 3)}
            mine["decode_steps"] = self._counts.steps
        return {**self._loaded.facts, **mine, "notes": tuple(self._counts.notes)}

    @property
    def shape(self) -> Shape:
        """The decoder's sizes, for ceilings."""
        return self._shape

    def adopt(self, loaded: Loaded) -> bool:
        """Answer for another model of the same shape from now on, captured steps kept; False where it does not fit."""
        try:
            _plain(loaded)
            same = read_shape(loaded.model) == self._shape
        except EngineUnfitError:
            return False
        if not same or (self._decoder is not None and not self._decoder.adopt(loaded.model)):
            return False
        self._loaded = loaded
        return True

    def speed(self) -> Speed | None:
        """Return counts and seconds of the last `generate`, as far as it was drawn."""
        counts = self._counts
        if counts.seconds == 0:
            return None
        return Speed(
            prompt_tokens=counts.prompt_tokens,
            output_tokens=counts.output_tokens,
            padded_tokens=counts.padded_tokens,
            generate_seconds=counts.seconds,
            prefill_seconds=counts.prefill_seconds,
            decode_seconds=counts.decode_seconds,
            peak_memory_bytes=counts.peak_memory_bytes,
            energy_joules=counts.joules,
            tokenise_seconds=counts.tokenise_seconds,
            compile_seconds=counts.compile_seconds,
            decode_steps=counts.steps,
            launches_per_step=1.0 if self._loaded.device.type == "cuda" else None,
            first_token_seconds=weighted_quantiles(counts.first_token),
            token_seconds=weighted_quantiles(counts.between),
        )

    def generate(
        self, requests: Sequence[Request], decoding: DecodingSettings, progress: Progress | None = None
    ) -> Iterator[Generation]:
        """Yield answers as sequences finish."""
        check_decoding(decoding)
        if decoding.temperature > 0:
            raise EngineUnfitError("The engine decodes greedily; set generate.backend=transformers to sample.")
        stops = stop_ids(self._loaded.tokenizer, self._loaded.model.generation_config, decoding.stop)
        start = time.perf_counter()
        ids = [self._loaded.encode(request.messages) for request in requests]
        tokenised = time.perf_counter() - start
        works = [Work(number, prompt, decoding.max_new_tokens) for number, prompt in enumerate(ids)]
        for done, (work, answer) in enumerate(self.answers(works, stops, decoding.batch_size), start=1):
            self._counts.tokenise_seconds = tokenised
            yield self._generation(requests[work.number].id, work, answer, stops)
            if progress is not None:
                progress(done, len(works))

    def answers(self, works: Sequence[Work], stops: Sequence[int], slots: int = 0) -> Iterator[tuple[Work, list[int]]]:
        """Yield (prompt, ids answered, the stop included) in the order they finish; counts go to `speed`."""
        self._counts = counts = Counts()
        if not works:
            return
        start = clock(self._loaded.device)
        decoder = self._fitting(works, slots)
        decoder.state.set_stops(stops)
        decoder.warm({len(work.ids) for work in works})
        counts.compile_seconds = clock(self._loaded.device) - start
        waiting = sorted(works, key=lambda work: (-len(work.ids), work.number))
        with timed(self._loaded.device) as region:
            yield from self._turns(decoder, waiting, counts)
        counts.peak_memory_bytes, counts.joules = region.peak_memory_bytes, region.joules

    def _turns(self, decoder: Decoder, waiting: list[Work], counts: Counts) -> Iterator[tuple[Work, list[int]]]:
        """Read prompts into free slots, step, hand over what is done; the clock stands while answers are taken."""
        free = list(range(decoder.slots))[::-1]
        active: dict[int, Work] = {}
        at = 0
        while at < len(waiting) or active:
            marks = [decoder.mark()]
            groups = []
            worth_reading = len(free) >= decoder.slots // 8 or not active
            while worth_reading and free and at < len(waiting):
                group = _group(waiting, at, len(free), self._prompt_tokens)
                slots = free[-len(group) :][::-1]
                try:
                    counts.padded_tokens += decoder.read(
                        slots, [work.ids for work in group], [work.limit for work in group]
                    )
                except torch.OutOfMemoryError as error:
                    self._read_less(group, error)
                    continue
                del free[-len(group) :]
                groups.append(group)
                active.update(zip(slots, group, strict=True))
                at += len(group)
                marks.append(decoder.mark())
            stepped = sorted(active)
            captured = decoder.capture_seconds
            decoder.step(stepped, STEPS)
            captured = decoder.capture_seconds - captured
            finished = decoder.state.finished()
            ended = [slot for slot in stepped if finished[slot]]
            answers = decoder.state.take(ended) if ended else []
            spans = decoder.spans([*marks, decoder.mark()])
            counts.add(groups, spans, captured, sum(len(answer) for answer in answers))
            counts.between.append(((spans[-1] - captured) / STEPS, len(stepped)))
            for slot, answer in zip(ended, answers, strict=True):
                yield active.pop(slot), answer
            free.extend(reversed(ended))

    def _read_less(self, group: Sequence[Work], error: torch.OutOfMemoryError) -> None:
        """Memory did not suffice to read so many prompts at once: half as many from now on."""
        if len(group) == 1:
            raise DeviceError(
                "The GPU's memory does not suffice to read a single prompt beside the cache; set generate.batch_size "
                "lower, or take a smaller model."
            ) from error
        self._prompt_tokens = len(group) * len(group[0].ids) // 2
        self._counts.notes.append(
            f"memory did not suffice to read {len(group)} prompts at once; went on with {self._prompt_tokens} positions"
        )
        torch.cuda.empty_cache()

    def _generation(self, name: str, work: Work, answer: list[int], stops: Sequence[int]) -> Generation:
        finished = bool(answer) and answer[-1] in stops
        text = self._loaded.tokenizer.decode(answer[:-1] if finished else answer, skip_special_tokens=True)
        return Generation(
            id=name,
            completion=text,
            prompt_tokens=len(work.ids),
            output_tokens=len(answer),
            finished=finished,
        )

    def _fitting(self, works: Sequence[Work], slots: int) -> Decoder:
        """The decoder at hand where it is large enough, else a new one; fewer slots where memory does not suffice."""
        new = max(work.limit for work in works)
        positions = max(len(work.ids) + work.limit for work in works) + STEPS
        positions = -(-positions // _WIDTH) * _WIDTH
        known = self._decoder
        if known is not None and known.holds(positions, new) and slots in (0, known.slots):
            return known
        self._decoder = known = None
        wanted = slots or self._auto_slots(len(works), positions)
        while True:
            try:
                self._decoder = Decoder(self._loaded.model, self._shape, wanted, positions, new)
                return self._decoder
            except torch.OutOfMemoryError as error:
                if wanted == 1:
                    raise DeviceError(
                        "The GPU's memory does not suffice for a single sequence; set generate.max_new_tokens lower, "
                        "or take a smaller model."
                    ) from error
                self._counts.notes.append(f"memory did not suffice for {wanted} slots; went on with {wanted // 2}")
                wanted //= 2
                torch.cuda.empty_cache()

    def _auto_slots(self, count: int, positions: int) -> int:
        most = MOST_SLOTS
        if self._loaded.device.type == "cuda":
            torch.cuda.empty_cache()
            free, _ = torch.cuda.mem_get_info(self._loaded.device)
            sizes, width = self._shape.sizes, self._shape.number_bytes
            room = free * MEMORY_SHARE - 2 * (sizes.linear_parameters + sizes.head_parameters) * width
            most = max(1, min(most, int(room / (positions * sizes.kv_numbers * width))))
        slots = 1
        while 2 * slots <= most and slots < count:
            slots *= 2
        return slots


def _group(waiting: Sequence[Work], at: int, free: int, positions: int) -> list[Work]:
    """The next prompts that are read together: at most so many positions, as wide as the first, the longest."""
    width = len(waiting[at].ids)
    count = max(1, min(free, positions // max(1, width)))
    return list(waiting[at : at + count])


def check_device(device: torch.device) -> None:
    """Raise EngineUnfitError, one sentence, for a GPU that the engine's kernels are not made for."""
    if device.type != "cuda":
        return
    if importlib.util.find_spec("triton") is None:
        raise EngineUnfitError("The engine's kernels need Triton, and it is not installed here: pip install triton.")
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST:
        name, has = torch.cuda.get_device_name(device), ".".join(map(str, capability))
        raise EngineUnfitError(f"The engine needs a GPU of compute capability 8.0 or later, and {name} has {has}.")


def _plain(loaded: Loaded) -> None:
    """Turn NF4 weights into the numbers they stand for, in place; EngineUnfitError for an adapter beside its base."""
    if type(loaded.model).__name__.startswith("Peft"):
        raise EngineUnfitError(
            "The engine needs merged weights, and this adapter is kept apart; set generate.weights=merged."
        )
    dequantise(loaded.model)
