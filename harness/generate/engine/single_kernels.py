"""Triton kernels of a decode step of one sequence (`single.py` says why): products that make their own input."""

from __future__ import annotations

import triton
import triton.language as tl

from harness.generate.engine.token_kernels import gated, norm_of, wait


@triton.jit
def _input(
    stream, added, norm_added, norm, stream_out, eps, at, inside,
    H: tl.constexpr, ADD: tl.constexpr, NORM_ADDED: tl.constexpr, GEMMA: tl.constexpr,
):  # fmt: skip
    """The residual stream after what the last product adds, normed; the first program keeps the stream."""
    kind = stream.dtype.element_ty
    x = tl.load(stream + at, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        more = tl.load(added + at, mask=inside, other=0.0).to(tl.float32)
        if NORM_ADDED:
            more = norm_of(more, norm_added, at, inside, eps, H, GEMMA, kind).to(tl.float32)
        x = (x + more).to(kind).to(tl.float32)
        if tl.program_id(0) == 0:
            tl.store(stream_out + at, x.to(kind), mask=inside)
    return norm_of(x, norm, at, inside, eps, H, GEMMA, kind).to(tl.float32)


@triton.jit
def _fetched(matrix, n, at, inside, count, H: tl.constexpr):
    return tl.load(
        matrix + n.to(tl.int64)[:, None] * H + at[None, :], mask=(n < count)[:, None] & inside[None, :], other=0.0
    )


@triton.jit
def _first_rows(matrix, count, H: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr):
    """Numbers [ROWS] of the matrix' rows that a program begins with, places [WIDE] in a row, whether inside, the rows."""
    n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    at = tl.arange(0, WIDE)
    inside = at < H
    return n, at, inside, _fetched(matrix, n, at, inside, count, H)


@triton.jit
def _times(w, x):
    return tl.sum(w.to(tl.float32) * x[None, :], axis=1)


@triton.jit
def ask(
    matrix, bias, out, stream, added, norm_added, norm, stream_out, eps, count,
    H: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, TURNS: tl.constexpr, ADD: tl.constexpr,
    NORM_ADDED: tl.constexpr, GEMMA: tl.constexpr, BIAS: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """A product with the normed stream."""
    n, at, inside, w = _first_rows(matrix, count, H, WIDE, ROWS)
    wait(EARLY)
    x = _input(stream, added, norm_added, norm, stream_out, eps, at, inside, H, ADD, NORM_ADDED, GEMMA)
    for _ in range(TURNS):
        ahead = n + tl.num_programs(0) * ROWS
        w_ahead = _fetched(matrix, ahead, at, inside, count, H) if TURNS > 1 else w
        y = _times(w, x)
        if BIAS:
            y += tl.load(bias + n, mask=n < count, other=0.0).to(tl.float32)
        tl.store(out + n, y.to(out.dtype.element_ty), mask=n < count)
        n, w = ahead, w_ahead


@triton.jit
def gate(
    matrix, out, stream, added, norm_added, norm, stream_out, eps, count,
    H: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, TURNS: tl.constexpr, NORM_ADDED: tl.constexpr,
    GEMMA: tl.constexpr, SILU: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """The MLP's inner activation: the gate's and the other half's product with the normed stream."""
    kind = out.dtype.element_ty
    other = matrix + count.to(tl.int64) * H
    n, at, inside, w = _first_rows(matrix, count, H, WIDE, ROWS)
    w_other = _fetched(other, n, at, inside, count, H)
    wait(EARLY)
    x = _input(stream, added, norm_added, norm, stream_out, eps, at, inside, H, True, NORM_ADDED, GEMMA)
    for _ in range(TURNS):
        ahead = n + tl.num_programs(0) * ROWS
        w_ahead = _fetched(matrix, ahead, at, inside, count, H) if TURNS > 1 else w
        w_other_ahead = _fetched(other, ahead, at, inside, count, H) if TURNS > 1 else w_other
        first = _times(w, x).to(kind).to(tl.float32)
        second = _times(w_other, x).to(kind).to(tl.float32)
        tl.store(out + n, gated(first, second, kind, SILU), mask=n < count)
        n, w, w_other = ahead, w_ahead, w_other_ahead


@triton.jit
def fall(
    matrix, out, vector, count,
    H: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, TURNS: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """A product with a vector as it is."""
    n, at, inside, w = _first_rows(matrix, count, H, WIDE, ROWS)
    wait(EARLY)
    x = tl.load(vector + at, mask=inside, other=0.0).to(tl.float32)
    for _ in range(TURNS):
        ahead = n + tl.num_programs(0) * ROWS
        w_ahead = _fetched(matrix, ahead, at, inside, count, H) if TURNS > 1 else w
        tl.store(out + n, _times(w, x).to(out.dtype.element_ty), mask=n < count)
        n, w = ahead, w_ahead


@triton.jit
def join_out(
    matrix, out, peaks_at, totals_at, sums_at, count,
    H: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, TURNS: tl.constexpr, GROUP: tl.constexpr,
    PADDED: tl.constexpr, SIZE: tl.constexpr, PARTS: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """Attention's output product, with attention's output joined from its parts (`kernels.attend_parts`)."""
    n, at, inside, w = _first_rows(matrix, count, H, WIDE, ROWS)
    wait(EARLY)
    head = at // SIZE
    cell = (head // GROUP) * PARTS * PADDED + head % GROUP
    most = tl.load(peaks_at + cell, mask=inside, other=0.0)
    for part in tl.static_range(1, PARTS):
        most = tl.maximum(most, tl.load(peaks_at + cell + part * PADDED, mask=inside, other=0.0))
    total = tl.zeros([WIDE], tl.float32)
    sums = tl.zeros([WIDE], tl.float32)
    for part in tl.static_range(0, PARTS):
        here = cell + part * PADDED
        weight = tl.exp(tl.load(peaks_at + here, mask=inside, other=0.0) - most)
        total += weight * tl.load(totals_at + here, mask=inside, other=1.0)
        sums += weight * tl.load(sums_at + here * SIZE + at % SIZE, mask=inside, other=0.0)
    kind = out.dtype.element_ty
    x = (sums / total).to(kind).to(tl.float32)
    for _ in range(TURNS):
        ahead = n + tl.num_programs(0) * ROWS
        w_ahead = _fetched(matrix, ahead, at, inside, count, H) if TURNS > 1 else w
        tl.store(out + n, _times(w, x).to(kind), mask=n < count)
        n, w = ahead, w_ahead


@triton.jit
def head(
    matrix, bests, places, stream, added, norm_added, norm, stream_out, eps, count,
    H: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, TURNS: tl.constexpr, NORM_ADDED: tl.constexpr,
    GEMMA: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """Each program's largest logit and where it stands, the lowest id among equals."""
    kind = stream.dtype.element_ty
    n, at, inside, w = _first_rows(matrix, count, H, WIDE, ROWS)
    wait(EARLY)
    x = _input(stream, added, norm_added, norm, stream_out, eps, at, inside, H, True, NORM_ADDED, GEMMA)
    best = tl.full([ROWS], float("-inf"), tl.float32)
    place = tl.full([ROWS], 0, tl.int32)
    for _ in range(TURNS):
        ahead = n + tl.num_programs(0) * ROWS
        w_ahead = _fetched(matrix, ahead, at, inside, count, H)
        y = _times(w, x).to(kind).to(tl.float32)
        better = (n < count) & (y > best)
        best = tl.where(better, y, best)
        place = tl.where(better, n, place)
        n, w = ahead, w_ahead
    largest = tl.max(best, axis=0)
    tl.store(bests + tl.program_id(0), largest)
    tl.store(places + tl.program_id(0), tl.min(tl.where(best == largest, place, count), axis=0))
