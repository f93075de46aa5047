"""pytest-benchmark for GPU code: a clock that waits for the device, and never two kinds of GPU in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.bench.stored import machine_folder
from harness.machine import machine
from harness.throughput import sync_timer

_SAME = ("gpu", "gpu_count", "gpu_memory_bytes", "power_limit_watts")
"""What two runs must share before their seconds are compared."""


def pytest_configure(config: pytest.Config) -> None:
    """Set timer and storage, unless the command line names others."""
    option = config.option
    if "perf_counter" in str(getattr(option, "benchmark_timer", "")):
        option.benchmark_timer = f"{sync_timer.__module__}.{sync_timer.__name__}"
    if str(getattr(option, "benchmark_storage", "")) == "file://./.benchmarks":
        option.benchmark_storage = f"file://{machine_folder(Path('.benchmarks'), machine())}"


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add the GPU, which pytest-benchmark's own record lacks."""
    here = machine()
    machine_info.update({name: getattr(here, name) for name in (*_SAME, "driver", "cuda", "compute_capability")})
    machine_info["versions"] = dict(here.versions)


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_compare_machine_info(
    config: pytest.Config, benchmarksession: Any, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """Refuse to compare seconds of unlike GPUs; `harness bench compare` lays them side by side."""
    theirs = compared_benchmark["machine_info"]
    unlike = [name for name in _SAME if theirs.get(name) != machine_info.get(name)]
    if unlike:
        raise pytest.UsageError(
            f"The saved run is of other hardware ({unlike[0]}: {theirs.get(unlike[0])} there, "
            f"{machine_info.get(unlike[0])} here), so their seconds are not compared; see `harness bench compare`."
        )
