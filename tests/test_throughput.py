from __future__ import annotations

import time

import pytest
import torch

from harness import throughput
from harness.throughput import peak_memory, rate, timed

CPU = torch.device("cpu")


def test_a_region_is_timed_from_end_to_end():
    with timed(CPU) as region:
        time.sleep(0.05)
    assert 0.05 <= region.seconds < 0.5
    assert region.joules is None


def test_a_region_that_fails_still_has_its_time():
    regions = []

    def failing():
        with timed() as region:
            regions.append(region)
            time.sleep(0.01)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failing()
    assert regions[0].seconds >= 0.01


def test_the_peak_of_a_cpu_process_covers_what_it_held():
    before = peak_memory(CPU)
    block = torch.ones(64 * 2**20, dtype=torch.uint8) if before < 2**32 else None
    assert peak_memory(CPU) >= before > 2**20
    del block


def test_a_gpu_is_waited_for_and_its_energy_read_only_over_long_regions(monkeypatch):
    waits, joules = [], iter([100.0, 160.0, 200.0])
    now = iter([10.0, 13.0, 20.0, 20.5])
    monkeypatch.setattr(throughput, "energy_joules", lambda: next(joules))
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 5)
    gpu = torch.device("cuda")
    with timed(gpu) as long:
        pass
    with timed(gpu) as short:
        pass
    assert (long.seconds, long.joules, long.peak_memory_bytes) == (3.0, 60.0, 5)
    assert (short.seconds, short.joules) == (0.5, None)
    assert waits == [gpu] * 4


def test_a_rate_needs_time():
    assert rate(10, 2.0) == 5.0
    assert rate(10, 0.0) is None
