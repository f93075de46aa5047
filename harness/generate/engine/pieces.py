"""A decoder cut into pieces that look at each token alone, for prompts and decode steps alike, ready to compile.

Every piece takes activations of [T, ...] for any T tokens and the weights as arguments, so that one compiled piece
serves every layer and every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from harness.generate.engine.shape import Shape
from harness.generate.engine.weights import LayerWeights, Weights

Tensor = torch.Tensor
Piece = Callable[..., Any]


class Pieces:
    """The pieces of one decoder's family; compiled on request."""

    def __init__(self, shape: Shape, compiled: bool, single: bool = False) -> None:
        """`single` tunes for one token at a time, where a matrix product is bound by reading the matrix."""
        self.shape = shape
        self._dynamic = compiled and not single
        how: dict[str, Any] = {"options": {"coordinate_descent_tuning": True}, "dynamic": False} if single else {}

        def ready(piece: Piece) -> Piece:
            return torch.compile(piece, **how) if compiled else piece

        self._enter, self._ask, self._choose = ready(_enter_of(shape)), ready(_ask_of(shape)), ready(_choose)
        self._project = ready(functional.linear) if single else functional.linear
        rise, fall = _rise_of(shape), _fall_of(shape)
        # for one token a fused activation would be computed anew for every output of the product behind it
        self._settle = _after(ready(rise), ready(fall)) if single else ready(_after(rise, fall))

    def _mark(self, *tensors: Tensor) -> None:
        if self._dynamic:
            for tensor in tensors:
                torch._dynamo.maybe_mark_dynamic(tensor, 0)

    def enter(self, tokens: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        """Return ids [T] as the residual stream [T, hidden] and the first layer's normed input."""
        self._mark(tokens)
        return self._enter(tokens, weights.embedding, weights.layers[0].norm_in, weights.embedding_scale)

    def ask(self, normed: Tensor, layer: LayerWeights, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q [T, heads, head_dim], k and v [T, kv_heads, head_dim], normed and rotated."""
        self._mark(normed, cos, sin)
        return self._ask(normed, layer.qkv, layer.qkv_bias, layer.q_norm, layer.k_norm, cos, sin)

    def project(self, normed: Tensor, layer: LayerWeights) -> Tensor:
        """Return the raw projection [T, (heads + 2 kv_heads) * head_dim]: what a kernel norms and rotates itself."""
        return self._project(normed, layer.qkv, layer.qkv_bias)

    def settle(self, stream: Tensor, attended: Tensor, layer: LayerWeights, norm_next: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream after attention's output [T, heads * head_dim] and the MLP, and the next normed input."""
        self._mark(stream, attended)
        return self._settle(
            stream,
            attended,
            layer.out,
            layer.norm_attended,
            layer.norm_mlp,
            layer.gate_up,
            layer.down,
            layer.norm_added,
            norm_next,
        )

    def choose(self, normed: Tensor, head: Tensor) -> Tensor:
        """Return the likeliest next id [T] for normed outputs [T, hidden]."""
        self._mark(normed)
        return self._choose(normed, head)


def _normed(x: Tensor, weight: Tensor, eps: float, gemma: bool) -> Tensor:
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return (wide * weight).to(x.dtype) if gemma else weight * wide.to(x.dtype)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding in fp32, rounded once; x [T, heads, head_dim], cos and sin [T, head_dim]."""
    wide = x.float()
    half = x.shape[-1] // 2
    turned = torch.cat((-wide[..., half:], wide[..., :half]), dim=-1)
    return (wide * cos[:, None, :] + turned * sin[:, None, :]).to(x.dtype)


def _enter_of(shape: Shape) -> Piece:
    eps, gemma = shape.eps, shape.gemma

    def enter(tokens: Tensor, embedding: Tensor, norm: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        stream = functional.embedding(tokens, embedding)
        if scale != 1.0:
            stream = stream * scale
        return stream, _normed(stream, norm, eps, gemma)

    return enter


def _ask_of(shape: Shape) -> Piece:
    heads, kv_heads, size = shape.sizes.heads, shape.sizes.kv_heads, shape.sizes.head_dim
    eps, gemma = shape.eps, shape.gemma

    def ask(
        normed: Tensor,
        qkv: Tensor,
        bias: Tensor | None,
        q_norm: Tensor | None,
        k_norm: Tensor | None,
        cos: Tensor,
        sin: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        both = functional.linear(normed, qkv, bias).view(-1, heads + 2 * kv_heads, size)
        q, k, v = both.split((heads, kv_heads, kv_heads), dim=1)
        if q_norm is not None and k_norm is not None:
            q, k = _normed(q, q_norm, eps, gemma), _normed(k, k_norm, eps, gemma)
        return _rotated(q, cos, sin).contiguous(), _rotated(k, cos, sin).contiguous(), v.contiguous()

    return ask


def _rise_of(shape: Shape) -> Piece:
    eps, gemma, silu = shape.eps, shape.gemma, shape.activation == "silu"

    def rise(
        stream: Tensor,
        attended: Tensor,
        out: Tensor,
        norm_attended: Tensor | None,
        norm_mlp: Tensor,
        gate_up: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Attention's output added, and the MLP's inner activation."""
        added = functional.linear(attended, out)
        if norm_attended is not None:
            added = _normed(added, norm_attended, eps, gemma)
        stream = stream + added
        gate, up = functional.linear(_normed(stream, norm_mlp, eps, gemma), gate_up).chunk(2, dim=-1)
        gate = functional.silu(gate) if silu else functional.gelu(gate, approximate="tanh")
        return stream, gate * up

    return rise


def _fall_of(shape: Shape) -> Piece:
    eps, gemma = shape.eps, shape.gemma

    def fall(
        stream: Tensor, inner: Tensor, down: Tensor, norm_added: Tensor | None, norm_next: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The MLP's output added, and the next normed input."""
        added = functional.linear(inner, down)
        if norm_added is not None:
            added = _normed(added, norm_added, eps, gemma)
        stream = stream + added
        return stream, _normed(stream, norm_next, eps, gemma)

    return fall


def _after(rise: Piece, fall: Piece) -> Piece:
    def settle(
        stream: Tensor,
        attended: Tensor,
        out: Tensor,
        norm_attended: Tensor | None,
        norm_mlp: Tensor,
        gate_up: Tensor,
        down: Tensor,
        norm_added: Tensor | None,
        norm_next: Tensor,
    ) -> tuple[Tensor, Tensor]:
        stream, inner = rise(stream, attended, out, norm_attended, norm_mlp, gate_up)
        return fall(stream, inner, down, norm_added, norm_next)

    return settle


def _choose(normed: Tensor, head: Tensor) -> Tensor:
    return functional.linear(normed, head).argmax(dim=-1)
