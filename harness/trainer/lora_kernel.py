"""LoRA's product added inside a matrix product: the same sum as peft's, one rounding and two passes fewer.

peft writes x W^T, writes (x A^T) B^T, and adds the two in a third pass over the outputs. Here the second product adds
to the first as it is written, forward and backward; what is kept for backward is x, W, A, B and the narrow x A^T.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear

from harness.errors import ConfigError


def _sum_of_products(x: torch.Tensor, w: torch.Tensor, y: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return x w + y v for x [tokens, in], w [in, out], y [tokens, r], v [r, out].

    Where the outputs are wider than the inputs, one product over [x y] and [w v] saves reading and writing the outputs
    again, which cost a sixth of a training step (torch.addmm copies its first argument besides).
    """
    if w.shape[1] > w.shape[0]:
        return torch.cat((x, y), dim=1) @ torch.cat((w, v), dim=0)
    return torch.addmm(x @ w, y, v)


class FusedLora(torch.autograd.Function):
    """y = x W^T + scale (z A^T) B^T with z = x, or x after dropout; W is frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        z: torch.Tensor,
        weight: torch.Tensor,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """Return y [tokens, out] of x, z [tokens, in], weight [out, in], a [r, in], b [out, r]."""
        narrow = z @ a.t().to(z.dtype)
        ctx.save_for_backward(z, weight, a, b, narrow)
        ctx.scale = scale
        return _sum_of_products(x, weight.t(), narrow * scale, b.t().to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        """Return the gradients of x, z, a and b."""
        z, weight, a, b, narrow = ctx.saved_tensors
        inner = (grad @ b.to(grad.dtype)) * ctx.scale
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        grad_z = inner @ a.to(grad.dtype) if ctx.needs_input_grad[1] else None
        grad_a = (inner.t() @ z).to(a.dtype)
        grad_b = (grad.t() @ narrow * ctx.scale).to(b.dtype)
        return grad_x, grad_z, None, grad_a, grad_b, None


class FusedLoraSame(torch.autograd.Function):
    """FusedLora without dropout: z is x, so that their gradients too are added inside a product."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Return y [tokens, out] of x [tokens, in]."""
        narrow = x @ a.t().to(x.dtype)
        ctx.save_for_backward(x, weight, a, b, narrow)
        ctx.scale = scale
        return _sum_of_products(x, weight.t(), narrow * scale, b.t().to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        """Return the gradients of x, a and b."""
        x, weight, a, b, narrow = ctx.saved_tensors
        inner = (grad @ b.to(grad.dtype)) * ctx.scale
        grad_x = _sum_of_products(grad, weight, inner, a.to(grad.dtype)) if ctx.needs_input_grad[0] else None
        grad_a = (inner.t() @ x).to(a.dtype)
        grad_b = (grad.t() @ narrow * ctx.scale).to(b.dtype)
        return grad_x, None, grad_a, grad_b, None


class FusedLinear(Linear):
    """peft's LoRA layer with this product; a layer is turned into one by its class, so names and files stay."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the layer's output [..., out] of x [..., in]."""
        name = self.active_adapters[0]
        base = self.base_layer
        rows = x.reshape(-1, x.shape[-1])
        dropout = self.lora_dropout[name]
        a, b, scale = self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name]
        if self.training and not isinstance(dropout, torch.nn.Identity):
            out = FusedLora.apply(rows, dropout(rows), base.weight, a, b, scale)
        else:
            out = FusedLoraSame.apply(rows, base.weight, a, b, scale)
        return out.reshape(*x.shape[:-1], -1)


def fuse_lora(model: Any) -> int:
    """Turn every LoRA layer over an ordinary linear layer into a FusedLinear; return how many.

    ConfigError where the base is quantised (its products are bitsandbytes' own) or a layer has a bias.
    """
    fused = 0
    for module in model.modules():
        if type(module) is Linear and type(module.base_layer) is torch.nn.Linear and module.base_layer.bias is None:
            module.__class__ = FusedLinear
            fused += 1
    if not fused:
        raise ConfigError(
            "train.lora_kernel=fused needs linear layers that are not quantised; set train.dequantize_base=true as "
            "well, or train.lora_kernel=peft."
        )
    return fused
