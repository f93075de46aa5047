from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from harness import machine as room
from harness.machine import energy_joules, machine


class _NVMLError(Exception):
    pass


def _unknown(*args):
    raise _NVMLError


@pytest.fixture
def gpus(monkeypatch):
    """NVML of a machine with two GPUs that does not know its clocks."""
    nvml = SimpleNamespace(
        NVMLError=_NVMLError,
        NVML_CLOCK_SM=1,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda gpu: [b"NVIDIA H100", "NVIDIA T4"][gpu],
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(total=80 * 2**30),
        nvmlDeviceGetCudaComputeCapability=lambda gpu: (9, 0),
        nvmlDeviceGetEnforcedPowerLimit=lambda gpu: 700_000,
        nvmlSystemGetCudaDriverVersion=lambda: 13000,
        nvmlSystemGetDriverVersion=lambda: "580.1",
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda gpu: 0x1 | 0x4 | 0x40,
        nvmlDeviceGetClockInfo=_unknown,
        nvmlDeviceGetTemperature=lambda gpu, kind: 61,
        NVML_TEMPERATURE_GPU=0,
        nvmlDeviceGetPowerUsage=lambda gpu: 412_500,
        nvmlDeviceGetMaxClockInfo=_unknown,
        nvmlDeviceGetTotalEnergyConsumption=lambda gpu: 12_500,
    )
    monkeypatch.setattr(room, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return nvml


def test_facts_of_a_gpu_are_read_and_unknown_ones_stay_blank(gpus):
    facts = machine()
    assert (facts.gpu, facts.gpu_count, facts.name) == ("NVIDIA H100", 2, "2 x NVIDIA H100")
    assert (facts.compute_capability, facts.driver, facts.cuda) == ("9.0", "580.1", "13.0")
    assert (facts.power_limit_watts, facts.gpu_memory_bytes) == (700.0, 80 * 2**30)
    assert facts.throttle_reasons == ("power_cap", "hw_thermal")
    assert (facts.temperature_celsius, facts.power_watts, facts.memory_clock_mhz) == (61, 412.5, None)
    assert room.throttle_reasons() == facts.throttle_reasons
    assert facts.sm_clock_mhz is None
    assert energy_joules() == 12.5


def test_only_visible_gpus_count(gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert (machine().gpu, machine().gpu_count) == ("NVIDIA T4", 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert (machine().gpu, machine().gpu_count) == ("", 0)


@pytest.mark.parametrize("fault", ["no package", "no driver", "no counter"])
def test_a_machine_without_a_gpu_is_blank_not_guessed(gpus, monkeypatch, fault):
    if fault == "no package":
        monkeypatch.setattr(room, "pynvml", None)
    elif fault == "no driver":
        gpus.nvmlInit = _unknown
    else:
        gpus.nvmlDeviceGetTotalEnergyConsumption = _unknown
    assert energy_joules() is None
    if fault != "no counter":
        facts = machine()
        assert (facts.gpu, facts.gpu_count, facts.gpu_memory_bytes) == ("", 0, None)
        assert "cores" in facts.name


def test_the_record_names_cpu_versions_and_commit():
    facts = machine()
    assert facts.cpu_count >= 1
    assert facts.memory_bytes > 0
    assert facts.python == sys.version.split()[0]
    assert "duckdb" in facts.versions
    assert json.loads(json.dumps(dataclasses.asdict(facts)))["cpu"] == facts.cpu


def test_the_commit_says_where_the_tree_was_changed(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True)

    assert room._commit(tmp_path) == ""
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "one")
    clean = room._commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert room._commit(tmp_path) == clean + "+changes"
