"""Attention over prompts, and over a cache for one new token a row; the kernel on CUDA, plain torch elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from harness.generate.engine.shape import WHOLE_CONTEXT

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a layer's attention works with beside its weights."""

    turns: tuple[Tensor, Tensor]
    """cos and sin [positions, head_dim] in fp32."""
    keys: Tensor
    """The cache [slots, positions, kv_heads, head_dim], which is written."""
    values: Tensor
    window: int
    """Positions it sees, its own included."""


def prompt_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int) -> Tensor:
    """Return causal attention [rows * width, heads * head_dim] for q, k, v [rows, width, heads, head_dim].

    Rows are padded on the right: no real token sees the padding behind it.
    """
    rows, width, heads, size = q.shape
    group = heads // k.shape[2]
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    if width <= window:
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=group > 1)
    else:
        at = torch.arange(width, device=q.device)
        far = at[:, None] - at[None, :]
        seen = (far >= 0) & (far < window)
        k, v = (part.repeat_interleave(group, dim=1) for part in (k, v))
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)
    return out.transpose(1, 2).reshape(rows * width, heads * size)


def decode_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    around: Surroundings,
    lengths: Tensor,
    slots: Tensor,
    scale: float,
) -> Tensor:
    """Return attention's output [rows, heads * head_dim] for one new token a row, in plain torch for want of a GPU.

    q [rows, heads, head_dim], k and v [rows, kv_heads, head_dim] go in normed and rotated, and k and v into the cache;
    lengths [rows] positions already there, slots [rows] where.
    """
    rows, heads, size = q.shape
    group = heads // k.shape[1]
    around.keys[slots, lengths] = k
    around.values[slots, lengths] = v
    width = int(lengths.max()) + 1
    at = torch.arange(width, device=q.device)
    seen = (at[None, :] <= lengths[:, None]) & (at[None, :] > lengths[:, None] - min(around.window, WHOLE_CONTEXT))
    past_k, past_v = (
        cache[slots, :width].transpose(1, 2).repeat_interleave(group, 1) for cache in (around.keys, around.values)
    )
    out = functional.scaled_dot_product_attention(
        q[:, :, None, :], past_k, past_v, attn_mask=seen[:, None, None, :], scale=scale
    )
    return out.reshape(rows, heads * size)
