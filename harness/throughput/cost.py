"""What a token costs by arithmetic: operations and bytes from a model's shape. Imports no torch.

Conventions: a multiplication and an addition are two operations; recomputation is not counted; frozen weights cost 4
operations a parameter and trained token (forward, and the gradient of the input), trained ones 6; the embedding's
look-up costs nothing; the head is counted apart, for it can be a third of a small model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A decoder with gated MLPs (Gemma, Llama, Qwen, Mistral): the numbers that decide what it costs."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    vocabulary: int

    @property
    def linear_parameters(self) -> int:
        """Weights of the blocks' linear layers, the head left out."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self._linears())

    @property
    def head_parameters(self) -> int:
        """Weights of the head (the embedding's, where they are tied)."""
        return self.vocabulary * self.hidden

    @property
    def kv_numbers(self) -> int:
        """Numbers that one token leaves in the key-value cache."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    def lora_parameters(self, rank: int) -> int:
        """Weights of LoRA of this rank on every linear layer of the blocks."""
        return self.layers * rank * sum(inputs + outputs for inputs, outputs in self._linears())

    def _linears(self) -> tuple[tuple[int, int], ...]:
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return (
            (self.hidden, query),
            (self.hidden, key),
            (self.hidden, key),
            (query, self.hidden),
            (self.hidden, self.mlp),
            (self.hidden, self.mlp),
            (self.mlp, self.hidden),
        )


def shape_of(config: Any) -> ModelShape | None:
    """Return the shape of a transformers config, or of its text part; None for another kind of model."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    try:
        return ModelShape(
            hidden=int(text.hidden_size),
            layers=int(text.num_hidden_layers),
            heads=int(text.num_attention_heads),
            kv_heads=int(getattr(text, "num_key_value_heads", None) or text.num_attention_heads),
            head_dim=int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads),
            mlp=int(text.intermediate_size),
            vocabulary=int(text.vocab_size),
        )
    except (AttributeError, TypeError):
        return None


def train_flops(shape: ModelShape, context: float, rank: int, head_trained: bool) -> float:
    """Return operations a trained token needs (QLoRA: frozen blocks, LoRA of `rank`).

    `context`: tokens a token attends to on average, itself included ((S + 1) / 2 in documents of S tokens).
    """
    attention = 3 * 2 * 2 * shape.heads * shape.head_dim * context * shape.layers
    head = (6 if head_trained else 4) * shape.head_parameters
    return 4 * shape.linear_parameters + 6 * shape.lora_parameters(rank) + head + attention


def prefill_flops(shape: ModelShape, prompt_tokens: float, prompts: float, squared: float) -> float:
    """Return operations to read prompts, the head on each last token alone.

    `squared`: the sum over prompts of the square of their lengths.
    """
    attention = 2 * 2 * shape.heads * shape.head_dim * shape.layers * squared / 2
    return 2 * shape.linear_parameters * prompt_tokens + 2 * shape.head_parameters * prompts + attention


def decode_flops(shape: ModelShape, tokens: float, context: float) -> float:
    """Return operations to write so many tokens, `context` tokens before each on average."""
    attention = 2 * 2 * shape.heads * shape.head_dim * context * shape.layers
    return tokens * (2 * shape.linear_parameters + 2 * shape.head_parameters + attention)


def decode_bytes(
    shape: ModelShape, steps: float, tokens: float, context: float, weight_bytes: float = 2.0, kv_bytes: float = 2.0
) -> float:
    """Return bytes that must be read to write `tokens` tokens in `steps` steps: weights once a step, each row's cache.

    `weight_bytes`: bytes a weight of the blocks; the head is held in 2 bytes at least.
    """
    weights = shape.linear_parameters * weight_bytes + shape.head_parameters * max(weight_bytes, 2.0)
    return steps * weights + tokens * context * shape.kv_numbers * kv_bytes
