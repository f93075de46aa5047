"""What to load and how: the `model` section of an experiment as a frozen record. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Precision = Literal["nf4", "bf16", "fp16", "fp32"]
Weights = Literal["merged", "adapter"]
BasePrecision = Literal["nf4-dequantised", "original"]

DEFAULT_CACHE = "~/.cache/harness"


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """A base model: where it comes from and in which numbers it is held."""

    base: str
    """Hub id, local folder, local `.gguf` file, or `pypi:NAME` (a GGUF shipped in wheels)."""
    revision: str = ""
    """Branch, tag or commit of a hub id; empty is the default branch."""
    precision: Precision = "nf4"
    """`nf4` = bitsandbytes NF4 with double quantisation, as the guide; else the dtype of every weight."""
    compute_dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Dtype of NF4's arithmetic and of what it leaves whole; auto: bf16 from capability 8.0, else fp16; CPU fp32."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """`auto` takes the GPU where there is one."""
    attention: str = "sdpa"
    """transformers' attn_implementation: sdpa, eager, flash_attention_2 ..."""
    tokenizer_from: str = ""
    """Hub id or folder of the tokenizer; empty: the base's own."""
    chat_template_from: str = ""
    """Hub id, folder or `.jinja` file whose chat template is used; empty: the tokenizer's own, else Gemma's."""
    trust_remote_code: bool = False
    """Run Python that comes with the model; off, a model that needs it is refused."""
    allow_pickle: bool = False
    """Read pickled weights (`*.bin`), which can run code as they load; off, they are refused."""
    cache_dir: str = DEFAULT_CACHE
    """Where converted GGUF models are kept; `~` is the home folder."""

    @property
    def cache(self) -> Path:
        """The cache folder with `~` resolved."""
        return Path(self.cache_dir or DEFAULT_CACHE).expanduser()
