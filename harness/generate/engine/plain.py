"""A decoder in pieces of plain torch: what runs where there is no GPU, and what the kernels are held against."""

from __future__ import annotations

import torch
from torch.nn import functional

from harness.generate.engine.attention import Surroundings, decode_attention, prompt_attention
from harness.generate.engine.shape import Shape
from harness.generate.engine.weights import LayerWeights, Weights

Tensor = torch.Tensor


class Plain:
    """The pieces of one decoder's family; activations are [T, ...] for any T tokens."""

    def __init__(self, shape: Shape) -> None:
        """Take the family's choices from its shape."""
        self._shape = shape

    def enter(self, tokens: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        """Return ids [T] as the residual stream [T, hidden] and the first layer's normed input."""
        stream = functional.embedding(tokens, weights.embedding)
        if weights.embedding_scale != 1.0:
            stream = stream * weights.embedding_scale
        return stream, self._normed(stream, weights.layers[0].norm_in)

    def read(self, normed: Tensor, layer: LayerWeights, around: Surroundings, slots: Tensor) -> Tensor:
        """Return attention's output [T, heads * head_dim] over prompts of equal width, one for each of `slots`."""
        rows = slots.shape[0]
        width = normed.shape[0] // rows
        cos, sin = (table[:width].repeat(rows, 1) for table in around.turns)
        q, k, v = (part.unflatten(0, (rows, width)) for part in self._ask(normed, layer, cos, sin))
        around.keys[slots, :width] = k
        around.values[slots, :width] = v
        return prompt_attention(q, k, v, self._shape.scale, around.window)

    def step(self, normed: Tensor, layer: LayerWeights, around: Surroundings, lengths: Tensor, slots: Tensor) -> Tensor:
        """Return attention's output [rows, heads * head_dim] of one new token a row, behind `lengths` [rows] others."""
        cos, sin = around.turns
        q, k, v = self._ask(normed, layer, cos[lengths], sin[lengths])
        return decode_attention(q, k, v, around, lengths, slots, self._shape.scale)

    def settle(self, stream: Tensor, attended: Tensor, layer: LayerWeights, norm_next: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream after attention's output [T, heads * head_dim] and the MLP, and the next normed input."""
        stream = stream + self._normed(functional.linear(attended, layer.out), layer.norm_attended)
        gate, up = functional.linear(self._normed(stream, layer.norm_mlp), layer.gate_up).chunk(2, dim=-1)
        silu = self._shape.activation == "silu"
        gate = functional.silu(gate) if silu else functional.gelu(gate, approximate="tanh")
        stream = stream + self._normed(functional.linear(gate * up, layer.down), layer.norm_added)
        return stream, self._normed(stream, norm_next)

    def choose(self, normed: Tensor, head: Tensor) -> Tensor:
        """Return the likeliest next id [T] for normed outputs [T, hidden]."""
        return functional.linear(normed, head).argmax(dim=-1)

    def _normed(self, x: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return x
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self._shape.eps)
        return (wide * weight).to(x.dtype) if self._shape.gemma else weight * wide.to(x.dtype)

    def _ask(self, normed: Tensor, layer: LayerWeights, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q [T, heads, head_dim], k and v [T, kv_heads, head_dim], normed and rotated."""
        sizes = self._shape.sizes
        both = functional.linear(normed, layer.qkv, layer.qkv_bias).unflatten(-1, (-1, sizes.head_dim))
        q, k, v = both.split((sizes.heads, sizes.kv_heads, sizes.kv_heads), dim=1)
        q, k = self._normed(q, layer.q_norm), self._normed(k, layer.k_norm)
        return _rotated(q, cos, sin), _rotated(k, cos, sin), v


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding in fp32, rounded once; x [T, heads, head_dim], cos and sin [T, head_dim]."""
    wide = x.float()
    half = x.shape[-1] // 2
    turned = torch.cat((-wide[..., half:], wide[..., :half]), dim=-1)
    return (wide * cos[:, None, :] + turned * sin[:, None, :]).to(x.dtype)
