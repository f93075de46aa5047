"""A GGUF file becomes a model folder with the file's own weights."""

from pathlib import Path

import numpy as np
import pytest

gguf_files = pytest.importorskip("gguf")

from harness.model import gguf  # noqa: E402

WIDTH, LAYERS, INNER, WORDS, HEAD, HEADS, KEYS = 32, 2, 64, 40, 16, 2, 1


def write_gemma3(path: Path) -> dict[str, np.ndarray]:
    """A Gemma 3 of 2 layers with random weights as a GGUF file; its tensors by their GGUF names."""
    out = gguf_files.GGUFWriter(str(path), "gemma3")
    out.add_context_length(128)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KEYS)
    out.add_key_length(HEAD)
    out.add_value_length(HEAD)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_rope_freq_base(1e6)
    out.add_sliding_window(64)
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{n:02X}>" for n in range(8))]
    pieces += [chr(97 + n) for n in range(WORDS - len(pieces))]
    out.add_tokenizer_model("llama")
    out.add_token_list(pieces)
    out.add_token_scores([0.0] * WORDS)
    out.add_token_types([3, 3, 3, 2] + [6] * 8 + [1] * (WORDS - 12))
    out.add_bos_token_id(2)
    out.add_eos_token_id(1)
    out.add_unk_token_id(3)
    out.add_pad_token_id(0)
    tensors = _tensors(np.random.default_rng(0))
    for name, values in tensors.items():
        out.add_tensor(name, values)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return tensors


def _tensors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    shapes = {"token_embd": (WORDS, WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        block = {
            **dict.fromkeys(("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm"), (WIDTH,)),
            **dict.fromkeys(("attn_q_norm", "attn_k_norm"), (HEAD,)),
            **dict.fromkeys(("attn_k", "attn_v"), (KEYS * HEAD, WIDTH)),
            **dict.fromkeys(("ffn_gate", "ffn_up"), (INNER, WIDTH)),
            "attn_q": (HEADS * HEAD, WIDTH),
            "attn_output": (WIDTH, HEADS * HEAD),
            "ffn_down": (WIDTH, INNER),
        }
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return {f"{name}.weight": rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def test_a_gguf_file_becomes_a_folder_with_its_weights_and_is_converted_once(tmp_path):
    from transformers import AutoModelForCausalLM

    written = write_gemma3(tmp_path / "tiny.gguf")
    folder = gguf.convert(tmp_path / "tiny.gguf", tmp_path / "cache")
    made = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    pairs = {
        "model.embed_tokens.weight": written["token_embd.weight"],
        "model.layers.1.mlp.down_proj.weight": written["blk.1.ffn_down.weight"],
        "model.layers.0.self_attn.k_proj.weight": written["blk.0.attn_k.weight"],
        "model.norm.weight": written["output_norm.weight"] - 1,  # llama.cpp keeps Gemma's norms with their one added
    }
    for name, values in pairs.items():
        assert np.abs(made[name].float().numpy() - values).max() < 0.02, name
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert gguf.convert(tmp_path / "tiny.gguf", tmp_path / "cache") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
