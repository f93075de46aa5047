"""Attention over packed rows by their documents' lengths: no mask over all tokens, no wait for the device.

transformers makes no mask for an attention it has no mask function for, so registering the function alone is what
keeps the dense mask (and its checks, which wait for the device) away. Rows that are not packed need no mask either:
trl pads on the right, where a causal row's real tokens never look.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.nn.attention import varlen
from transformers import AttentionInterface

NAME = "harness_packed"
_LARGEST_FLASH_HEAD = 256


def use_packed_attention(model: Any) -> None:
    """Let `model` (a transformers model) attend this way from now on."""
    global _flash_works
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    _flash_works = _tried(int(size), model.dtype, torch.device(model.device))
    AttentionInterface.register(NAME, packed_attention)
    if config._attn_implementation != NAME:
        model.attention_as_loaded = config._attn_implementation
    attend_packed(model)


def attend_packed(model: Any) -> None:
    """Attend this way again, after `attend_as_loaded`."""
    model.set_attn_implementation(NAME)


def attend_as_loaded(model: Any) -> None:
    """Let a model that was told to attend this way attend as transformers loaded it."""
    model.set_attn_implementation(model.attention_as_loaded)


def _tried(size: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether torch's varlen kernels run here, forward and backward, for heads of this size; else masks are built."""
    query = torch.zeros(1, 2, 8, size, dtype=dtype, device=device, requires_grad=True)
    if not _flash(query):
        return False
    key = torch.zeros(1, 1, 8, size, dtype=dtype, device=device, requires_grad=True)
    starts = torch.tensor([0, 5, 8, 8], dtype=torch.int32, device=device)
    try:
        _by_length(query, key, key, starts, 8, None, 1.0).sum().backward()
        torch.cuda.synchronize(device)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return False
    return True


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention [batch, tokens, heads, width] of query, key, value [batch, heads, tokens, width].

    `cu_seq_lens_q` [documents + 1] are where the documents of one flattened row begin; without it each row is one
    document. Causal; `sliding_window` counts where a document is longer.
    """
    if cu_seq_lens_q is None:
        longest = query.shape[2]
        mask = None if sliding_window is None or longest <= sliding_window else _window(query, sliding_window)
        return _dense(module, query, key, value, mask, scaling), None
    longest = int(max_length_q or query.shape[2])
    window = sliding_window if sliding_window is not None and longest > sliding_window else None
    if _flash_works and _flash(query):
        return _by_length(query, key, value, cu_seq_lens_q, longest, window, scaling), None
    document = torch.bucketize(
        torch.arange(query.shape[2], device=query.device), cu_seq_lens_q[1:].long(), right=True, out_int32=True
    )
    mask = document[:, None] == document[None, :]
    return _dense(module, query, key, value, mask & _window(query, window), scaling), None


def _flash(query: torch.Tensor) -> bool:
    half = query.dtype in (torch.float16, torch.bfloat16)
    if not query.is_cuda or not half or query.shape[-1] > _LARGEST_FLASH_HEAD or query.shape[-1] % 8:
        return False
    return torch.cuda.get_device_capability(query.device)[0] >= 8


def _by_length(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    longest: int,
    window: int | None,
    scaling: float | None,
) -> torch.Tensor:
    attend: Any = varlen.varlen_attn
    groups = query.shape[1] // key.shape[1]
    q, k, v = (part.transpose(1, 2).squeeze(0) for part in (query, key, value))
    how: dict[str, Any] = {"scale": scaling, "window_size": (-1 if window is None else window - 1, 0)}
    if groups > 1 and _KNOWS_GROUPS:
        how["enable_gqa"] = True
    elif groups > 1:
        k, v = (part.repeat_interleave(groups, dim=1) for part in (k, v))
    return attend(q, k, v, starts, starts, longest, longest, **how).unsqueeze(0)


def _dense(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    out = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling
    )
    return out.transpose(1, 2).contiguous()


def _window(query: torch.Tensor, window: int | None) -> torch.Tensor:
    """Return the causal mask [tokens, tokens] in which a token sees itself and at most `window - 1` before it."""
    at = torch.arange(query.shape[2], device=query.device)
    behind = at[:, None] - at[None, :]
    return (behind >= 0) if window is None else (behind >= 0) & (behind < window)


_KNOWS_GROUPS = "enable_gqa" in inspect.signature(varlen.varlen_attn).parameters
"""Not so in torch 2.11."""
_flash_works = False
"""Set by the last model that was told to attend this way."""
