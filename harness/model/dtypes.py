"""Number formats by their short names, and libraries kept quiet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from transformers.utils import logging

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def name_of(dtype: Any) -> str:
    """Return bf16, fp16 or fp32 for a torch dtype (or its name)."""
    word = str(dtype).removeprefix("torch.")
    return next((name for name, known in DTYPES.items() if str(known) == f"torch.{word}"), str(dtype))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and advice from the screen; errors still come."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
