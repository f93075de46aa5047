"""Answers from the engine: longest prompts first, slots refilled as sequences finish, no wait for the device a step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from harness.errors import DeviceError
from harness.generate.base import Progress, Request, check_decoding
from harness.generate.engine.decoder import Decoder
from harness.generate.engine.fit import buildable, check_device, on_hopper, plain
from harness.generate.engine.shape import EngineUnfitError, Shape, read_shape
from harness.generate.engine.work import STEPS, Counts, Work, longest_first, read_together, room_for
from harness.generate.settings import DecodingSettings
from harness.generate.share import WHOLE, Share
from harness.model.chat import stop_ids
from harness.model.load import Loaded
from harness.records import Generation, Speed
from harness.throughput import clock, timed, weighted_quantiles

MOST_SLOTS = 1024
PROMPT_TOKENS = 32_768
"""Prompt positions read at once, padding included."""
MEMORY_SHARE = 0.8
"""Of the free GPU memory, what the cache may take."""
_TRIAL = (64, 64, 16)
"""Slots, positions and new ids of a decoder that needs every kernel of many rows."""


class EngineGenerator:
    """The generator over a `Decoder`; greedy decoding alone."""

    def __init__(self, loaded: Loaded) -> None:
        """Take over a loaded model; EngineUnfitError where the engine cannot run it."""
        check_device(loaded.device)
        plain(loaded)
        self._loaded = loaded
        self._shape: Shape = read_shape(loaded.model)
        if loaded.device.type == "cuda" and not on_hopper(loaded.device):
            with buildable(loaded.device), suppress(torch.OutOfMemoryError):
                Decoder(loaded.model, self._shape, *_TRIAL).warm()
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
            plain(loaded)
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

    def batch_size(self, requests: Sequence[Request], decoding: DecodingSettings) -> int:
        """Return the slots there would be: what ranks must agree on before they share the blocks."""
        works = self._works(requests, decoding)
        return decoding.batch_size or self._slots(works, *room_for(works)) if works else 1

    def generate(
        self,
        requests: Sequence[Request],
        decoding: DecodingSettings,
        progress: Progress | None = None,
        share: Share = WHOLE,
    ) -> Iterator[Generation]:
        """Yield answers as sequences finish; only the blocks of `share`.

        Slots are shared within blocks of `decoding.block` prompts, which are cut from all requests: an answer's last
        bits depend on its block, never on the number of processes or on what an earlier one had answered.
        """
        check_decoding(decoding)
        if decoding.temperature > 0:
            raise EngineUnfitError("The engine decodes greedily; set generate.backend=transformers to sample.")
        stops = stop_ids(self._loaded.tokenizer, self._loaded.model.generation_config, decoding.stop)
        start = time.perf_counter()
        works = self._works(requests, decoding)
        self._counts = Counts(
            tokenise_seconds=time.perf_counter() - start, notes=share.idle(len(works), decoding.block, "generate.block")
        )
        blocks = [block for _, block in share.batches(longest_first(works), decoding.block)]
        total = sum(map(len, blocks))
        for done, (work, answer) in enumerate(self._answers(works, blocks, stops, decoding.batch_size), start=1):
            yield self._generation(work, answer, stops)
            if progress is not None:
                progress(done, total)

    def answers(
        self,
        works: Sequence[Work],
        stops: Sequence[int],
        slots: int = 0,
        blocks: Sequence[Sequence[Work]] | None = None,
    ) -> Iterator[tuple[Work, list[int]]]:
        """Yield (prompt, ids answered, the stop included) in the order they finish; counts go to `speed`.

        All of them are one block unless `blocks` of them are given.
        """
        self._counts = Counts()
        return self._answers(works, [longest_first(works)] if blocks is None else blocks, stops, slots)

    def _answers(
        self, works: Sequence[Work], blocks: Sequence[Sequence[Work]], stops: Sequence[int], slots: int
    ) -> Iterator[tuple[Work, list[int]]]:
        """Answer the blocks one after the other; slots and cache are those that all `works` ask for."""
        counts = self._counts
        if not any(blocks):
            return
        device = self._loaded.device
        with buildable(device):
            start = clock(device)
            decoder = self._fitting(works, slots)
            decoder.state.set_stops(stops)
            decoder.warm({len(work.ids) for block in blocks for work in block})
            counts.compile_seconds = clock(device) - start
            with timed(device) as region:
                for block in blocks:
                    yield from self._turns(decoder, block, counts)
        counts.peak_memory_bytes, counts.joules = region.peak_memory_bytes, region.joules

    def _works(self, requests: Sequence[Request], decoding: DecodingSettings) -> list[Work]:
        return [
            Work(number, self._loaded.encode(request.messages), decoding.max_new_tokens, request.id)
            for number, request in enumerate(requests)
        ]

    def _turns(self, decoder: Decoder, waiting: Sequence[Work], counts: Counts) -> Iterator[tuple[Work, list[int]]]:
        """Read prompts into free slots, step, hand over what is done; the clock stands while answers are taken."""
        free = list(range(decoder.slots))[::-1]
        active: dict[int, Work] = {}
        at = 0
        while at < len(waiting) or active:
            marks = [decoder.mark()]
            groups = []
            worth_reading = len(free) >= decoder.slots // 8 or not active
            while worth_reading and free and at < len(waiting):
                group = read_together(waiting, at, len(free), self._prompt_tokens)
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

    def _generation(self, work: Work, answer: list[int], stops: Sequence[int]) -> Generation:
        finished = bool(answer) and answer[-1] in stops
        text = self._loaded.tokenizer.decode(answer[:-1] if finished else answer, skip_special_tokens=True)
        return Generation(
            id=work.id,
            completion=text,
            prompt_tokens=len(work.ids),
            output_tokens=len(answer),
            finished=finished,
        )

    def _fitting(self, works: Sequence[Work], slots: int) -> Decoder:
        """The decoder at hand where it is large enough, else a new one; fewer slots where memory does not suffice."""
        positions, new = room_for(works)
        known = self._decoder
        if known is not None and known.holds(positions, new) and slots in (0, known.slots):
            return known
        self._decoder = known = None
        wanted = slots or self._slots(works, positions, new)
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

    def _slots(self, works: Sequence[Work], positions: int, new: int) -> int:
        """The slots of the decoder at hand where it is large enough, else as many as memory and prompts ask for."""
        known = self._decoder
        if known is not None and known.holds(positions, new):
            return known.slots
        most = MOST_SLOTS
        if self._loaded.device.type == "cuda":
            torch.cuda.empty_cache()
            free, _ = torch.cuda.mem_get_info(self._loaded.device)
            sizes, width = self._shape.sizes, self._shape.number_bytes
            room = free * MEMORY_SHARE - 2 * (sizes.linear_parameters + sizes.head_parameters) * width
            most = max(1, min(most, int(room / (positions * sizes.kv_numbers * width))))
        slots = 1
        while 2 * slots <= most and slots < len(works):
            slots *= 2
        return slots
