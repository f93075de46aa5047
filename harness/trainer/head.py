"""The loss over the vocabulary with each token's logits computed once: trl's kernels, without its second product.

trl's fused head computes tiles of the logits in forward, throws them away, and computes them again in backward: a
quarter of the head's work, and the head is a third of a small model's. What backward wants is known in forward already,
since the loss is a sum with known weights: so here a few thousand tokens' logits are turned into their gradient in
place, and that into the gradients of hidden states (and of a head that is trained), before the next tokens' turn.
"""

from __future__ import annotations

from typing import Any

import torch
from trl.kernels import chunked_logprob as kernels

from harness.errors import ConfigError

TOKENS = 4096
"""Tokens whose logits are held at once: [4096, 262144] in bf16 are 2 GiB."""
_NEEDED = ("_forward_kernel", "_backward_kernel", "_forward_tile", "_backward_tile", "_use_triton", "_addmm_fp32")


def check_head() -> None:
    """Raise ConfigError where this trl has other kernels."""
    missing = [name for name in _NEEDED if not hasattr(kernels, name)]
    if missing:
        raise ConfigError(f"This trl has no {missing[0]}, which train.head_kernel=once calls; set it to trl.")


class OnceLogits(torch.autograd.Function):
    """(sum of factors times log-probabilities, entropies, whether the target is the likeliest token)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        factors: torch.Tensor,
        softcap: float | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the sum [] and two vectors [tokens].

        hidden [tokens, width], weight [vocabulary, width], targets and factors [tokens]; the factors have no gradient.
        """
        device, count = hidden.device, hidden.shape[0]
        dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else hidden.dtype
        held = weight.to(dtype)
        stats = torch.zeros(7, count, device=device, dtype=torch.float32)
        stats[_MAX] = stats[_BEFORE] = float("-inf")
        logits = torch.empty(min(count, TOKENS), weight.shape[0], device=device, dtype=dtype)
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for start in range(0, count, TOKENS):
            at = slice(start, min(start + TOKENS, count))
            rows = hidden[at].to(dtype)
            tile = torch.mm(rows, held.t(), out=logits[: rows.shape[0]])
            _fold(tile, targets[at], stats[:, at], softcap)
            log_z = stats[_MAX, at] + stats[_SUM, at].log()
            _turn(tile, targets[at], log_z, factors[at], softcap)
            if grad_hidden is not None:
                grad_hidden[at] = torch.mm(tile, held)
            if grad_weight is not None:
                kernels._addmm_fp32(grad_weight, tile.t(), rows)
        log_z = stats[_MAX] + stats[_SUM].log()
        entropy = log_z - stats[_WEIGHTED] / stats[_SUM]
        right = (stats[_TARGET] >= stats[_MAX]) & (stats[_TARGET] > stats[_BEFORE])
        ctx.save_for_backward(grad_hidden, None if grad_weight is None else grad_weight.to(weight.dtype))
        ctx.mark_non_differentiable(entropy, right)
        return (factors * (stats[_TARGET] - log_z)).sum(), entropy, right

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, *rest: Any) -> Any:
        """Return the gradients of hidden and weight."""
        grad_hidden, grad_weight = ctx.saved_tensors
        found = (None if part is None else part.mul_(grad) for part in (grad_hidden, grad_weight))
        return *found, None, None, None


_MAX, _SUM, _WEIGHTED, _SQUARES, _LOGITS, _BEFORE, _TARGET = range(7)
"""What is kept of each token's logits: their maximum, the sum of exponents, that weighted by the logits, two that are
not asked for, the maximum before the target, the target's logit."""


def _fold(tile: torch.Tensor, targets: torch.Tensor, stats: torch.Tensor, softcap: float | None) -> None:
    """Fill the tokens' statistics from their logits [tokens, vocabulary]."""
    triton = kernels._use_triton(tile.device)
    fold: Any = kernels._forward_kernel[(tile.shape[0],)] if triton else kernels._forward_tile
    order = (_MAX, _SUM, _WEIGHTED, _SQUARES, _LOGITS, _BEFORE, _TARGET)
    fold(
        tile,
        tile.stride(0),
        targets,
        *(stats[which] for which in order),
        0,
        tile.shape[1],
        HAS_ENTROPY=True,
        HAS_LOG_SUM_SQ_PROBS=False,
        HAS_MEAN_LOGITS=False,
        HAS_IS_TOP1=True,
        BLOCK_SIZE=kernels._BLOCK_SIZE,
        **_scales(softcap),
    )


def _turn(
    tile: torch.Tensor, targets: torch.Tensor, log_z: torch.Tensor, factors: torch.Tensor, softcap: float | None
) -> None:
    """Turn logits into the gradient of the sum with respect to them, in place."""
    blocks = -(-tile.shape[1] // kernels._BLOCK_SIZE)
    triton = kernels._use_triton(tile.device)
    turn: Any = kernels._backward_kernel[(tile.shape[0], blocks)] if triton else kernels._backward_tile
    turn(
        tile,
        tile.stride(0),
        targets,
        log_z,
        log_z,
        factors,
        log_z,
        0,
        tile.shape[1],
        HAS_LOGPROB_GRAD=True,
        HAS_ENTROPY_GRAD=False,
        BLOCK_SIZE=kernels._BLOCK_SIZE,
        **_scales(softcap),
    )


def _scales(softcap: float | None) -> dict[str, Any]:
    return {"logit_scale": 1.0, "softcap": softcap or 1.0, "inv_t": 1.0, "HAS_SOFTCAP": softcap is not None}
