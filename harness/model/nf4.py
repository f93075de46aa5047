"""NF4 with bitsandbytes: the guide's quantisation, undone exactly, with one arithmetic for training and answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bitsandbytes
import torch
import transformers

from harness.model.dtypes import DTYPES, name_of, quiet
from harness.throughput.budget import spend


def nf4_config(dtype: torch.dtype) -> Any:
    """Return the guide's quantisation: NF4, double quantised, arithmetic and storage in `dtype`."""
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_storage=dtype,  # FSDP shards floats alone, and of one dtype best
    )


def dequantise(model: Any) -> None:
    """Replace NF4 weights by the numbers they stand for, in place; the model then is an ordinary one."""
    if not getattr(model, "is_loaded_in_4bit", False):
        return
    dtype = DTYPES[name_of(model.config.quantization_config.bnb_4bit_compute_dtype)]
    with quiet():
        model.dequantize(dtype)
    model.is_loaded_in_4bit = False
    model.is_quantized = False


def quantisation(model: Any) -> dict[str, Any]:
    """Return the quantisation in force as JSON, empty where there is none."""
    config = getattr(model.config, "quantization_config", None)
    return {} if config is None else {key: str(value) for key, value in sorted(config.to_dict().items())}


@contextmanager
def counted_quantisation() -> Iterator[None]:
    """Note under `quantise` (harness.throughput.budget) the seconds bitsandbytes quantises inside the block."""
    weight: Any = bitsandbytes.nn.modules.Params4bit
    original = weight._quantize

    def timed(self: Any, device: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(self, device)
        finally:
            if torch.device(device).type == "cuda":
                torch.cuda.synchronize(device)
            spend("quantise", time.perf_counter() - start)

    weight._quantize = timed
    try:
        yield
    finally:
        weight._quantize = original


def one_arithmetic(model: Any) -> None:
    """Keep bitsandbytes from repacking CPU weights for bf16 kernels in eval mode, in place.

    On CPUs with AVX512-BF16 it would: lossy, other numbers than in training, and no gradient afterwards.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
