"""Triton kernels of a decode step: everything between a layer's qkv product and its output product, and the argmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl

from harness.generate.engine.attention import Surroundings
from harness.generate.engine.fit import on_hopper
from harness.generate.engine.shape import Shape
from harness.generate.engine.token_kernels import turned_head, wait
from harness.generate.engine.weights import LayerWeights

Tensor = torch.Tensor

SHARING = dict.fromkeys((1, 2, 4, 8, 16, 32), 8) | {64: 4, 128: 4}
"""Programs that share a row's cache, by rows * kv_heads rounded up to a power of 2: few rows do not fill a GPU."""
SPLITS = 8
"""Programs that share the cache of a single row."""
MANY = (32, 2, 3)
FEW = (32, 4, 2)
WIDE = (16, 4, 2)
"""(positions read at once, warps, stages) for a row's cache read by one program, by several, and in fp32."""
IN_TURN: Mapping[str, Any] = {"EARLY": False}
"""A kernel is launched once the one ahead is done."""
CHUNK = 8192
"""Logits that one program of the argmax looks through."""


@triton.jit
def _attend(
    qkv, q_norm, k_norm, cos_at, sin_at, keys, values, lengths, slots, out_at, peaks_at, totals_at, sums_at,
    eps, scale, window, slot_stride, position_stride,
    KV: tl.constexpr, GROUP: tl.constexpr, PADDED: tl.constexpr, SIZE: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr, NORM: tl.constexpr, GEMMA: tl.constexpr, PRECISION: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    wait(EARLY)
    row, head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    slot = tl.load(slots + row).to(tl.int64)
    length = tl.load(lengths + row).to(tl.int32)
    d = tl.arange(0, SIZE)
    g = tl.arange(0, PADDED)
    swapped = (d + SIZE // 2) % SIZE
    sign = tl.where(d < SIZE // 2, -1.0, 1.0)[None, :]
    cos = tl.load(cos_at + length.to(tl.int64) * SIZE + d)[None, :]
    sin = tl.load(sin_at + length.to(tl.int64) * SIZE + d)[None, :]
    start_of_row = row * (KV * GROUP + 2 * KV) * SIZE
    mine = start_of_row + (head * GROUP + g[:, None]) * SIZE
    real = g[:, None] < GROUP
    q = turned_head(
        qkv, mine + d[None, :], mine + swapped[None, :], q_norm, cos, sin, sign, eps, real, NORM, GEMMA, SIZE
    )
    base = slot * slot_stride + head * SIZE
    most = tl.full([PADDED], float("-inf"), tl.float32)
    total = tl.zeros([PADDED], tl.float32)
    sums = tl.zeros([PADDED, SIZE], tl.float32)
    if part == 0:  # the new token: its key and value go to the cache and are attended to from here
        one = tl.arange(0, 1)[:, None]
        key = start_of_row + (KV * GROUP + head) * SIZE + one
        k_new = turned_head(
            qkv, key + d[None, :], key + swapped[None, :], k_norm, cos, sin, sign, eps, one < 1, NORM, GEMMA, SIZE
        )
        v_new = tl.load(qkv + start_of_row + (KV * GROUP + KV + head) * SIZE + d[None, :] + one)
        here = base + length.to(tl.int64) * position_stride + d[None, :] + one
        tl.store(keys + here, k_new)
        tl.store(values + here, v_new)
        most = tl.sum(q.to(tl.float32) * k_new.to(tl.float32), axis=1) * scale
        total += 1.0
        sums += v_new.to(tl.float32)
    first = tl.maximum(length + 1 - window, 0)
    share = tl.cdiv(tl.cdiv(length - first, PARTS), BLOCK) * BLOCK
    begin = first + part * share
    end = tl.minimum(begin + share, length)
    for start in range(begin, end, BLOCK):
        position = start + tl.arange(0, BLOCK)
        there = position < end
        offset = position.to(tl.int64) * position_stride
        k = tl.load(keys + base + offset[None, :] + d[:, None], mask=there[None, :], other=0.0)
        score = tl.dot(q, k, input_precision=PRECISION) * scale
        score = tl.where(there[None, :], score, float("-inf"))
        peak = tl.maximum(most, tl.max(score, axis=1))
        weight = tl.exp(score - peak[:, None])
        fade = tl.exp(most - peak)
        total = total * fade + tl.sum(weight, axis=1)
        v = tl.load(values + base + offset[:, None] + d[None, :], mask=there[:, None], other=0.0)
        sums = sums * fade[:, None] + tl.dot(weight.to(v.dtype), v, input_precision=PRECISION)
        most = peak
    if PARTS == 1:
        place = (row * KV * GROUP + head * GROUP + g[:, None]) * SIZE + d[None, :]
        tl.store(out_at + place, (sums / total[:, None]).to(out_at.dtype.element_ty), mask=real)
    else:
        cell = ((row * KV + head) * PARTS + part) * PADDED + g
        tl.store(peaks_at + cell, most)
        tl.store(totals_at + cell, total)
        tl.store(sums_at + cell[:, None] * SIZE + d[None, :], sums, mask=real)


@triton.jit
def _join(
    peaks_at, totals_at, sums_at, out_at,
    KV: tl.constexpr, GROUP: tl.constexpr, PADDED: tl.constexpr, SIZE: tl.constexpr, PARTS: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    """One head's output from its parts; a part that saw nothing has peak -inf and counts nothing."""
    wait(EARLY)
    row, head = tl.program_id(0), tl.program_id(1)
    d = tl.arange(0, SIZE)
    kv, member = head // GROUP, head % GROUP
    part = tl.arange(0, PARTS)
    cell = ((row * KV + kv) * PARTS + part) * PADDED + member
    peaks = tl.load(peaks_at + cell)
    weight = tl.exp(peaks - tl.max(peaks, axis=0))
    total = tl.sum(weight * tl.load(totals_at + cell), axis=0)
    sums = tl.sum(weight[:, None] * tl.load(sums_at + cell[:, None] * SIZE + d[None, :]), axis=0)
    tl.store(out_at + (row * KV * GROUP + head) * SIZE + d, (sums / total).to(out_at.dtype.element_ty))


@triton.jit
def _argmax(logits, bests, places, width, CHUNK: tl.constexpr, CHUNKS: tl.constexpr):
    row, chunk = tl.program_id(0), tl.program_id(1)
    at = chunk * CHUNK + tl.arange(0, CHUNK)
    x = tl.load(logits + row.to(tl.int64) * width + at, mask=at < width, other=float("-inf")).to(tl.float32)
    best = tl.max(x, axis=0)
    tl.store(bests + row * CHUNKS + chunk, best)
    tl.store(places + row * CHUNKS + chunk, tl.min(tl.where(x == best, at, width), axis=0))


@triton.jit
def _argmax_join(bests, places, out_at, width, CHUNKS: tl.constexpr, PADDED: tl.constexpr):
    row = tl.program_id(0)
    chunk = tl.arange(0, PADDED)
    x = tl.load(bests + row * CHUNKS + chunk, mask=chunk < CHUNKS, other=float("-inf"))
    place = tl.load(places + row * CHUNKS + chunk, mask=chunk < CHUNKS, other=width)
    tl.store(out_at + row, tl.min(tl.where(x == tl.max(x, axis=0), place, width), axis=0).to(tl.int64))


@triton.jit
def _inputs(slots, done, token, length, token_out, length_out):
    row = tl.program_id(0)
    slot = tl.load(slots + row)
    tl.store(token_out + row, tl.load(token + slot))
    tl.store(length_out + row, tl.where(tl.load(done + slot) != 0, 0, tl.load(length + slot)))


@triton.jit
def _advance(slots, chosen_at, stops, done_at, token, length, made_at, limit, out, new):
    row = tl.program_id(0)
    slot = tl.load(slots + row)
    chosen = tl.load(chosen_at + row)
    done = tl.load(done_at + slot) != 0
    made = tl.load(made_at + slot)
    tl.store(out + slot * (new + 1) + tl.where(done, new, made), chosen.to(tl.int32))
    if not done:
        tl.store(made_at + slot, made + 1)
        tl.store(length + slot, tl.load(length + slot) + 1)
        tl.store(token + slot, chosen)
        ended = (tl.load(stops + chosen) != 0) | (made + 1 >= tl.load(limit + slot))
        tl.store(done_at + slot, ended.to(tl.uint8))


@dataclass(frozen=True, slots=True)
class Parts:
    """Attention's output in parts, each with the peak of its scores and the sum of its weights; fp32.

    A part's cell is ((row * kv_heads + kv_head) * count + part) * padded + head within its kv_head.
    """

    peaks: Tensor
    totals: Tensor
    sums: Tensor
    """[cells, head_dim]"""
    count: int
    padded: int


def ahead(device: torch.device) -> Mapping[str, Any]:
    """Return how kernels that wait on the device follow one another: launched early on Hopper, else in turn."""
    return {"EARLY": True, "launch_pdl": True} if on_hopper(device) else IN_TURN


def attend(
    qkv: Tensor,
    layer: LayerWeights,
    around: Surroundings,
    lengths: Tensor,
    slots: Tensor,
    shape: Shape,
    launch: Mapping[str, Any],
) -> Tensor:
    """Return attention's output [rows, heads * head_dim] for one new token a row, and write its key and value.

    qkv [rows, (heads + 2 kv_heads) * head_dim] as projected; lengths [rows] positions already there, slots [rows]
    where; `launch` says how kernels follow.
    """
    heads, kv_heads, size = shape.sizes.heads, shape.sizes.kv_heads, shape.sizes.head_dim
    rows = qkv.shape[0]
    out = torch.empty((rows, heads * size), dtype=qkv.dtype, device=qkv.device)
    count = SHARING.get(triton.next_power_of_2(rows * kv_heads), 1)
    parts = _attended(qkv, layer, around, lengths, slots, shape, launch, count, out)
    if count > 1:
        _join[(rows, heads)](
            parts.peaks, parts.totals, parts.sums, out,
            KV=kv_heads, GROUP=heads // kv_heads, PADDED=parts.padded, SIZE=size, PARTS=count, num_warps=2,
            **launch,
        )  # fmt: skip
    return out


def attend_parts(
    qkv: Tensor,
    layer: LayerWeights,
    around: Surroundings,
    lengths: Tensor,
    slots: Tensor,
    shape: Shape,
    launch: Mapping[str, Any],
) -> Parts:
    """Do what `attend` does and leave the parts to be joined by the caller; `launch` says how kernels follow."""
    return _attended(qkv, layer, around, lengths, slots, shape, launch, SPLITS, qkv)


def _attended(
    qkv: Tensor,
    layer: LayerWeights,
    around: Surroundings,
    lengths: Tensor,
    slots: Tensor,
    shape: Shape,
    launch: Mapping[str, Any],
    count: int,
    out: Tensor,
) -> Parts:
    """Attention in so many parts; a single one goes to `out`."""
    rows, kv_heads, size = qkv.shape[0], shape.sizes.kv_heads, shape.sizes.head_dim
    group = shape.sizes.heads // kv_heads
    wide = qkv.element_size() == 4
    block, warps, stages = WIDE if wide else FEW if count > 1 else MANY
    padded = max(16, triton.next_power_of_2(group))
    cells = rows * kv_heads * count * padded if count > 1 else 1
    scratch = torch.empty((2 + size, cells), dtype=torch.float32, device=qkv.device)
    parts = Parts(scratch[0], scratch[1], scratch[2:], count, padded)
    normed = layer.q_norm is not None
    _attend[(rows, kv_heads, count)](
        qkv, layer.q_norm if normed else qkv, layer.k_norm if normed else qkv, *around.turns, around.keys,
        around.values, lengths, slots, out, parts.peaks, parts.totals, parts.sums,
        shape.eps, shape.scale, around.window, around.keys.stride(0), around.keys.stride(1),
        KV=kv_heads, GROUP=group, PADDED=padded, SIZE=size, BLOCK=block, PARTS=count, NORM=normed, GEMMA=shape.gemma,
        PRECISION="ieee" if wide else "tf32", num_warps=warps, num_stages=stages, **launch,
    )  # fmt: skip
    return parts


def argmax(logits: Tensor) -> Tensor:
    """Return the index of each row's largest number [rows]; the lowest index among equals."""
    rows, width = logits.shape
    chunks = triton.cdiv(width, CHUNK)
    bests = torch.empty((rows, chunks), dtype=torch.float32, device=logits.device)
    places = torch.empty((rows, chunks), dtype=torch.int32, device=logits.device)
    _argmax[(rows, chunks)](logits, bests, places, width, CHUNK=CHUNK, CHUNKS=chunks, num_warps=8)
    return argmax_join(bests, places, width)


def argmax_join(bests: Tensor, places: Tensor, width: int) -> Tensor:
    """Return each row's index of the largest of `bests` [rows, chunks], found at `places`; the lowest among equals."""
    rows, chunks = bests.shape
    out = torch.empty(rows, dtype=torch.int64, device=bests.device)
    padded = triton.next_power_of_2(chunks)
    warps = min(8, max(1, padded // 512))
    _argmax_join[(rows,)](bests, places, out, width, CHUNKS=chunks, PADDED=padded, num_warps=warps)
    return out


def inputs(slots: Tensor, done: Tensor, token: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Return token and length [rows] of `slots` [rows], length 0 where `done`; the others are [slots] (`State`)."""
    tokens, lengths = torch.empty((2, slots.shape[0]), dtype=torch.int64, device=slots.device).unbind()
    _inputs[(slots.shape[0],)](slots, done.view(torch.uint8), token, length, tokens, lengths, num_warps=1)
    return tokens, lengths


def advance(
    slots: Tensor,
    chosen: Tensor,
    stops: Tensor,
    done: Tensor,
    token: Tensor,
    length: Tensor,
    made: Tensor,
    limit: Tensor,
    out: Tensor,
) -> None:
    """Do what `State.advance` does."""
    _advance[(slots.shape[0],)](
        slots, chosen, stops.view(torch.uint8), done.view(torch.uint8), token, length, made, limit, out,
        out.shape[1] - 1, num_warps=1,
    )  # fmt: skip
