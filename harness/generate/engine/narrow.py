"""A decode step of some dozens to some hundreds of rows: products that fill the GPU, summed by the kernel behind them.

A product of 256 rows and 1,152 outputs has 18 tiles for the 132 multiprocessors of an H100. Here its inputs are shared
out as well; the parts are added, always in the same order, by the norm that follows anyway, so there is no launch more.
On Hopper each of these kernels is launched while the one ahead still runs, and waits for it on the device (programmatic
dependent launch).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import triton

from harness.generate.engine import kernels, narrow_kernels
from harness.generate.engine.fused import Fused
from harness.generate.engine.shape import Shape
from harness.generate.engine.weights import LayerWeights

Tensor = torch.Tensor


class Tile(NamedTuple):
    """How a product is shared out among programs."""

    rows: int
    outputs: int
    inputs: int
    """Numbers of a row read at once."""
    warps: int
    stages: int
    splits: int = 1
    """Programs that share the inputs of a tile."""


TILES: dict[str, dict[int, Tile]] = {
    "qkv": {
        128: Tile(64, 16, 128, 4, 4),
    },
    "out": {
        32: Tile(64, 32, 128, 4, 4, 3),
        64: Tile(64, 32, 128, 4, 4, 2),
        128: Tile(64, 64, 64, 4, 6, 2),
        256: Tile(64, 64, 64, 4, 6),
    },
    "down": {
        32: Tile(64, 128, 64, 4, 4, 12),
        64: Tile(64, 64, 64, 4, 6, 7),
        128: Tile(128, 64, 128, 8, 4, 6),
        256: Tile(128, 64, 128, 8, 4, 3),
    },
    "head": {
        32: Tile(64, 256, 64, 8, 4),
        64: Tile(64, 128, 64, 4, 4),
        128: Tile(128, 256, 64, 8, 4),
        256: Tile(128, 256, 64, 8, 4),
    },
}
"""For each product, by rows rounded up to a power of 2, the fastest of those tried on an H100 in gemma-3-1b's shape
(benchmarks/speed/engine_products.py); torch's product where there is none."""
FP32 = Tile(64, 64, 32, 4, 2)
"""The tile in fp32, whose product has no tensor core; splits as in `TILES`."""
WIDEST = 2048
"""Outputs beyond which torch's product has tiles enough."""


class Narrow(Fused):
    """The same pieces for a decode step; they take any number of rows and are made for few."""

    def __init__(self, shape: Shape, device: torch.device) -> None:
        """Take the family's choices from its shape."""
        super().__init__(shape)
        self._how = kernels.ahead(device)

    def choose(self, normed: Tensor, head: Tensor) -> Tensor:
        """Return the likeliest next id [T] for normed outputs [T, hidden]."""
        tile = _tile("head", normed, head)
        return super().choose(normed, head) if tile is None else likeliest(normed, head, tile)

    def _product(self, x: Tensor, layer: LayerWeights, name: str, bias: Tensor | None = None) -> Tensor:
        return product(x, getattr(layer, name), bias, name, self._how)


def product(x: Tensor, matrix: Tensor, bias: Tensor | None, name: str, how: Mapping[str, Any]) -> Tensor:
    """Return x [rows, inputs] times matrix [outputs, inputs], and a bias, as parts [parts, rows, outputs] to be added.

    Several parts are fp32, to be rounded once they are added; a single one is rounded. A number depends on its own row
    alone, and on how many rows there are.
    """
    tile = _tile(name, x, matrix) if matrix.shape[0] <= WIDEST else None
    if tile is None:
        return torch.nn.functional.linear(x, matrix, bias)[None]
    return tiled(x, matrix, bias, tile, how)


def tiled(x: Tensor, matrix: Tensor, bias: Tensor | None, tile: Tile, how: Mapping[str, Any]) -> Tensor:
    """Do what `product` does, by this tile."""
    (rows, width), count = x.shape, matrix.shape[0]
    share = triton.cdiv(triton.cdiv(width, tile.splits), tile.inputs) * tile.inputs
    parts = triton.cdiv(width, share)
    out = torch.empty((parts, rows, count), dtype=torch.float32 if parts > 1 else x.dtype, device=x.device)
    narrow_kernels.product[(triton.cdiv(rows, tile.rows), triton.cdiv(count, tile.outputs), parts)](
        x, matrix, matrix if bias is None else bias, out, rows, count, width, share,
        BIAS=bias is not None, **_constants(tile, x), **how,
    )  # fmt: skip
    return out


def likeliest(x: Tensor, head: Tensor, tile: Tile) -> Tensor:
    """Return the id [rows] of each row's largest logit, x [rows, hidden] times head [ids, hidden]; no logit is kept."""
    (rows, width), count = x.shape, head.shape[0]
    chunks = triton.cdiv(count, tile.outputs)
    bests = torch.empty((rows, chunks), dtype=torch.float32, device=x.device)
    places = torch.empty((rows, chunks), dtype=torch.int32, device=x.device)
    narrow_kernels.likeliest[(triton.cdiv(rows, tile.rows), chunks)](
        x, head, bests, places, rows, count, width, **_constants(tile, x)
    )
    return kernels.argmax_join(bests, places, count)


def _tile(name: str, x: Tensor, matrix: Tensor) -> Tile | None:
    found = TILES[name].get(triton.next_power_of_2(x.shape[0]))
    if found is not None and x.element_size() == 4:
        return FP32._replace(splits=found.splits)
    return found


def _constants(tile: Tile, x: Tensor) -> dict[str, Any]:
    return {
        "ROWS": tile.rows,
        "OUTPUTS": tile.outputs,
        "INPUTS": tile.inputs,
        "EVEN": x.shape[1] % tile.inputs == 0,
        "PRECISION": "ieee" if x.element_size() == 4 else "tf32",
        "num_warps": tile.warps,
        "num_stages": tile.stages,
    }
