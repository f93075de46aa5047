"""What ran this: GPU, driver, clocks, CPU, versions, commit. What cannot be read stays blank."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from harness.records import Machine

try:
    import pynvml
except ImportError:  # an extra: harness scores without it
    pynvml = None

PACKAGES = (
    "harness",
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "accelerate",
    "datasets",
    "duckdb",
    "sqlglot",
)
THROTTLE_BITS = {
    0x4: "power_cap",
    0x8: "hw_slowdown",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
}
"""NVML's reasons that slow a busy GPU (idle and clock settings left out)."""
_T = TypeVar("_T")


def machine() -> Machine:
    """Return the facts of this machine; takes some 50 ms, imports no torch."""
    return Machine(
        **_gpu_facts(),
        cpu=_cpu_name(),
        cpu_count=_cpu_count(),
        memory_bytes=_memory_bytes(),
        platform=platform.platform(),
        python=platform.python_version(),
        versions=_versions(),
        commit=_commit(Path(__file__).resolve().parent),
    )


def energy_joules() -> float | None:
    """Return the joules GPU 0 has drawn since the driver was loaded; None where no GPU counts them."""
    with _nvml() as nvml:
        if nvml is None:
            return None
        handles = _handles(nvml)
        spent = _ask(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handles[0])) if handles else None
        return None if spent is None else spent / 1000


def throttle_reasons() -> tuple[str, ...]:
    """Return what slows GPU 0 at this moment (power cap, heat, brake); empty where nothing does, or none is there."""
    with _nvml() as nvml:
        handles = _handles(nvml) if nvml is not None else []
        return _throttled(nvml, handles[0]) if handles else ()


def _throttled(nvml: Any, gpu: Any) -> tuple[str, ...]:
    reasons = _ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)) or 0
    return tuple(name for bit, name in THROTTLE_BITS.items() if reasons & bit)


def _gpu_facts() -> dict[str, Any]:
    with _nvml() as nvml:
        handles = _handles(nvml) if nvml is not None else []
        if nvml is None or not handles:
            return {}
        gpu = handles[0]
        memory = _ask(lambda: nvml.nvmlDeviceGetMemoryInfo(gpu))
        capability = _ask(lambda: nvml.nvmlDeviceGetCudaComputeCapability(gpu))
        limit = _ask(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu))
        power = _ask(lambda: nvml.nvmlDeviceGetPowerUsage(gpu))
        cuda = _ask(nvml.nvmlSystemGetCudaDriverVersion)
        return {
            "gpu": _text(_ask(lambda: nvml.nvmlDeviceGetName(gpu))),
            "gpu_count": len(handles),
            "gpu_memory_bytes": None if memory is None else int(memory.total),
            "compute_capability": "" if capability is None else f"{capability[0]}.{capability[1]}",
            "driver": _text(_ask(nvml.nvmlSystemGetDriverVersion)),
            "cuda": "" if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
            "power_limit_watts": None if limit is None else limit / 1000,
            "sm_clock_mhz": _ask(lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),
            "max_sm_clock_mhz": _ask(lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM)),
            "memory_clock_mhz": _ask(lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM)),
            "temperature_celsius": _ask(lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)),
            "power_watts": None if power is None else power / 1000,
            "throttle_reasons": _throttled(nvml, gpu),
        }


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    """Give NVML for the length of a `with`, or None where package, driver or GPU is missing."""
    if pynvml is None:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _handles(nvml: Any) -> list[Any]:
    """Return the GPUs this process may use, in CUDA's order where CUDA_VISIBLE_DEVICES names them by number."""
    count = _ask(nvml.nvmlDeviceGetCount) or 0
    order = list(range(count))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",") if name.strip()]
        if all(name.isdigit() for name in names):
            order = [int(name) for name in names if int(name) < count]
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in order]


def _ask(question: Callable[[], _T]) -> _T | None:
    """Return NVML's answer, None where this GPU or driver does not know it."""
    try:
        return question()
    except (pynvml.NVMLError, AttributeError):
        return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"])
    return platform.processor()


def _cpu_count() -> int:
    """Return the cores this process may use, which a container can hold below the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _commit(folder: Path) -> str:
    """Return the git commit of `folder`, `+changes` behind it where tracked files differ; empty outside git."""
    commit = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    if not commit:
        return ""
    return commit + ("+changes" if _output(["git", "-C", str(folder), "status", "--porcelain", "-uno"]) else "")


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
