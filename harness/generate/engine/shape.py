"""What the engine must know of a decoder, read from a transformers model; a sentence where it cannot run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from harness.errors import ModelError
from harness.throughput.cost import ModelShape, shape_of

GEMMA = ("Gemma3TextModel",)
LLAMA_LIKE = ("LlamaModel", "MistralModel", "Qwen2Model", "Qwen3Model")
WHOLE_CONTEXT = 2**30
"""The window of a layer that sees everything."""


class EngineUnfitError(ModelError):
    """The engine cannot run this model or setting; another backend can."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder's sizes and the few choices in which its family differs from others."""

    sizes: ModelShape
    eps: float
    scale: float
    """Factor of q.k before the softmax."""
    windows: tuple[int, ...]
    """For each layer, how many positions it sees, its own included; `WHOLE_CONTEXT` for all."""
    kinds: tuple[str, ...]
    """For each layer, the key of its rotary table."""
    activation: str
    """`gelu_tanh` or `silu`."""
    gemma: bool
    """Gemma's norms (1 + w, in fp32; four a layer) and scaled embedding."""
    dtype: torch.dtype

    @property
    def number_bytes(self) -> int:
        """Bytes of one weight, and of one number in the cache."""
        return torch.finfo(self.dtype).bits // 8


def decoder_of(model: Any) -> Any:
    """Return the text decoder inside a transformers model for generation."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.model
    return getattr(decoder, "language_model", decoder)


def read_shape(model: Any) -> Shape:
    """Return the shape of `model`'s decoder; EngineUnfitError with one sentence where the engine does not know it."""
    decoder = decoder_of(model)
    name = type(decoder).__name__
    if name not in GEMMA + LLAMA_LIKE:
        raise EngineUnfitError(f"The engine knows Gemma 3, Llama, Mistral and Qwen decoders, not {name}.")
    config = decoder.config
    attention = decoder.layers[0].self_attn
    head_dim = int(attention.head_dim)
    if head_dim < 16 or head_dim & (head_dim - 1):
        raise EngineUnfitError(f"The engine needs heads of 16, 32, 64 ... numbers each, and this model has {head_dim}.")
    if getattr(config, "attn_logit_softcapping", None) or getattr(config, "final_logit_softcapping", None):
        raise EngineUnfitError("The engine has no soft caps on logits, and this model needs them.")
    if getattr(config, "use_bidirectional_attention", False):
        raise EngineUnfitError("The engine runs causal attention alone, and this model looks both ways.")
    for linear in (attention.q_proj, decoder.layers[0].mlp.down_proj):
        if type(linear) is not torch.nn.Linear:
            raise EngineUnfitError(
                f"The engine needs merged, unquantised weights and found {type(linear).__name__}; set "
                "generate.weights=merged."
            )
    activation = getattr(config, "hidden_activation", None) or config.hidden_act
    known = {"gelu_pytorch_tanh": "gelu_tanh", "silu": "silu"}
    if activation not in known:
        raise EngineUnfitError(f"The engine knows no activation {activation}.")
    sizes = shape_of(config)
    assert sizes is not None, "every decoder named above has these sizes"
    return Shape(
        sizes=sizes,
        eps=config.rms_norm_eps,
        scale=float(attention.scaling),
        windows=tuple(_window(layer.self_attn, config) for layer in decoder.layers),
        kinds=tuple(_kind(layer, config, n) for n, layer in enumerate(decoder.layers)),
        activation=known[activation],
        gemma=name in GEMMA,
        dtype=model.get_input_embeddings().weight.dtype,
    )


def _window(attention: Any, config: Any) -> int:
    if hasattr(attention, "sliding_window"):
        return int(attention.sliding_window or WHOLE_CONTEXT)
    if type(attention).__name__.startswith("Mistral"):
        return int(getattr(config, "sliding_window", None) or WHOLE_CONTEXT)
    return WHOLE_CONTEXT


def _kind(layer: Any, config: Any, number: int) -> str:
    types = getattr(config, "layer_types", None)
    return str(types[number]) if types and type(layer).__name__.startswith("Gemma") else ""
