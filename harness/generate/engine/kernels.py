"""Decode attention as one Triton kernel: write the new key and value, attend over the slot's cache."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

Tensor = torch.Tensor


@triton.jit
def _attend(
    q_at, k_at, v_at, keys, values, lengths, slots, out_at, scale, window, slot_stride, position_stride,
    KV: tl.constexpr, GROUP: tl.constexpr, PADDED: tl.constexpr, SIZE: tl.constexpr, BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    row, head = tl.program_id(0), tl.program_id(1)
    slot = tl.load(slots + row).to(tl.int64)
    length = tl.load(lengths + row).to(tl.int32)
    d = tl.arange(0, SIZE)
    g = tl.arange(0, PADDED)
    mine = (row * KV + head) * GROUP + g
    q = tl.load(q_at + mine[:, None] * SIZE + d[None, :], mask=g[:, None] < GROUP, other=0.0)
    k_new = tl.load(k_at + (row * KV + head) * SIZE + d)
    v_new = tl.load(v_at + (row * KV + head) * SIZE + d)
    base = slot * slot_stride + head * SIZE
    here = base + length.to(tl.int64) * position_stride + d
    tl.store(keys + here, k_new)
    tl.store(values + here, v_new)
    most = tl.sum(q.to(tl.float32) * k_new.to(tl.float32)[None, :], axis=1) * scale
    total = tl.full([PADDED], 1.0, tl.float32)
    sums = tl.zeros([PADDED, SIZE], tl.float32) + v_new.to(tl.float32)[None, :]
    first = tl.maximum(length + 1 - window, 0)
    for start in range(first, length, BLOCK):
        position = start + tl.arange(0, BLOCK)
        there = position < length
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
    result = sums / total[:, None]
    tl.store(out_at + mine[:, None] * SIZE + d[None, :], result.to(out_at.dtype.element_ty), mask=g[:, None] < GROUP)


def decode_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    keys: Tensor,
    values: Tensor,
    lengths: Tensor,
    slots: Tensor,
    scale: float,
    window: int,
) -> Tensor:
    """Return attention's output [rows, heads * head_dim]; the new k and v are written into the cache.

    q [rows, heads, head_dim], k and v [rows, kv_heads, head_dim]; keys and values [slots, positions, kv_heads,
    head_dim]; lengths [rows] positions already in the cache, slots [rows] where.
    """
    rows, heads, size = q.shape
    kv_heads = k.shape[1]
    group = heads // kv_heads
    wide = q.element_size() == 4
    few = rows * kv_heads <= 64
    block, warps, stages = (16, 4, 2) if wide else (128, 8, 1) if few else (32, 4, 2)
    out = torch.empty_like(q)
    _attend[(rows, kv_heads)](
        q, k, v, keys, values, lengths, slots, out, scale, window, keys.stride(0), keys.stride(1),
        KV=kv_heads, GROUP=group, PADDED=max(16, triton.next_power_of_2(group)), SIZE=size, BLOCK=block,
        PRECISION="ieee" if wide else "tf32", num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out.view(rows, heads * size)
