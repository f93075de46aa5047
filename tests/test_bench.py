"""Measured figures: repeats with their interval, one folder a machine, and a gate that knows its noise."""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path

import pytest
from conftest import ROOT

from harness.bench import gate, stored
from harness.bench.figures import doubts, summarised
from harness.cli import benching
from harness.cli.benching import Asked, SlowerError, bench
from harness.errors import ConfigError
from harness.records import Machine

H100 = Machine(gpu="NVIDIA H100 80GB HBM3", gpu_count=1, power_limit_watts=700.0, cpu="A", cpu_count=16)
T4 = Machine(gpu="Tesla T4", gpu_count=1, cpu="A", cpu_count=16)


def figure(*values: float, name: str = "train: auto") -> dict:
    return summarised({"name": name, "unit": "tok/s", "values": list(values)})


def run_of(machine: Machine, *figures: dict, subject: str = "s") -> dict:
    named = {**dataclasses.asdict(machine), "name": machine.name}
    return {"kind": "train", "subject": subject, "results": list(figures), "machine": named}


def test_a_figure_is_the_median_of_its_repeats_with_the_interval_they_span():
    found = figure(10.0, 30.0, 11.0, 12.0, 13.0)
    assert (found["value"], found["low"], found["high"], found["repeats"]) == (12.0, 10.0, 30.0, 5)
    assert found["confidence"] == pytest.approx(0.9375)
    assert found["scatter"] == pytest.approx(2 / 12)
    alone = summarised({"name": "x", "unit": "u", "value": 3.0})
    assert alone["value"] == 3.0
    assert "low" not in alone


def test_a_throttled_or_scattered_run_says_so_and_names_the_next_command():
    again = "harness bench train --repeats 10"
    loose = figure(10.0, 20.0, 30.0)
    assert doubts([figure(10.0, 10.1, 10.2)], [], again) == []
    told = doubts([loose], ["power_cap"], again)
    assert len(told) == 2
    assert "power_cap" in told[0]
    assert "'train: auto'" in told[1]
    assert all(again in sentence for sentence in told)


def test_unlike_machines_never_share_a_folder_nor_a_history(tmp_path):
    capped = dataclasses.replace(H100, power_limit_watts=350.0)
    folders = {stored.machine_folder(tmp_path, machine) for machine in (H100, T4, capped, Machine(cpu="A"))}
    assert len(folders) == 4
    for machine in (H100, T4):
        stored.write(tmp_path, machine, run_of(machine, figure(1.0)))
    (stored.machine_folder(tmp_path, H100) / "broken.json").write_text("{")
    assert [run["machine"]["gpu"] for run in stored.history(tmp_path, H100, "train", "s")] == [H100.gpu]
    assert stored.history(tmp_path, H100, "train", "another experiment") == []
    assert stored.history(tmp_path, H100, "score", "s") == []


def test_machines_lie_side_by_side_and_are_not_averaged(tmp_path):
    stored.write(tmp_path, H100, run_of(H100, figure(100.0), figure(7.0, name="only here")))
    stored.write(tmp_path, T4, run_of(T4, figure(10.0)))
    table = gate.side_by_side(stored.latest(tmp_path))
    assert table["train: auto, tok/s"] == {H100.name: 100.0, "Tesla T4": 10.0}
    assert table["only here, tok/s"] == {H100.name: 7.0, "Tesla T4": None}


@pytest.mark.parametrize(
    ("before", "now", "slower"),
    [
        ((100.0, 101.0, 99.0), (80.0, 81.0, 79.0), True),
        ((100.0, 101.0, 99.0), (95.0, 96.0, 94.0), False),  # within three times the floor of 3 %
        ((100.0, 140.0, 60.0), (80.0, 81.0, 79.0), False),  # the last run scattered as much
        ((100.0, 101.0, 99.0), (130.0, 131.0, 129.0), False),
    ],
)
def test_a_figure_is_slower_where_it_falls_beyond_the_measured_noise(before, now, slower):
    (change,) = gate.compare([figure(*now)], [run_of(H100, figure(*before))])
    assert change["slower"] is slower


def test_whole_runs_that_differ_widen_the_noise():
    runs = [run_of(H100, figure(value, value, value)) for value in (70.0, 130.0, 100.0)]
    (change,) = gate.compare([figure(80.0, 80.0, 80.0)], runs)
    assert change["noise"] == pytest.approx(0.3)
    assert not change["slower"]
    assert gate.compare([figure(80.0)], []) == []


@pytest.fixture
def measured(monkeypatch, tmp_path):
    values: list[float] = []
    monkeypatch.setattr(benching, "_figures", lambda asked: [{"name": "f", "unit": "tok/s", "values": list(values)}])
    return values, Asked("train", Path("e.toml"), ("train.seed=1",), 3, gate=True, store=tmp_path)


def test_the_gate_fails_what_became_slower_and_does_not_remember_it(measured, capsys):
    values, asked = measured
    for speed in (100.0, 101.0):
        values[:] = [speed, speed + 1, speed - 1]
        bench(asked)
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["results"][0]["value"] == 101.0
    assert document["compared"][0]["change"] == pytest.approx(0.01)
    assert Path(document["stored"]).is_file()
    values[:] = [50.0, 51.0, 49.0]
    with pytest.raises(SlowerError, match=r"1 figure is slower .* f -50\.5%.*`harness bench train .*--repeats 6`"):
        bench(asked)
    values[:] = [100.0, 101.0, 99.0]
    bench(asked)
    bench(dataclasses.replace(asked, gate=False))
    bench(dataclasses.replace(asked, kind="compare"))
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]) == ["f, tok/s"]


def test_what_cannot_be_measured_is_told(tmp_path):
    with pytest.raises(ConfigError, match="choose score, generate, train, or compare"):
        bench(Asked("sleep", Path("e.toml"), ()))
    with pytest.raises(ConfigError, match="harness bench score"):
        bench(Asked("compare", Path("e.toml"), (), store=tmp_path))


def test_pytest_benchmark_knows_the_gpu_and_refuses_another(monkeypatch):
    hooks = runpy.run_path(str(ROOT / "benchmarks" / "speed" / "conftest.py"))
    info: dict = {}
    hooks["pytest_benchmark_update_machine_info"](None, info)
    assert set(info) >= {"gpu", "gpu_count", "driver", "versions"}
    compare = hooks["pytest_benchmark_compare_machine_info"]
    compare(None, None, info, {"machine_info": dict(info)})
    with pytest.raises(pytest.UsageError, match="Tesla T4 there"):
        compare(None, None, info, {"machine_info": info | {"gpu": "Tesla T4"}})
