from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.cli import status
from harness.errors import ConfigError
from harness.evaluate.plan import GPUS, Load, gpu_of, load_of_run, plan
from harness.throughput.cost import ModelShape

ROOT = Path(__file__).resolve().parent.parent
GEMMA = ModelShape(hidden=640, layers=18, heads=4, kv_heads=1, head_dim=256, mlp=2048, vocabulary=262144)
LOAD = Load(1000, 350.0, 30.0)
ENGINE = ROOT / "reports" / "published" / "2026-11-24-h100-speed" / "engine.json"
PUBLISHED = sorted((ROOT / "reports" / "published").glob("*spider/runs/*/run.json"))


def test_more_questions_longer_answers_and_slower_gpus_take_longer():
    def seconds(load: Load = LOAD, gpu: str = "H100", backend: str = "engine") -> float:
        return plan(GEMMA, load, GPUS[gpu], backend, batch=512, workers=8).seconds

    assert seconds(dataclasses.replace(LOAD, questions=100_000)) > 20 * (seconds() - 24)
    assert seconds(dataclasses.replace(LOAD, output_tokens=90.0)) > seconds()
    assert seconds(dataclasses.replace(LOAD, models=3)) > seconds()
    many = dataclasses.replace(LOAD, questions=100_000)
    ranked = [seconds(many, gpu) for gpu in ("H200", "H100", "A100", "A10", "T4")]
    assert ranked == sorted(ranked)
    assert seconds(many, backend="transformers") > seconds(many)


def test_money_is_time_by_the_hour():
    found = plan(GEMMA, LOAD, GPUS["A100"], "engine", batch=512, workers=8)
    assert found.cost(3600.0) == pytest.approx(found.seconds)


def test_a_gpu_is_known_by_its_drivers_name_and_others_are_refused():
    assert gpu_of("NVIDIA H100 80GB HBM3") is GPUS["H100"]
    assert gpu_of("a100") is GPUS["A100"]
    with pytest.raises(ConfigError, match="known are T4"):
        gpu_of("GeForce 9800")


@pytest.mark.skipif(not PUBLISHED, reason="no published run")
def test_generation_of_the_published_runs_is_predicted_within_a_factor_of_two():
    """Capturing apart, which falls on whichever model comes first: the fit must not drift from what was measured."""
    looked = 0
    for path in PUBLISHED:
        facts = json.loads(path.read_text())
        speed = facts["timings"]["speed"]
        if not speed or (speed["generate_seconds"] > 5 and facts["generator"]["backend"] == "engine"):
            continue
        load = load_of_run(facts, facts["totals"]["n"], 1)
        backend = "engine" if facts["generator"]["backend"] == "engine" else "transformers"
        batch = int(facts["generator"]["batch_size"])
        found = plan(GEMMA, load, gpu_of(facts["machine"]["name"]), backend, batch=batch, workers=16)
        measured = speed["prefill_seconds"] + speed["decode_seconds"]
        assert measured / 2 < found.prefill + found.decode < measured * 2, path
        looked += 1
    assert looked >= 1


def test_the_command_predicts_pocket_without_any_run(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = ["benchmarks/pocket/pocket.toml", "eval.runs=nowhere", "--gpu", "A100", "--n", "100000", "--price", "2"]
    assert status(["plan", *arguments]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["questions"] == 100_000
    assert document["cost"] == pytest.approx(document["seconds"] / 1800, rel=1e-3)
    assert document["seconds"] == pytest.approx(sum(document["phases"].values()), abs=0.01)


@pytest.mark.skipif(not ENGINE.is_file(), reason="no published table")
def test_the_engines_published_table_is_predicted_within_two_fifths():
    """gemma-3-1b's shape, 64 prompts and more; one prompt is all launches."""
    shape = ModelShape(hidden=1152, layers=26, heads=4, kv_heads=1, head_dim=256, mlp=6912, vocabulary=262144)
    rows = [
        row for row in json.loads(ENGINE.read_text())["rows"] if row.get("prompts", 1) > 32 and "prefill_seconds" in row
    ]
    for row in rows:
        longest = 256.0 if "real" in row["name"] else row["output_tokens"] / row["prompts"]
        load = Load(
            row["prompts"],
            row["prompt_tokens"] / row["prompts"],
            row["output_tokens"] / row["prompts"],
            longest=longest,
        )
        found = plan(shape, load, GPUS["H100"], "engine", batch=row["rows"], workers=16)
        assert found.prefill + found.decode == pytest.approx(row["seconds"], rel=0.4), row["name"]
    assert len(rows) >= 5
