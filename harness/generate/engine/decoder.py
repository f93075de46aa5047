"""A decoder over slots: a static cache, prompts written into free slots, decode steps replayed as CUDA graphs.

A step of a small model is bound by launching kernels, not by running them (an H100 ran one trivial operation in 9 us,
2,000 of them a step); a captured step is one launch. A slot keeps one sequence; each row of a step names its slot, so
that any subset of the slots can be stepped with the smallest captured graph that holds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from harness.generate.engine.attention import Surroundings
from harness.generate.engine.fit import on_hopper
from harness.generate.engine.plain import Plain
from harness.generate.engine.shape import Shape, decoder_of
from harness.generate.engine.state import State
from harness.generate.engine.weights import Weights, refill, take_weights

Tensor = torch.Tensor
LEAST_ROWS = 8
"""The kernels of a single row are worth compiling only where there is but one slot."""
READ_WIDTH = 32
"""A captured reading of one prompt serves every width up to the next multiple of this."""
_WARM = 2


@dataclass(slots=True)
class _Graph:
    rows: int
    slots: Tensor
    replay: Callable[[], None]


@dataclass(slots=True)
class _Read:
    """The reading of one prompt of a given width, captured."""

    ids: Tensor
    last: Tensor
    slot: Tensor
    chosen: Tensor
    replay: Callable[[], None]


class Decoder:
    """One model's weights, cache and captured steps."""

    def __init__(self, model: Any, shape: Shape, slots: int, positions: int, new: int) -> None:
        """`slots` sequences of at most `positions` positions, `new` of them new."""
        self.shape = shape
        self.slots = slots
        self.positions = positions
        self.new = new
        self.device = model.get_input_embeddings().weight.device
        self.cuda = self.device.type == "cuda"
        self.weights: Weights = take_weights(model, shape)
        self.capture_seconds = 0.0
        self._pieces, self._stepping = _pieces(shape, self.device)
        self._surroundings = self._made_room(self._rotary(model))
        self.state = State(slots, new, self.weights.head.shape[0], self.device)
        self._graphs: dict[int, _Graph] = {}
        self._reads: dict[int, _Read] = {}
        self._single: Any = None
        self._pool: Any = None

    def adopt(self, model: Any) -> bool:
        """Take another model's weights into the same memory, captured steps kept; False where the shapes differ."""
        return refill(self.weights, model, self.shape)

    def holds(self, positions: int, new: int) -> bool:
        """Return whether a slot has room for so many positions, and for so many new ids."""
        return self.positions >= positions and self.new >= new

    def warm(self, widths: Iterable[int] = ()) -> None:
        """Compile the kernels and capture the step of all slots, on nobody's slot, once; nothing to do without a GPU.

        With one slot the reading of prompts of these widths is captured too: of a single prompt it is launches alone.
        """
        if not self.cuda:
            return
        if not self._graphs:
            nobody = (self.slots,)
            rows = 1 if self.slots == 1 else 2
            self.read(nobody * rows, ((0,) * 8,) * rows, (1,) * rows)
            self._graph(self._bucket(self.slots))
        if self.slots == 1:
            for width in sorted({self._rounded(width) for width in widths} - set(self._reads)):
                self._reads[width] = self._captured_read(width)

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
        rows, lengths = len(prompts), [len(prompt) for prompt in prompts]
        width = max(lengths)
        captured = self._reads.get(self._rounded(width)) if rows == 1 else None
        width = captured.ids.shape[0] if captured else width
        ids = torch.zeros((rows, width), dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : lengths[row]] = torch.as_tensor(prompt)
        last = self.state.placed([row * width + length - 1 for row, length in enumerate(lengths)])
        places = self.state.placed(slots)
        if captured is None:
            chosen = self._first_ids(ids.flatten().to(self.device), places, last)
        else:
            captured.ids.copy_(ids[0])
            captured.last.copy_(last)
            captured.slot.copy_(places)
            captured.replay()
            chosen = captured.chosen
        self.state.begin(places, chosen, lengths, limits)
        return rows * width - sum(lengths)

    def _first_ids(self, ids: Tensor, places: Tensor, last: Tensor) -> Tensor:
        """Write the keys and values of ids [rows * width] to the cache; return the id [rows] that follows each row."""
        stream, normed = self._pieces.enter(ids, self.weights)
        for number, layer in enumerate(self.weights.layers):
            attended = self._pieces.read(normed, layer, self._surroundings[number], places)
            if number == self.shape.sizes.layers - 1:  # past the last keys and values only the last token matters
                stream, attended = stream[last], attended[last]
            stream, normed = self._pieces.settle(stream, attended, layer, self._norm_after(number))
        return self._pieces.choose(normed, self.weights.head)

    def step(self, slots: Sequence[int], steps: int) -> None:
        """Run so many decode steps for the sequences in `slots`; finished ones stand still."""
        graph = self._graph(self._bucket(len(slots)))
        rows = torch.full((graph.rows,), self.slots, dtype=torch.int64)
        rows[: len(slots)] = torch.as_tensor(slots)
        graph.slots.copy_(rows.pin_memory() if self.cuda else rows, non_blocking=True)
        for _ in range(steps):
            graph.replay()

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
            made = _Graph(rows, slots, self._captured(lambda: self._one_step(slots)))
            self.capture_seconds += time.perf_counter() - start
        self._graphs[rows] = made
        return made

    def _rounded(self, width: int) -> int:
        return min(-(-width // READ_WIDTH) * READ_WIDTH, self.positions)

    @torch.no_grad()
    def _captured_read(self, width: int) -> _Read:
        start = time.perf_counter()
        ids, last, slot = (torch.zeros(size, dtype=torch.int64, device=self.device) for size in (width, 1, 1))
        made = _Read(ids, last, slot, last, lambda: None)  # a captured step reads where these lie

        def read() -> None:
            made.chosen = self._first_ids(ids, slot, last)

        made.replay = self._captured(read)
        self.capture_seconds += time.perf_counter() - start
        return made

    def _captured(self, work: Callable[[], None]) -> Callable[[], None]:
        """Warm work up, then capture it; it runs on nobody's slot or on a slot that will be written anew."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            work()
        self._pool = self._pool or graph.pool()
        return graph.replay

    @torch.no_grad()
    def _one_step(self, slots: Tensor) -> None:
        tokens, lengths = self.state.inputs(slots)
        if self.cuda and slots.shape[0] == 1:
            chosen = self._single_step().choose(tokens, lengths, slots, self._surroundings)
        else:
            stream, normed = self._stepping.enter(tokens, self.weights)
            for number, layer in enumerate(self.weights.layers):
                attended = self._stepping.step(normed, layer, self._surroundings[number], lengths, slots)
                stream, normed = self._stepping.settle(stream, attended, layer, self._norm_after(number))
            chosen = self._stepping.choose(normed, self.weights.head)
        self.state.advance(slots, chosen)

    def _single_step(self) -> Any:
        if self._single is None:
            from harness.generate.engine.single import SingleStep  # Triton is there where CUDA is

            self._single = SingleStep(self.shape, self.weights, self.device)
        return self._single

    def _norm_after(self, number: int) -> Tensor:
        layers = self.weights.layers
        return layers[number + 1].norm_in if number + 1 < len(layers) else self.weights.norm_out

    def _made_room(self, tables: dict[str, tuple[Tensor, Tensor]]) -> list[Surroundings]:
        """Each layer's cache, beside its rotary table and window."""
        sizes = self.shape.sizes
        size = (2, self.slots + 1, self.positions, sizes.kv_heads, sizes.head_dim)
        made = []
        for kind, window in zip(self.shape.kinds, self.shape.windows, strict=True):
            keys, values = torch.zeros(size, dtype=self.shape.dtype, device=self.device).unbind()
            made.append(Surroundings(tables[kind], keys, values, window))
        return made

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


def _pieces(shape: Shape, device: torch.device) -> tuple[Plain, Plain]:
    """For reading prompts and for steps."""
    if device.type != "cuda":
        plain = Plain(shape)
        return plain, plain
    from harness.generate.engine.fused import Fused  # Triton is there where CUDA is
    from harness.generate.engine.narrow import Narrow

    fused = Fused(shape)
    # the tiles of its products need more shared memory than other GPUs have
    return fused, Narrow(shape, device) if on_hopper(device) else fused
