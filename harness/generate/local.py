"""Answers from a loaded model through transformers' generate(): any model, any device."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria

from harness.errors import DeviceError
from harness.generate.base import Progress, Request, check_decoding
from harness.generate.launches import launches_per_step
from harness.generate.settings import DecodingSettings
from harness.generate.share import WHOLE, Share, smaller
from harness.machine import energy_joules
from harness.model.chat import stop_ids
from harness.model.dtypes import quiet
from harness.model.load import Loaded
from harness.model.memory import is_out_of_memory
from harness.records import Generation, Speed
from harness.throughput import SHORTEST_ENERGY_SECONDS, Region, clock, timed, weighted_quantiles

CPU_BATCH = 64
GPU_BATCH = 512
"""A decode step costs the same time for few rows as for many, until memory binds (anchored by measurement)."""
MEMORY_SHARE = 0.6
"""Of the free GPU memory, what auto batch plans to use."""


@dataclass(frozen=True, slots=True)
class _Prompt:
    id: str
    ids: list[int]


@dataclass(slots=True)
class _Totals:
    prompt_tokens: int = 0
    output_tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    prefill_seconds: float = 0.0
    peak_memory_bytes: int = 0
    joules_before: float | None = None
    joules_after: float | None = None
    tokenise_seconds: float = 0.0
    first_token: list[tuple[float, int]] = field(default_factory=list)
    """Seconds to a batch's first token, and its answers."""
    between: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of a decode step, and the answers it was a token of."""

    @property
    def joules(self) -> float | None:
        """Energy from the first batch's beginning to the last one's end; None where that was too short to tell."""
        if self.joules_before is None or self.joules_after is None or self.seconds < SHORTEST_ENERGY_SECONDS:
            return None
        return self.joules_after - self.joules_before

    def add(self, region: Region, start: float, at: Sequence[float], answers: Sequence[Generation]) -> None:
        """Count a batch: when it began, when each of its tokens was there, and what came of it."""
        self.seconds += region.seconds
        self.peak_memory_bytes = max(self.peak_memory_bytes, region.peak_memory_bytes or 0)
        if self.joules_before is not None:
            self.joules_after = energy_joules()
        if at:
            self.prefill_seconds += at[0] - start
            self.first_token.append((at[0] - start, len(answers)))
        for step, (before, after) in enumerate(pairwise(at), start=2):
            self.between.append((after - before, sum(answer.output_tokens >= step for answer in answers)))


class _Clock(StoppingCriteria):
    """Notes when each token was there, the first being prefill's; stops nothing.

    Later tokens need no wait: generate() itself looks at the device after each step.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.at: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        self.at.append(time.perf_counter() if self.at else clock(self.device))
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


class TransformersGenerator:
    """Batches of like length, padded on the left; halves the batch where memory does not suffice."""

    def __init__(self, loaded: Loaded, note: str = "") -> None:
        """`note` says why another backend did not answer."""
        self._loaded = loaded
        self._totals = _Totals()
        self._facts: dict[str, Any] = {"backend": "transformers"}
        self._given = [note] if note else []
        self._notes: list[str] = list(self._given)
        self._launches: int | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        """The model's facts beside backend, batch size of the last `generate`, and notes."""
        return {**self._loaded.facts, **self._facts, "notes": tuple(self._notes)}

    def speed(self) -> Speed | None:
        """Return counts and seconds inside generate() of the last call, as far as it was drawn."""
        totals = self._totals
        if totals.seconds == 0:
            return None
        return Speed(
            prompt_tokens=totals.prompt_tokens,
            output_tokens=totals.output_tokens,
            padded_tokens=totals.padded_tokens,
            generate_seconds=totals.seconds,
            prefill_seconds=totals.prefill_seconds,
            decode_seconds=totals.seconds - totals.prefill_seconds,
            peak_memory_bytes=totals.peak_memory_bytes,
            energy_joules=totals.joules,
            tokenise_seconds=totals.tokenise_seconds,
            decode_steps=len(totals.between),
            launches_per_step=self._launches,
            first_token_seconds=weighted_quantiles(totals.first_token),
            token_seconds=weighted_quantiles(totals.between),
        )

    def generate(
        self,
        requests: Sequence[Request],
        decoding: DecodingSettings,
        progress: Progress | None = None,
        share: Share = WHOLE,
    ) -> Iterator[Generation]:
        """Yield the answers of a batch as soon as it is done, longest prompts first; only the batches of `share`."""
        check_decoding(decoding)
        self._totals, self._notes = _Totals(), list(self._given)
        start = time.perf_counter()
        prompts = self._prompts(requests)
        self._totals.tokenise_seconds = time.perf_counter() - start
        if self._launches is None and decoding.cache == "dynamic":
            self._launches = launches_per_step(self._loaded.model)
        stops = stop_ids(self._loaded.tokenizer, self._loaded.model.generation_config, decoding.stop)
        size = max(1, (decoding.batch_size or self._auto_batch(prompts, decoding)) // decoding.samples)
        self._facts["batch_size"] = size * decoding.samples
        self._notes += share.idle(len(prompts), size, "generate.batch_size", decoding.samples)
        batches = share.batches(prompts, size)
        self._totals.joules_before = energy_joules() if self._loaded.device.type == "cuda" else None
        done, total = 0, sum(len(batch) for _, batch in batches)
        while batches:
            place, batch = batches[0]
            try:
                answers = self._batch(batch, decoding, stops, place)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                batches = smaller(batches, self._smaller(len(batch), error))
                continue
            yield from answers
            del batches[0]
            done += len(batch)
            if progress is not None:
                progress(done * decoding.samples, total * decoding.samples)

    def batch_size(self, requests: Sequence[Request], decoding: DecodingSettings) -> int:
        """Return the sequences a batch would have: what ranks must agree on before they share the batches."""
        return decoding.batch_size or self._auto_batch(self._prompts(requests), decoding)

    def _prompts(self, requests: Sequence[Request]) -> list[_Prompt]:
        """Encode the chats, longest first: memory that suffices for the first batch suffices for all."""
        prompts = [_Prompt(request.id, self._loaded.encode(request.messages)) for request in requests]
        return sorted(prompts, key=lambda prompt: (-len(prompt.ids), prompt.id))

    def _smaller(self, tried: int, error: Exception) -> int:
        if tried == 1:
            raise DeviceError(
                "Memory does not suffice for a single question; set generate.max_new_tokens lower, "
                "model.precision=nf4, or take a smaller model."
            ) from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._facts["batch_size"] = tried // 2
        self._notes.append(f"memory did not suffice for batches of {tried}; went on with {tried // 2}")
        return tried // 2

    def _batch(
        self, batch: Sequence[_Prompt], decoding: DecodingSettings, stops: Sequence[int], position: int
    ) -> list[Generation]:
        device = self._loaded.device
        pad = self._loaded.tokenizer.pad_token_id
        width = max(len(prompt.ids) for prompt in batch)
        ids = torch.tensor([[pad] * (width - len(prompt.ids)) + prompt.ids for prompt in batch], device=device)
        mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in batch], device=device)
        watch = _Clock(device)
        if decoding.temperature > 0:
            torch.manual_seed(decoding.seed + position)
        with quiet(), torch.inference_mode(), timed(device) as region:
            start = time.perf_counter()
            out = self._loaded.model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=_config(decoding, stops, pad),
                stopping_criteria=[watch],
            )
        answers = [
            self._answer(batch[row // decoding.samples], tokens, row % decoding.samples, stops)
            for row, tokens in enumerate(out[:, width:].tolist())
        ]
        self._totals.add(region, start, watch.at, answers)
        self._totals.prompt_tokens += int(mask.sum())
        self._totals.padded_tokens += int(mask.numel() - mask.sum())
        self._totals.output_tokens += sum(answer.output_tokens for answer in answers)
        return answers

    def _answer(self, prompt: _Prompt, tokens: list[int], sample: int, stops: Sequence[int]) -> Generation:
        end = next((at for at, token in enumerate(tokens) if token in stops), None)
        text = self._loaded.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        return Generation(
            id=prompt.id,
            completion=text,
            prompt_tokens=len(prompt.ids),
            output_tokens=len(tokens) if end is None else end + 1,
            finished=end is not None,
            sample=sample,
        )

    def _auto_batch(self, prompts: Sequence[_Prompt], decoding: DecodingSettings) -> int:
        if self._loaded.device.type != "cuda" or not prompts:
            return CPU_BATCH
        free, _ = torch.cuda.mem_get_info(self._loaded.device)
        free += torch.cuda.memory_reserved(self._loaded.device) - torch.cuda.memory_allocated(self._loaded.device)
        longest = len(prompts[0].ids)
        row = _row_bytes(self._loaded.model, longest, decoding.max_new_tokens)
        return max(1, min(GPU_BATCH, int(free * MEMORY_SHARE / row)))


def _row_bytes(model: Any, prompt: int, new: int) -> int:
    """Return about what one sequence takes: its KV cache twice (it grows by copying), prefill activations, logits."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = torch.finfo(model.dtype).bits // 8
    cache = 2 * config.num_hidden_layers * heads * head * width * (prompt + new)
    inner = getattr(config, "intermediate_size", 4 * config.hidden_size)
    prefill = prompt * (4 * inner + 8 * config.hidden_size) * width
    return int(2 * cache + prefill + 12 * config.vocab_size)


def _config(decoding: DecodingSettings, stops: Sequence[int], pad: int) -> GenerationConfig:
    sampling = decoding.temperature > 0
    return GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=sampling,
        temperature=decoding.temperature if sampling else 1.0,
        top_p=decoding.top_p if sampling else 1.0,
        top_k=0 if sampling else 50,
        num_return_sequences=decoding.samples,
        eos_token_id=list(stops),
        pad_token_id=pad,
        cache_implementation="static" if decoding.cache == "static" else None,
    )
