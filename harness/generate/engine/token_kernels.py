"""Triton kernels that look at each token alone: norms with the residual sum, the gate, a prompt's keys and queries."""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def wait(EARLY: tl.constexpr):
    """Let the next kernel start, and wait for what the last one wrote, where kernels are launched early."""
    if EARLY:
        gdc_launch_dependents()
        gdc_wait()


@triton.jit
def norm_of(x, weight_at, at, inside, eps, H: tl.constexpr, GEMMA: tl.constexpr, kind: tl.constexpr):
    """A vector in fp32, normed by its root mean square and rounded as transformers rounds it."""
    scale = tl.rsqrt(tl.sum(x * x, axis=0) / H + eps)
    weight = tl.load(weight_at + at, mask=inside, other=0.0).to(tl.float32)
    if GEMMA:
        return (x * scale * weight).to(kind)
    return ((x * scale).to(kind).to(tl.float32) * weight).to(kind)


@triton.jit
def gated(gate, up, kind: tl.constexpr, SILU: tl.constexpr):
    """The MLP's inner activation of the two halves in fp32."""
    if SILU:
        gate = gate * tl.sigmoid(gate)
    else:
        inner = 0.7978845608028654 * (gate + 0.044715 * gate * gate * gate)
        gate = gate * tl.sigmoid(2.0 * inner)  # 0.5 (1 + tanh(x)) = sigmoid(2 x)
    return (gate * up).to(kind)


@triton.jit
def turned_head(at, place, partner, weight_at, cos, sin, sign, eps, mask, NORM: tl.constexpr, GEMMA: tl.constexpr, SIZE: tl.constexpr):  # fmt: skip
    """Heads' vectors [heads, SIZE], normed and rotated, from the projection in memory."""
    kind = at.dtype.element_ty
    x = tl.load(at + place, mask=mask, other=0.0).to(tl.float32)
    other = tl.load(at + partner, mask=mask, other=0.0).to(tl.float32)
    if NORM:
        d = tl.arange(0, SIZE)
        scale = tl.rsqrt(tl.sum(x * x, axis=1) / SIZE + eps)[:, None]
        w = tl.load(weight_at + d).to(tl.float32)[None, :]
        w_other = tl.load(weight_at + (d + SIZE // 2) % SIZE).to(tl.float32)[None, :]
        if GEMMA:
            x = (x * scale * w).to(kind).to(tl.float32)
            other = (other * scale * w_other).to(kind).to(tl.float32)
        else:
            x = ((x * scale).to(kind).to(tl.float32) * w).to(kind).to(tl.float32)
            other = ((other * scale).to(kind).to(tl.float32) * w_other).to(kind).to(tl.float32)
    return (x * cos + sign * other * sin).to(kind)


@triton.jit
def _kept(x, here, stream, norm, normed, at, inside, eps, H: tl.constexpr, GEMMA: tl.constexpr, kind: tl.constexpr):
    """Store a token's residual stream, and it normed for the next product, at their places `here`."""
    tl.store(stream + here, x, mask=inside)
    tl.store(normed + here, norm_of(x.to(tl.float32), norm, at, inside, eps, H, GEMMA, kind), mask=inside)


@triton.jit
def enter(
    tokens, embedding, norm, stream, normed, factor, eps,
    H: tl.constexpr, WIDE: tl.constexpr, SCALED: tl.constexpr, GEMMA: tl.constexpr,
):  # fmt: skip
    """An id's embedding, and it normed."""
    row = tl.program_id(0).to(tl.int64)
    kind = stream.dtype.element_ty
    at = tl.arange(0, WIDE)
    inside = at < H
    x = tl.load(embedding + tl.load(tokens + row) * H + at, mask=inside, other=0.0)
    if SCALED:
        x = (x.to(tl.float32) * factor).to(kind)
    _kept(x, row * H + at, stream, norm, normed, at, inside, eps, H, GEMMA, kind)


@triton.jit(do_not_specialize=["rows"])
def add(
    stream, added, norm_added, norm, stream_out, normed, eps, rows,
    H: tl.constexpr, WIDE: tl.constexpr, PARTS: tl.constexpr, NORM_ADDED: tl.constexpr, GEMMA: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    """The residual stream with what a product adds in parts [PARTS, rows, H], and it normed for the next product."""
    wait(EARLY)
    row = tl.program_id(0).to(tl.int64)
    kind = stream.dtype.element_ty
    at = tl.arange(0, WIDE)
    inside = at < H
    x = tl.load(stream + row * H + at, mask=inside, other=0.0).to(tl.float32)
    more = tl.load(added + row * H + at, mask=inside, other=0.0).to(tl.float32)
    for part in tl.static_range(1, PARTS):
        more += tl.load(added + (part * rows + row) * H + at, mask=inside, other=0.0).to(tl.float32)
    more = more.to(kind).to(tl.float32)
    if NORM_ADDED:
        more = norm_of(more, norm_added, at, inside, eps, H, GEMMA, kind).to(tl.float32)
    x = (x + more).to(kind)
    _kept(x, row * H + at, stream_out, norm, normed, at, inside, eps, H, GEMMA, kind)


@triton.jit
def gate(both, out, count, BLOCK: tl.constexpr, SILU: tl.constexpr):
    """The MLP's inner activation of both halves [row, 2 count]."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    first = tl.load(both + row * 2 * count + at, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(both + row * 2 * count + count + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * count + at, gated(first, second, out.dtype.element_ty, SILU), mask=inside)


@triton.jit
def turn(
    qkv, q_norm, k_norm, cos_at, sin_at, slots, out, keys, values, width, eps, slot_stride, position_stride,
    HEADS: tl.constexpr, KV: tl.constexpr, PADDED: tl.constexpr, KV_PADDED: tl.constexpr, SIZE: tl.constexpr,
    NORM: tl.constexpr, GEMMA: tl.constexpr,
):  # fmt: skip
    """A prompt's token: queries and keys normed and rotated to `out`, keys and values to the cache."""
    token = tl.program_id(0)
    position = token % width
    slot = tl.load(slots + token // width).to(tl.int64)
    d = tl.arange(0, SIZE)
    swapped = (d + SIZE // 2) % SIZE
    sign = tl.where(d < SIZE // 2, -1.0, 1.0)[None, :]
    cos = tl.load(cos_at + position * SIZE + d)[None, :]
    sin = tl.load(sin_at + position * SIZE + d)[None, :]
    h = tl.arange(0, PADDED)[:, None]
    start = token.to(tl.int64) * (HEADS + 2 * KV) * SIZE
    q = turned_head(
        qkv, start + h * SIZE + d[None, :], start + h * SIZE + swapped[None, :], q_norm, cos, sin, sign, eps,
        h < HEADS, NORM, GEMMA, SIZE,
    )  # fmt: skip
    target = out + token.to(tl.int64) * (HEADS + KV) * SIZE
    tl.store(target + h * SIZE + d[None, :], q, mask=h < HEADS)
    g = tl.arange(0, KV_PADDED)[:, None]
    from_k = start + (HEADS + g) * SIZE
    k = turned_head(
        qkv, from_k + d[None, :], from_k + swapped[None, :], k_norm, cos, sin, sign, eps, g < KV, NORM, GEMMA, SIZE
    )
    tl.store(target + (HEADS + g) * SIZE + d[None, :], k, mask=g < KV)
    v = tl.load(qkv + start + (HEADS + KV + g) * SIZE + d[None, :], mask=g < KV, other=0.0)
    here = slot * slot_stride + position.to(tl.int64) * position_stride + g * SIZE + d[None, :]
    tl.store(keys + here, k, mask=g < KV)
    tl.store(values + here, v, mask=g < KV)
