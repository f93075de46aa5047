"""A decoder over slots: a static cache, prompts written into free slots, decode steps replayed as CUDA graphs.

A step of a small model is bound by launching kernels, not by running them (an H100 ran one trivial operation in 9 us,
2,000 of them a step); a captured step is one launch. A slot keeps one sequence; each row of a step names its slot, so
that any subset of the slots can be stepped with the smallest captured graph that holds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional

from harness.generate.engine import attention
from harness.generate.engine.pieces import Pieces
from harness.generate.engine.shape import Shape, decoder_of
from harness.generate.engine.weights import LayerWeights, Weights, refill, take_weights

Tensor = torch.Tensor
LEAST_ROWS = 8
"""A step of one row is worth pieces of its own only where there is but one slot: compiling them takes longer."""
_WARM = 2


@dataclass(slots=True)
class _State:
    """What each slot holds, on the device; the last slot is nobody's: rows that fill a batch up point to it."""

    token: Tensor
    """The id that the next step reads."""
    length: Tensor
    """Positions in the cache."""
    made: Tensor
    """Ids made so far, the first from the prompt included."""
    limit: Tensor
    done: Tensor
    out: Tensor
    """[slots, most new + 1]; the last column takes what finished rows would write."""


@dataclass(slots=True)
class _Graph:
    rows: int
    slots: Tensor
    replay: Callable[[], None]


class Decoder:
    """One model's weights, cache and captured steps."""

    def __init__(self, model: Any, shape: Shape, slots: int, positions: int, new: int, compiled: bool) -> None:
        """`slots` sequences of at most `positions` positions, `new` of them new; `compiled` on CUDA alone."""
        self.shape = shape
        self.slots = slots
        self.positions = positions
        self.new = new
        self.device = model.get_input_embeddings().weight.device
        self.cuda = self.device.type == "cuda"
        self.weights: Weights = take_weights(model, shape)
        self.capture_seconds = 0.0
        self._compiled = compiled and self.cuda
        self._prompt_pieces = Pieces(shape, self._compiled)
        self._step_pieces = Pieces(shape, self._compiled)
        self._single_pieces = Pieces(shape, self._compiled, single=True)
        self._tables = self._rotary(model)
        cache = (slots + 1, positions, shape.sizes.kv_heads, shape.sizes.head_dim)
        self._keys = [torch.zeros(cache, dtype=shape.dtype, device=self.device) for _ in range(shape.sizes.layers)]
        self._values = [torch.zeros(cache, dtype=shape.dtype, device=self.device) for _ in range(shape.sizes.layers)]
        self._state = self._fresh_state()
        self._stops = torch.zeros(self.weights.head.shape[0], dtype=torch.bool, device=self.device)
        self._graphs: dict[int, _Graph] = {}
        self._pool: Any = None

    def adopt(self, model: Any) -> bool:
        """Take another model's weights into the same memory, captured steps kept; False where the shapes differ."""
        return refill(self.weights, model, self.shape)

    def holds(self, positions: int, new: int) -> bool:
        """Return whether a slot has room for so many positions, and for so many new ids."""
        return self.positions >= positions and self.new >= new

    def set_stops(self, stops: Sequence[int]) -> None:
        """Say which ids end an answer."""
        self._stops.zero_()
        self._stops[self._placed(stops)] = True

    def warm(self) -> None:
        """Compile the pieces and capture the step of all slots, on nobody's slot, once; nothing to do without a GPU."""
        if not self.cuda or self._graphs:
            return
        nobody = (self.slots,)
        rows = 1 if self.slots == 1 else 2
        self.read(nobody * rows, ((0,) * 8,) * rows, (1,) * rows)
        self._graph(self._bucket(self.slots))

    def mark(self) -> Any:
        """Return a point in the device's time; no wait."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def spans(self, marks: Sequence[Any]) -> list[float]:
        """Return the seconds between marks that follow one another; waits for the last."""
        if not self.cuda:
            return [after - before for before, after in pairwise(marks)]
        marks[-1].synchronize()
        return [before.elapsed_time(after) / 1000 for before, after in pairwise(marks)]

    @torch.no_grad()
    def read(self, slots: Sequence[int], prompts: Sequence[Sequence[int]], limits: Sequence[int]) -> int:
        """Write prompts into slots and choose each one's first id; returns the padding read along."""
        shape, rows = self.shape, len(prompts)
        width = max(len(prompt) for prompt in prompts)
        lengths = [len(prompt) for prompt in prompts]
        ids = torch.zeros((rows, width), dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : lengths[row]] = torch.as_tensor(prompt)
        places = self._placed(slots)
        last = self._placed([row * width + length - 1 for row, length in enumerate(lengths)])
        stream, normed = self._prompt_pieces.enter(ids.flatten().to(self.device), self.weights)
        turns = {kind: tuple(t[:width].repeat(rows, 1) for t in table) for kind, table in self._tables.items()}
        for number, layer in enumerate(self.weights.layers):
            q, k, v = self._prompt_pieces.ask(normed, layer, *turns[shape.kinds[number]])
            q, k, v = (part.view(rows, width, -1, shape.sizes.head_dim) for part in (q, k, v))
            self._keys[number][places, :width] = k
            self._values[number][places, :width] = v
            attended = attention.prompt_attention(q, k, v, shape.scale, shape.windows[number])
            if number == shape.sizes.layers - 1:  # past the last keys and values only the last token matters
                stream, attended = stream[last], attended[last]
            stream, normed = self._prompt_pieces.settle(stream, attended, layer, self._norm_after(number))
        self._begin(places, self._chosen(self._prompt_pieces, normed), lengths, limits)
        return rows * width - sum(lengths)

    def step(self, slots: Sequence[int], steps: int) -> None:
        """Run so many decode steps for the sequences in `slots`; finished ones stand still."""
        graph = self._graph(self._bucket(len(slots)))
        rows = torch.full((graph.rows,), self.slots, dtype=torch.int64)
        rows[: len(slots)] = torch.as_tensor(slots)
        graph.slots.copy_(rows.pin_memory() if self.cuda else rows, non_blocking=True)
        for _ in range(steps):
            graph.replay()

    def finished(self) -> list[bool]:
        """Return for each slot whether its sequence is done; waits for the device."""
        return list(self._state.done[: self.slots].tolist())

    def take(self, slots: Sequence[int]) -> list[list[int]]:
        """Return the ids made in these slots."""
        places = self._placed(slots)
        made, out = self._state.made[places].tolist(), self._state.out[places].tolist()
        return [ids[:count] for ids, count in zip(out, made, strict=True)]

    def _bucket(self, count: int) -> int:
        size = LEAST_ROWS
        while size < count:
            size *= 2
        return min(size, self.slots)

    def _graph(self, rows: int) -> _Graph:
        """The step for so many rows: captured once on CUDA, run as it is elsewhere."""
        known = self._graphs.get(rows)
        if known is not None:
            return known
        slots = torch.full((rows,), self.slots, dtype=torch.int64, device=self.device)
        if not self.cuda:
            made = _Graph(rows, slots, lambda: self._one_step(slots))
        else:
            start = time.perf_counter()
            made = _Graph(rows, slots, self._captured(slots))
            self.capture_seconds += time.perf_counter() - start
        self._graphs[rows] = made
        return made

    def _captured(self, slots: Tensor) -> Callable[[], None]:
        """Warm the step up on nobody's slot, then capture it."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM):
                self._one_step(slots)
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._one_step(slots)
        self._pool = self._pool or graph.pool()
        return graph.replay

    @torch.no_grad()
    def _one_step(self, slots: Tensor) -> None:
        state, weights = self._state, self.weights
        pieces = self._single_pieces if slots.shape[0] == 1 else self._step_pieces
        done = state.done[slots]
        length = state.length[slots].masked_fill(done, 0)  # a finished row reads nothing
        stream, normed = pieces.enter(state.token[slots], weights)
        attend = self._attend_on_cuda if self.cuda else self._attend_anywhere
        for number, layer in enumerate(weights.layers):
            attended = attend(pieces, number, layer, normed, length, slots)
            stream, normed = pieces.settle(stream, attended, layer, self._norm_after(number))
        self._advance(slots, done, self._chosen(pieces, normed))

    def _attend_on_cuda(
        self, pieces: Pieces, number: int, layer: LayerWeights, normed: Tensor, length: Tensor, slots: Tensor
    ) -> Tensor:
        from harness.generate.engine import kernels  # Triton is there where CUDA is

        shape = self.shape
        return kernels.attend(
            pieces.project(normed, layer),
            (layer.q_norm, layer.k_norm),
            self._tables[shape.kinds[number]],
            (self._keys[number], self._values[number]),
            length,
            slots,
            heads=shape.sizes.heads,
            eps=shape.eps,
            gemma=shape.gemma,
            scale=shape.scale,
            window=shape.windows[number],
        )

    def _attend_anywhere(
        self, pieces: Pieces, number: int, layer: LayerWeights, normed: Tensor, length: Tensor, slots: Tensor
    ) -> Tensor:
        shape = self.shape
        cos, sin = self._tables[shape.kinds[number]]
        q, k, v = pieces.ask(normed, layer, cos[length], sin[length])
        cache = self._keys[number], self._values[number]
        return attention.decode_attention(q, k, v, *cache, length, slots, shape.scale, shape.windows[number])

    def _chosen(self, pieces: Pieces, normed: Tensor) -> Tensor:
        """The likeliest ids; many rows of logits are looked through by a kernel that shares a row out."""
        if not self.cuda or normed.shape[0] == 1:
            return pieces.choose(normed, self.weights.head)
        from harness.generate.engine import kernels

        return kernels.argmax(functional.linear(normed, self.weights.head))

    def _advance(self, slots: Tensor, done: Tensor, chosen: Tensor) -> None:
        state = self._state
        made = state.made[slots]
        column = made.masked_fill(done, self.new)
        state.out[slots, column] = chosen.to(state.out.dtype)
        made = made + (~done).long()
        ended = done | self._stops[chosen] | (made >= state.limit[slots])
        state.made[slots] = made
        state.length[slots] = state.length[slots] + (~done).long()
        state.token[slots] = torch.where(done, state.token[slots], chosen)
        state.done[slots] = ended

    def _begin(self, places: Tensor, chosen: Tensor, lengths: Sequence[int], limits: Sequence[int]) -> None:
        state = self._state
        limit = self._placed([min(limit, self.new) for limit in limits])
        state.out[places, 0] = chosen.to(state.out.dtype)
        state.token[places] = chosen
        state.length[places] = self._placed(lengths)
        state.made[places] = 1
        state.limit[places] = limit
        state.done[places] = self._stops[chosen] | (limit <= 1)

    def _norm_after(self, number: int) -> Tensor:
        layers = self.weights.layers
        return layers[number + 1].norm_in if number + 1 < len(layers) else self.weights.norm_out

    def _placed(self, numbers: Sequence[int]) -> Tensor:
        return torch.as_tensor(list(numbers), dtype=torch.int64).to(self.device)

    def _fresh_state(self) -> _State:
        count, device = self.slots + 1, self.device

        def zeros(*size: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(size, dtype=dtype, device=device)

        return _State(
            token=zeros(count),
            length=zeros(count),
            made=zeros(count),
            limit=zeros(count),
            done=torch.ones(count, dtype=torch.bool, device=device),
            out=zeros(count, self.new + 1, dtype=torch.int32),
        )

    @torch.no_grad()
    def _rotary(self, model: Any) -> dict[str, tuple[Tensor, Tensor]]:
        """Return cos and sin [positions, head_dim] in fp32 for each kind of layer, by the model's own rotary module."""
        rotary = decoder_of(model).rotary_emb
        at = torch.arange(self.positions, device=self.device)[None, :]
        wide = torch.zeros(1, dtype=torch.float32, device=self.device)
        tables = {}
        for kind in sorted(set(self.shape.kinds)):
            cos, sin = rotary(wide, at, kind) if kind else rotary(wide, at)
            tables[kind] = (cos[0].contiguous(), sin[0].contiguous())
        return tables
