"""Timed regions: seconds with the device synchronised at both ends, peak memory, and joules where a GPU counts them."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.machine import energy_joules

SHORTEST_ENERGY_SECONDS = 2.0
"""NVML's energy counter moves every 20 to 100 ms, so shorter windows say little."""


@dataclass(slots=True)
class Region:
    """What one timed region took; filled when the region ends."""

    seconds: float = 0.0
    joules: float | None = None
    """Energy of GPU 0 over the region; None without such a counter, or where the region was too short for it."""
    peak_memory_bytes: int | None = None


def synchronize(device: Any) -> None:
    """Wait until `device` (a torch device, or None) has done what it was told."""
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def clock(device: Any = None) -> float:
    """Return seconds on a monotonic clock once `device` is idle."""
    synchronize(device)
    return time.perf_counter()


def sync_timer() -> float:
    """Return seconds on a monotonic clock once the GPU is idle, where torch uses one: pytest-benchmark's timer."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


@contextlib.contextmanager
def timed(device: Any = None) -> Iterator[Region]:
    """Time what runs inside `with`; the region's fields are set when it ends, by an error too."""
    region = Region()
    reset_peak_memory(device)
    joules = energy_joules() if device is not None and device.type == "cuda" else None
    start = clock(device)
    try:
        yield region
    finally:
        region.seconds = clock(device) - start
        region.peak_memory_bytes = peak_memory(device)
        if joules is not None and region.seconds >= SHORTEST_ENERGY_SECONDS:
            end = energy_joules()
            region.joules = None if end is None else end - joules


def reset_peak_memory(device: Any = None) -> None:
    """Start the peak anew on a GPU; the peak of a CPU process cannot be reset."""
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: Any = None) -> int:
    """Return peak bytes: what torch allocated on a GPU since the reset, else this process's largest resident size."""
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def quantiles(values: Sequence[float], weights: Sequence[float] = ()) -> dict[str, float] | None:
    """Return p50, p90 and p99 of values, each counted `weights` times (once where left out); None for no values."""
    pairs = sorted(zip(values, weights or [1.0] * len(values), strict=True))
    total = sum(weight for _, weight in pairs)
    if total <= 0:
        return None
    found: dict[str, float] = {}
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        reached = 0.0
        for value, weight in pairs:
            reached += weight
            if reached >= share * total:
                found[name] = value
                break
    return found


def weighted_quantiles(pairs: Sequence[tuple[float, int]]) -> dict[str, float] | None:
    """Return `quantiles` of (value, how many times it counts); None for no pairs."""
    return quantiles([value for value, _ in pairs], [float(count) for _, count in pairs])


def rate(count: int, seconds: float) -> float | None:
    """Return count per second; None where nothing was timed."""
    return count / seconds if seconds > 0 else None
