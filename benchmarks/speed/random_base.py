"""Random weights in the shape of a published model, with a tokenizer of its own: right for speed, wrong for quality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    "gemma-3-1b": {
        "hidden_size": 1152,
        "num_hidden_layers": 26,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "intermediate_size": 6912,
        "vocab_size": 262144,
        "sliding_window": 512,
    },
    "gemma-3-270m": {
        "hidden_size": 640,
        "num_hidden_layers": 18,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "intermediate_size": 2048,
        "vocab_size": 262144,
        "sliding_window": 512,
    },
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "intermediate_size": 128,
        "vocab_size": 512,
        "sliding_window": 64,
    },
}
"""Every sixth layer attends to everything, the others to a window, as in Gemma 3."""


def config_of(shape: str) -> Any:
    """Return the transformers config of a shape."""
    from transformers import Gemma3TextConfig

    numbers = SHAPES[shape]
    kinds = ["full_attention" if n % 6 == 5 else "sliding_attention" for n in range(numbers["num_hidden_layers"])]
    return Gemma3TextConfig(
        **numbers,
        query_pre_attn_scalar=numbers["head_dim"],
        max_position_embeddings=32768,
        layer_types=kinds,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        tie_word_embeddings=True,
    )


def make(shape: str, device: Any) -> Any:
    """Return a model with random weights, always the same ones: bf16; fp32 on a CPU."""
    import torch
    from transformers import Gemma3ForCausalLM

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device.type == "cuda" else torch.float32)
    try:
        with torch.device(device):
            return Gemma3ForCausalLM(config_of(shape))
    finally:
        torch.set_default_dtype(before)


def build(shape: str, folder: Path, device: Any) -> Path:
    """Write config, weights and tokenizer to `folder`, unless they are there; return it."""
    if (folder / "config.json").is_file():
        return folder
    make(shape, device).save_pretrained(str(folder))
    _tokenizer(folder)
    return folder


def _tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    words = special + [f"w{n}" for n in range(200)]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk")}
    facts = {"tokenizer_class": "PreTrainedTokenizerFast", **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))
