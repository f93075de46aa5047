"""A decode step of one sequence in five kernels a layer: each product reads its matrix once and does its own norms.

One token's products are bound by reading their matrices, and what stands between them (norms, residual sums, the join
of attention's parts, the gate) is so small that launching it costs more than running it. So every program of a product
computes its whole input anew. On Hopper a kernel fetches its matrix before it waits for the kernel ahead of it
(programmatic dependent launch).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton

from harness.generate.engine import kernels, single_kernels
from harness.generate.engine.attention import Surroundings
from harness.generate.engine.shape import Shape
from harness.generate.engine.weights import LayerWeights, Weights

Tensor = torch.Tensor
READS = 16384
"""Numbers of a matrix that one program fetches at once, at most."""
PROGRAMS = 8
"""Programs for each multiprocessor of a kernel whose programs share a large matrix out among them."""
TILES = {"ask": (2, 4, 1), "join_out": (16, 8, 1), "gate": (2, 2, 6), "fall": (1, 8, 2), "head": (4, 8, 0)}
"""(rows of the matrix read at once, warps, how often in turn: 0 for as often as `PROGRAMS` leave to do) for each
program, as tried on an H100."""


class SingleStep:
    """The step of one row; its scratch is made once, so that captured steps may keep it."""

    def __init__(self, shape: Shape, weights: Weights, device: Any) -> None:
        """Take the weights as they lie; they may be refilled in place."""
        sizes = shape.sizes
        self._shape = shape
        self._weights = weights
        nvidia = device.type == "cuda" and torch.version.cuda is not None
        hopper = nvidia and torch.cuda.get_device_capability(device)[0] == 9
        self._how: dict[str, Any] = {"EARLY": hopper} | ({"launch_pdl": True} if hopper else {})
        self._programs = PROGRAMS * (
            torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
        )

        def room(count: int, dtype: torch.dtype = shape.dtype) -> Tensor:
            return torch.empty(count, dtype=dtype, device=device)

        hidden = weights.norm_out.shape[0]
        self._streams = room(hidden), room(hidden)
        self._qkv = room((sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim)[None, :]
        self._added = room(hidden)
        self._inner = room(weights.layers[0].down.shape[1])
        (programs,), _ = self._tile(weights.head, "head")
        self._bests, self._places = room(programs, torch.float32), room(programs, torch.int32)

    def choose(self, token: Tensor, length: Tensor, slots: Tensor, surroundings: Sequence[Surroundings]) -> Tensor:
        """Return the id [1] after `token` [1] for a sequence of `length` [1] positions in `slots` [1]."""
        weights = self._weights
        stream = weights.embedding[token][0]
        if weights.embedding_scale != 1.0:
            stream = stream * weights.embedding_scale
        norm_added: Tensor | None = None
        for number, layer in enumerate(weights.layers):
            stream = self._asked(stream, layer, norm_added, first=number == 0)
            parts = kernels.attend_parts(self._qkv, layer, surroundings[number], length, slots, self._shape, self._how)
            self._joined(parts, layer)
            stream = self._gated(stream, layer)
            self._fallen(layer)
            norm_added = layer.norm_added
        return self._chosen(stream, norm_added)

    def _other(self, stream: Tensor) -> Tensor:
        return self._streams[stream.data_ptr() == self._streams[0].data_ptr()]

    def _asked(self, stream: Tensor, layer: LayerWeights, norm_added: Tensor | None, first: bool) -> Tensor:
        after = stream if first else self._other(stream)
        count = layer.qkv.shape[0]
        grid, share = self._tile(layer.qkv, "ask")
        single_kernels.ask[grid](
            layer.qkv, layer.qkv if layer.qkv_bias is None else layer.qkv_bias, self._qkv, stream, self._added,
            layer.norm_in if norm_added is None else norm_added, layer.norm_in, after, self._shape.eps, count,
            ADD=not first, NORM_ADDED=norm_added is not None, GEMMA=self._shape.gemma,
            BIAS=layer.qkv_bias is not None, **share, **self._how,
        )  # fmt: skip
        return after

    def _joined(self, parts: kernels.Parts, layer: LayerWeights) -> None:
        count = layer.out.shape[0]
        grid, share = self._tile(layer.out, "join_out")
        sizes = self._shape.sizes
        single_kernels.join_out[grid](
            layer.out, self._added, parts.peaks, parts.totals, parts.sums, count,
            GROUP=sizes.heads // sizes.kv_heads, PADDED=parts.padded,
            SIZE=sizes.head_dim, PARTS=parts.count, **share, **self._how,
        )  # fmt: skip

    def _gated(self, stream: Tensor, layer: LayerWeights) -> Tensor:
        after = self._other(stream)
        count = layer.gate_up.shape[0] // 2
        grid, share = self._tile(layer.gate_up[:count], "gate")
        normed = layer.norm_attended is not None
        single_kernels.gate[grid](
            layer.gate_up, self._inner, stream, self._added, layer.norm_attended if normed else layer.norm_mlp,
            layer.norm_mlp, after, self._shape.eps, count,
            NORM_ADDED=normed, GEMMA=self._shape.gemma,
            SILU=self._shape.activation == "silu", **share, **self._how,
        )  # fmt: skip
        return after

    def _fallen(self, layer: LayerWeights) -> None:
        count = layer.down.shape[0]
        grid, share = self._tile(layer.down, "fall")
        single_kernels.fall[grid](layer.down, self._added, self._inner, count, **share, **self._how)

    def _chosen(self, stream: Tensor, norm_added: Tensor | None) -> Tensor:
        weights = self._weights
        count = weights.head.shape[0]
        grid, share = self._tile(weights.head, "head")
        single_kernels.head[grid](
            weights.head, self._bests, self._places, stream, self._added,
            weights.norm_out if norm_added is None else norm_added, weights.norm_out, self._other(stream),
            self._shape.eps, count,
            NORM_ADDED=norm_added is not None, GEMMA=self._shape.gemma,
            **share, **self._how,
        )  # fmt: skip
        return kernels.argmax_join(self._bests[None, :], self._places[None, :], count)

    def _tile(self, matrix: Tensor, kernel: str) -> tuple[tuple[int], dict[str, int]]:
        """The programs for a matrix [count, width], and what each is told of its share."""
        count, width = matrix.shape
        most, warps, turns = TILES[kernel]
        wide = triton.next_power_of_2(width)
        rows = max(1, min(most, READS // wide))
        tiles = triton.cdiv(count, rows)
        turns = turns or triton.cdiv(tiles, self._programs)
        return (triton.cdiv(tiles, turns),), {
            "H": width,
            "WIDE": wide,
            "ROWS": rows,
            "TURNS": turns,
            "num_warps": warps,
        }
