"""A decoder in pieces for a GPU: torch's matrix products, and one kernel for all that stands between two of them."""

from __future__ import annotations

import torch
import triton
from torch.nn import functional

from harness.generate.engine import kernels, token_kernels
from harness.generate.engine.attention import Surroundings, prompt_attention
from harness.generate.engine.plain import Plain
from harness.generate.engine.shape import Shape
from harness.generate.engine.weights import LayerWeights, Weights

Tensor = torch.Tensor
GATE_BLOCK = 1024


class Fused(Plain):
    """The same pieces, rounded at the same places."""

    def __init__(self, shape: Shape) -> None:
        """Take the family's choices from its shape."""
        super().__init__(shape)
        self._norms = {"eps": shape.eps, "GEMMA": shape.gemma}
        self._how = kernels.IN_TURN

    def enter(self, tokens: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        """Return ids [T] as the residual stream [T, hidden] and the first layer's normed input."""
        hidden = weights.embedding.shape[1]
        stream, normed = torch.empty(
            (2, tokens.shape[0], hidden), dtype=weights.embedding.dtype, device=tokens.device
        ).unbind()
        token_kernels.enter[(tokens.shape[0],)](
            tokens, weights.embedding, weights.layers[0].norm_in, stream, normed, weights.embedding_scale,
            H=hidden, WIDE=triton.next_power_of_2(hidden), SCALED=weights.embedding_scale != 1.0, **self._norms,
        )  # fmt: skip
        return stream, normed

    def read(self, normed: Tensor, layer: LayerWeights, around: Surroundings, slots: Tensor) -> Tensor:
        """Return attention's output over whole prompts, as `Plain.read`."""
        sizes, rows = self._shape.sizes, slots.shape[0]
        qkv = functional.linear(normed, layer.qkv, layer.qkv_bias)
        tokens, heads, size = qkv.shape[0], sizes.heads, sizes.head_dim
        out = torch.empty((tokens, heads + sizes.kv_heads, size), dtype=qkv.dtype, device=qkv.device)
        normed_heads = layer.q_norm is not None
        token_kernels.turn[(tokens,)](
            qkv, layer.q_norm if normed_heads else qkv, layer.k_norm if normed_heads else qkv, *around.turns,
            slots, out, around.keys, around.values, tokens // rows, slot_stride=around.keys.stride(0),
            position_stride=around.keys.stride(1),
            HEADS=heads, KV=sizes.kv_heads, PADDED=triton.next_power_of_2(heads),
            KV_PADDED=triton.next_power_of_2(sizes.kv_heads), SIZE=size, NORM=normed_heads, **self._norms,
        )  # fmt: skip
        turned = out.unflatten(0, (rows, -1))
        v = qkv.unflatten(-1, (-1, size))[:, heads + sizes.kv_heads :].unflatten(0, (rows, -1))
        return prompt_attention(turned[:, :, :heads], turned[:, :, heads:], v, self._shape.scale, around.window)

    def step(self, normed: Tensor, layer: LayerWeights, around: Surroundings, lengths: Tensor, slots: Tensor) -> Tensor:
        """Return attention's output of one new token a row, as `Plain.step`."""
        qkv = self._product(normed, layer, "qkv", layer.qkv_bias)[0]
        return kernels.attend(qkv, layer, around, lengths, slots, self._shape, self._how)

    def settle(self, stream: Tensor, attended: Tensor, layer: LayerWeights, norm_next: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream after attention's output [T, heads * head_dim] and the MLP, and the next normed input."""
        stream, normed = self._added(stream, self._product(attended, layer, "out"), layer.norm_attended, layer.norm_mlp)
        both = functional.linear(normed, layer.gate_up)
        tokens, count = both.shape[0], both.shape[1] // 2
        inner = torch.empty((tokens, count), dtype=both.dtype, device=both.device)
        token_kernels.gate[(tokens, triton.cdiv(count, GATE_BLOCK))](
            both, inner, count, BLOCK=GATE_BLOCK, SILU=self._shape.activation == "silu"
        )
        return self._added(stream, self._product(inner, layer, "down"), layer.norm_added, norm_next)

    def choose(self, normed: Tensor, head: Tensor) -> Tensor:
        """Return the likeliest next id [T] for normed outputs [T, hidden]."""
        return kernels.argmax(functional.linear(normed, head))

    def _product(self, x: Tensor, layer: LayerWeights, name: str, bias: Tensor | None = None) -> Tensor:
        """Return x [T, inputs] times the layer's matrix of this name as parts [parts, T, outputs] to be added."""
        return functional.linear(x, getattr(layer, name), bias)[None]

    def _added(self, stream: Tensor, added: Tensor, norm_added: Tensor | None, norm: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream with a product's parts [parts, T, hidden] added, and it normed."""
        parts, rows, hidden = added.shape
        after, normed = torch.empty((2, rows, hidden), dtype=stream.dtype, device=stream.device).unbind()
        token_kernels.add[(rows,)](
            stream, added, norm if norm_added is None else norm_added, norm, after, normed,
            H=hidden, WIDE=triton.next_power_of_2(hidden), PARTS=parts, NORM_ADDED=norm_added is not None, rows=rows,
            **self._norms, **self._how,
        )  # fmt: skip
        return after, normed
