"""The engine's copy of a decoder's weights: fused where that saves a launch, refilled in place for the next model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from harness.generate.engine.shape import Shape, decoder_of

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer; matrices are [out, in] as torch's Linear holds them, norms are ready to multiply with."""

    norm_in: Tensor
    qkv: Tensor
    """Queries, keys and values below one another."""
    qkv_bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: Tensor
    norm_attended: Tensor | None
    """Gemma's norm of what attention adds."""
    norm_mlp: Tensor
    gate_up: Tensor
    """Gate and up below one another."""
    down: Tensor
    norm_added: Tensor | None
    """Gemma's norm of what the MLP adds."""


@dataclass(frozen=True, slots=True)
class Weights:
    """All of a decoder."""

    embedding: Tensor
    """[vocabulary, hidden]"""
    head: Tensor
    """[vocabulary, hidden]; the embedding itself where the two are tied."""
    embedding_scale: float
    norm_out: Tensor
    layers: tuple[LayerWeights, ...]

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor by name, tied ones once."""
        named = {"embedding": self.embedding, "norm_out": self.norm_out}
        if self.head is not self.embedding:
            named["head"] = self.head
        for number, layer in enumerate(self.layers):
            for field in LayerWeights.__dataclass_fields__:
                tensor = getattr(layer, field)
                if tensor is not None:
                    named[f"{number}.{field}"] = tensor
        return named


def take_weights(model: Any, shape: Shape) -> Weights:
    """Return the weights of a transformers model, copied and fused."""
    with torch.no_grad():
        decoder = decoder_of(model)
        embedding = model.get_input_embeddings().weight.detach()
        head = model.get_output_embeddings().weight.detach()
        tied = head.data_ptr() == embedding.data_ptr()
        kept = embedding.clone()
        return Weights(
            embedding=kept,
            head=kept if tied else head.clone(),
            embedding_scale=_scale(model),
            norm_out=_norm(decoder.norm, shape),
            layers=tuple(_layer(layer, shape) for layer in decoder.layers),
        )


def refill(weights: Weights, model: Any, shape: Shape) -> bool:
    """Copy another model of the same shape into the same memory; False, and nothing changed, where it does not fit."""
    fresh = take_weights(model, shape)
    old, new = weights.tensors(), fresh.tensors()
    if old.keys() != new.keys() or any(old[name].shape != new[name].shape for name in old):
        return False
    for name, tensor in old.items():
        tensor.copy_(new[name])
    return True


def _layer(layer: Any, shape: Shape) -> LayerWeights:
    attention, mlp = layer.self_attn, layer.mlp
    linears = (attention.q_proj, attention.k_proj, attention.v_proj)
    biased = attention.q_proj.bias is not None
    gemma = shape.gemma
    return LayerWeights(
        norm_in=_norm(layer.input_layernorm, shape),
        qkv=torch.cat([linear.weight.detach() for linear in linears]),
        qkv_bias=torch.cat([linear.bias.detach() for linear in linears]) if biased else None,
        q_norm=_norm(attention.q_norm, shape) if hasattr(attention, "q_norm") else None,
        k_norm=_norm(attention.k_norm, shape) if hasattr(attention, "k_norm") else None,
        out=attention.o_proj.weight.detach().clone(),
        norm_attended=_norm(layer.post_attention_layernorm, shape) if gemma else None,
        norm_mlp=_norm(layer.pre_feedforward_layernorm if gemma else layer.post_attention_layernorm, shape),
        gate_up=torch.cat([mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()]),
        down=mlp.down_proj.weight.detach().clone(),
        norm_added=_norm(layer.post_feedforward_layernorm, shape) if gemma else None,
    )


def _norm(norm: Any, shape: Shape) -> Tensor:
    weight = norm.weight.detach()
    return 1.0 + weight.float() if shape.gemma else weight.clone()


def _scale(model: Any) -> float:
    """Return the factor of the embedding, rounded as the model's dtype rounds it."""
    embedding = model.get_input_embeddings()
    scale = getattr(embedding, "embed_scale", None)
    return 1.0 if scale is None else float(torch.as_tensor(scale).to(embedding.weight.dtype))
