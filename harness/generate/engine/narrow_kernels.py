"""Triton kernels for products of few rows: each shared out over its inputs too, for want of outputs to fill a GPU."""

from __future__ import annotations

import triton
import triton.language as tl

from harness.generate.engine.token_kernels import wait


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
    wait(EARLY)
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
