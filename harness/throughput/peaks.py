"""What a device can do at most: by its datasheet, and as measured on it by a probe of two seconds."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TERA = 1e12
PROBE_SECONDS = 2.0
CPU_PROBE_SECONDS = 0.3
"""A CPU has no clock to raise first, and nobody should wait for it."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """Most operations and bytes a second; None where unknown."""

    flops: float | None = None
    """Dense 16-bit matrix operations a second."""
    bytes: float | None = None
    """Bytes a second from and to the device's memory."""
    launch_seconds: float | None = None
    """Host seconds to start the smallest operation; no datasheet has it."""


DATASHEET = {
    "NVIDIA H100 80GB HBM3": Peaks(989 * TERA, 3.35 * TERA),
    "NVIDIA H100 PCIe": Peaks(756 * TERA, 2.0 * TERA),
    "NVIDIA H100 NVL": Peaks(835 * TERA, 3.9 * TERA),
    "NVIDIA H200": Peaks(989 * TERA, 4.8 * TERA),
    "NVIDIA H200 NVL": Peaks(835 * TERA, 4.8 * TERA),
    "NVIDIA GH200 480GB": Peaks(989 * TERA, 4.0 * TERA),
    "NVIDIA B200": Peaks(2250 * TERA, 8.0 * TERA),
    "NVIDIA A100-SXM4-80GB": Peaks(312 * TERA, 2.039 * TERA),
    "NVIDIA A100-SXM4-40GB": Peaks(312 * TERA, 1.555 * TERA),
    "NVIDIA A100 80GB PCIe": Peaks(312 * TERA, 1.935 * TERA),
    "NVIDIA A100-PCIE-40GB": Peaks(312 * TERA, 1.555 * TERA),
    "NVIDIA A30": Peaks(165 * TERA, 0.933 * TERA),
    "NVIDIA A10": Peaks(125 * TERA, 0.6 * TERA),
    "NVIDIA A10G": Peaks(70 * TERA, 0.6 * TERA),
    "NVIDIA L4": Peaks(121 * TERA, 0.3 * TERA),
    "NVIDIA L40S": Peaks(362 * TERA, 0.864 * TERA),
    "Tesla T4": Peaks(65 * TERA, 0.32 * TERA),
    "Tesla V100-SXM2-16GB": Peaks(125 * TERA, 0.9 * TERA),
    "Tesla V100-SXM2-32GB": Peaks(125 * TERA, 0.9 * TERA),
    "NVIDIA GeForce RTX 3090": Peaks(71 * TERA, 0.936 * TERA),
    "NVIDIA GeForce RTX 4090": Peaks(165 * TERA, 1.008 * TERA),
}
"""NVIDIA's datasheets, by the name NVML gives; dense, without sparsity; T4 and V100 in fp16, for they have no bf16;
GeForce with fp32 accumulation. A device that is not here has no datasheet peak: nothing is guessed."""


def datasheet(gpu: str) -> Peaks:
    """Return what the datasheet of the GPU of this NVML name says; blanks for an unknown one."""
    return DATASHEET.get(gpu, Peaks())


@functools.cache
def measured(kind: str) -> Peaks:
    """Return the peaks of this process's device of a kind (`cuda`, `cpu`), probed once; blanks where memory is full."""
    import torch

    device = torch.device("cuda", torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)
    try:
        return probe(device, PROBE_SECONDS if kind == "cuda" else CPU_PROBE_SECONDS)
    except torch.OutOfMemoryError:
        return Peaks()
    finally:
        if kind == "cuda":
            torch.cuda.empty_cache()


def probe(device: Any, seconds: float = 2.0) -> Peaks:
    """Return what `device` (a torch device) did at best in `seconds`: a large product, a large copy, small operations.

    On a GPU: bf16 (fp16 before capability 8.0) 8192^3, copies of 1 GiB; on a CPU: fp32 1024^3, copies of 64 MiB.
    """
    product = _product(device, seconds * 0.4)
    copy = _copy(device, seconds * 0.4)
    return Peaks(product, copy, _launch(device, seconds * 0.2))


def _product(device: Any, seconds: float) -> float:
    import torch

    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8:
        dtype = torch.float16
    left = torch.randn(size, size, device=device, dtype=dtype)
    right, out = torch.randn_like(left), torch.empty_like(left)
    return 2 * size**3 / _best(lambda: torch.mm(left, right, out=out), device, seconds)


def _copy(device: Any, seconds: float) -> float:
    import torch

    length = 2**30 if device.type == "cuda" else 2**26
    source = torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * length / _best(lambda: target.copy_(source), device, seconds)


def _launch(device: Any, seconds: float) -> float:
    import torch

    small = torch.zeros(1, device=device)
    return _best(lambda: [small.add_(1) for _ in range(1000)], device, seconds) / 1000


def _best(work: Callable[[], Any], device: Any, seconds: float) -> float:
    """Return the shortest time of one call, warmed up, over so many seconds."""
    from harness.throughput import clock

    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = clock(device)
        work()
        best = min(best, clock(device) - start)
        if time.perf_counter() >= end:
            return best
