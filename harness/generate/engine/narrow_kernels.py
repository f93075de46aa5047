"""Triton kernels for products of few rows: each shared out over its inputs too, for want of outputs to fill a GPU."""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from harness.generate.engine.token_kernels import norm_of


@triton.jit
def _dotted(
    x, matrix, row, n, begin, end, width,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr, EVEN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """x[row, begin:end] times matrix[n, begin:end] in fp32."""
    k = tl.arange(0, INPUTS)
    sums = tl.zeros([ROWS, OUTPUTS], tl.float32)
    for start in range(begin, end, INPUTS):
        at = start + k
        x_at = x + row[:, None] * width + at[None, :]
        w_at = matrix + n[None, :] * width + at[:, None]
        if EVEN:
            sums = tl.dot(tl.load(x_at), tl.load(w_at), sums, input_precision=PRECISION)
        else:
            there = at < end
            few = tl.load(x_at, mask=there[None, :], other=0.0)
            sums = tl.dot(few, tl.load(w_at, mask=there[:, None], other=0.0), sums, input_precision=PRECISION)
    return sums


@triton.jit(do_not_specialize=["rows"])
def product(
    x, matrix, bias, out, rows, count, width, share,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr, EVEN: tl.constexpr, BIAS: tl.constexpr,
    PRECISION: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """Partial products [programs over the inputs, rows, count], each of `share` inputs; a bias counts in the first."""
    if EARLY:
        gdc_launch_dependents()
        gdc_wait()
    part = tl.program_id(2)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    n = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    begin = part * share
    # rows and outputs past the last are computed from the last and not stored: their loads need no mask
    sums = _dotted(
        x, matrix, tl.minimum(row, rows - 1), tl.minimum(n, count - 1), begin, tl.minimum(begin + share, width), width,
        ROWS, OUTPUTS, INPUTS, EVEN, PRECISION,
    )  # fmt: skip
    if BIAS:
        added = tl.load(bias + n, mask=n < count, other=0.0).to(tl.float32)
        sums += tl.where(part == 0, added, 0.0)[None, :]
    place = (part * rows + row[:, None]) * count + n[None, :]
    tl.store(out + place, sums.to(out.dtype.element_ty), mask=(row < rows)[:, None] & (n < count)[None, :])


@triton.jit(do_not_specialize=["rows"])
def add(
    stream, added, norm_added, norm, stream_out, normed, eps, rows,
    H: tl.constexpr, WIDE: tl.constexpr, PARTS: tl.constexpr, NORM_ADDED: tl.constexpr, GEMMA: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    """`token_kernels.add` of a product that comes in parts [PARTS, rows, H]."""
    if EARLY:
        gdc_launch_dependents()
        gdc_wait()
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
    tl.store(stream_out + row * H + at, x, mask=inside)
    y = norm_of(x.to(tl.float32), norm, at, inside, eps, H, GEMMA, kind)
    tl.store(normed + row * H + at, y, mask=inside)


@triton.jit(do_not_specialize=["rows"])
def likeliest(
    x, matrix, bests, places, rows, count, width,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr, EVEN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Each row's largest logit among a program's OUTPUTS, and its id, the lowest among equals: [rows, programs]."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    chunk = tl.program_id(1)
    first = chunk * OUTPUTS
    n = first + tl.arange(0, OUTPUTS)
    mine = matrix + first.to(tl.int64) * width  # a head may have more numbers than an int32 counts
    sums = _dotted(
        x, mine, tl.minimum(row, rows - 1), tl.minimum(n, count - 1) - first, 0, width, width,
        ROWS, OUTPUTS, INPUTS, EVEN, PRECISION,
    )  # fmt: skip
    logits = sums.to(x.dtype.element_ty).to(tl.float32)
    logits = tl.where((n < count)[None, :], logits, float("-inf"))
    best = tl.max(logits, axis=1)
    place = row * tl.num_programs(1) + chunk
    tl.store(bests + place, best, mask=row < rows)
    at = tl.where(logits == best[:, None], n[None, :], count)
    tl.store(places + place, tl.min(at, axis=1), mask=row < rows)
