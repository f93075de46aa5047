"""What the engine can run: the device it is made for, kernels that can be built there, and weights as plain numbers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from harness.generate.engine.shape import EngineUnfitError
from harness.model.load import Loaded
from harness.model.nf4 import dequantise

OLDEST = (8, 0)
"""Compute capability that Triton still builds for."""


def check_device(device: torch.device) -> None:
    """Raise EngineUnfitError, one sentence, for a GPU that the engine's kernels are not made for."""
    if device.type != "cuda":
        return
    if importlib.util.find_spec("triton") is None:
        raise EngineUnfitError("The engine's kernels need Triton, and it is not installed here: pip install triton.")
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST:
        name, has = torch.cuda.get_device_name(device), ".".join(map(str, capability))
        raise EngineUnfitError(f"The engine needs a GPU of compute capability 8.0 or later, and {name} has {has}.")


def on_hopper(device: torch.device) -> bool:
    """True on an NVIDIA GPU of compute capability 9 (H100, H200), the kind that the kernels were made and tried on."""
    nvidia = device.type == "cuda" and torch.version.cuda is not None
    return nvidia and torch.cuda.get_device_capability(device)[0] == 9


@contextmanager
def buildable(device: torch.device) -> Iterator[None]:
    """Turn Triton's words on kernels that cannot be built for a device into an EngineUnfitError."""
    try:
        yield
    except Exception as error:
        triton_says = any(kind.__name__ == "TritonError" for kind in type(error).__mro__)  # it may not be installed
        if not triton_says and "C compiler" not in str(error):
            raise
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this machine"
        raise EngineUnfitError(
            f"The engine's kernels cannot be built for {name} ({str(error).splitlines()[0].rstrip('.')}); set "
            "generate.backend=transformers."
        ) from error


def plain(loaded: Loaded) -> None:
    """Turn NF4 weights into the numbers they stand for, in place; EngineUnfitError for an adapter beside its base."""
    if type(loaded.model).__name__.startswith("Peft"):
        raise EngineUnfitError(
            "The engine needs merged weights, and this adapter is kept apart; set generate.weights=merged."
        )
    dequantise(loaded.model)
