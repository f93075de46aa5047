from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks.speed import plan_table
from benchmarks.speed.plan_measured import Compared, compared, fitted
from benchmarks.speed.plan_table import page, ranges
from harness.cli import status
from harness.errors import ConfigError
from harness.evaluate.plan import GPUS, H100, SCORE_START, SQL_SECONDS, Load, gpu_of, load_of_run, plan
from harness.evaluate.plan_error import SPREAD, between
from harness.throughput.cost import ModelShape

ROOT = Path(__file__).resolve().parent.parent
GEMMA = ModelShape(hidden=640, layers=18, heads=4, kv_heads=1, head_dim=256, mlp=2048, vocabulary=262144)
LOAD = Load(1000, 350.0, 30.0)
ENGINE = ROOT / "reports" / "published" / "2026-11-24-h100-speed" / "engine.json"
PUBLISHED = sorted((ROOT / "reports" / "published").glob("*spider/runs/*/run.json"))


def test_more_questions_longer_answers_and_slower_gpus_take_longer():
    def seconds(load: Load = LOAD, gpu: str = "H100", backend: str = "engine") -> float:
        return plan(GEMMA, load, GPUS[gpu], backend, batch=512, workers=8).seconds

    once = plan(GEMMA, dataclasses.replace(LOAD, questions=0), GPUS["H100"], "engine", batch=512, workers=8).seconds
    assert seconds(dataclasses.replace(LOAD, questions=100_000)) > 20 * (seconds() - once)
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


@pytest.fixture(scope="module", name="found")
def _found() -> list[Compared]:
    if not plan_table.OUT.is_file():
        pytest.skip("no published table")
    return compared()


def test_the_published_errors_are_those_that_the_code_makes_now(found):
    assert plan_table.OUT.read_text() == page(found), "python -m benchmarks.speed.plan_table"
    assert dict(SPREAD) == ranges(found)
    assert fitted("H100") == H100


@pytest.mark.parametrize(("phase", "within"), [("prefill", 0.05), ("decode", 0.23), ("answers", 0.2)])
def test_an_h200_that_nothing_was_fitted_to_is_predicted(found, phase, within):
    """By what was fitted to an H100; most of it is much closer, but 64 rows are not."""
    errors = {one.what: one.error for one in found if one.device == "H200" and one.phase == phase and one.other}
    assert max(map(abs, errors.values())) < within
    if phase == "answers":
        assert max(abs(error) for what, error in errors.items() if "slots" in what or "real" in what) < 0.06
    assert len(errors) >= 5


def test_an_h100_is_predicted_by_what_was_fitted_to_an_h200(found):
    errors = [
        one.other / one.measured - 1 for one in found if one.device == "H100" and one.phase == "answers" and one.other
    ]
    assert max(map(abs, errors)) < 0.15
    assert len(errors) == 6


def test_whole_evaluations_are_predicted_from_their_number_of_tokens(found):
    """Of the one with generate(), what reading and decoding took was not looked at; the rest was."""
    whole = [one for one in found if one.what.startswith("evaluation, ") and one.device == "H100"]
    assert max(abs(one.error) for one in whole if one.phase == "whole") < 0.05
    held = [one for one in whole if not one.seen]
    assert {(one.what, one.phase) for one in held} == {
        ("evaluation, generate", "once, prefill"),
        ("evaluation, generate", "decode"),
    }
    assert max(abs(one.error) for one in held) < 0.1


def test_every_measured_phase_lies_in_the_printed_range(found):
    for one in found:
        if one.key:
            least, most = SPREAD[one.key]
            assert one.planned * least <= one.measured <= one.planned * most, one


def test_the_printed_range_holds_the_wall_time_of_every_evaluation_that_was_measured_whole(found):
    whole = [one for one in found if one.span is not None]
    for one in whole:
        assert one.span[0] <= one.measured <= one.span[1], one
    assert {one.device for one in whole} == {"H100", "CPU"}
    assert len(whole) == 4


@pytest.mark.parametrize(("gpu", "backend"), [("T4", "transformers"), ("CPU", "transformers"), ("L4", "engine")])
def test_the_engine_is_planned_only_where_its_kernels_run(gpu, backend, capsys):
    assert status(["plan", "benchmarks/pocket/pocket.toml", "eval.runs=nowhere", "--gpu", gpu, "--n", "100"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["backend"] == backend


@pytest.mark.parametrize("gpu", ["A100", "H200", "CPU"])
@pytest.mark.parametrize("backend", ["engine", "transformers"])
def test_the_range_surrounds_the_prediction_and_grows_with_it(gpu, backend):
    for questions in (10, 1000, 100_000):
        load = dataclasses.replace(LOAD, questions=questions, suite_seconds=0.4)
        found = plan(GEMMA, load, GPUS[gpu], backend, batch=512, workers=8)
        least, most = between(found, GPUS[gpu], backend)
        assert least < found.seconds < most


def test_what_an_earlier_run_had_judged_does_not_make_scoring_look_cheap():
    facts = {
        "totals": {"n": 100, "prompt_tokens": 1000, "output_tokens": 500},
        "machine": {"cpu_count": 4},
        "timings": {"phases": {"score": SCORE_START + 3.0, "duckdb": 2.0}, "remembered": 80},
    }
    assert load_of_run(facts, 1000, 1).sql_seconds == pytest.approx(5.0 * 4 / 20)


def test_a_run_that_may_have_made_suites_does_not_make_scoring_look_dear():
    facts = {
        "totals": {"n": 100, "prompt_tokens": 1000, "output_tokens": 500},
        "machine": {"cpu_count": 4},
        "score": {"suite": True},
        "timings": {"phases": {"score": 50.0}},
    }
    assert load_of_run(facts, 1000, 1).sql_seconds == SQL_SECONDS
    facts["score"] = {"suite": False}
    assert load_of_run(facts, 1000, 1).sql_seconds > 1.0


def test_the_command_predicts_pocket_without_any_run(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = ["benchmarks/pocket/pocket.toml", "eval.runs=nowhere", "--gpu", "A100", "--n", "100000", "--price", "2"]
    assert status(["plan", *arguments]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out.splitlines()[-1])
    assert document["questions"] == 100_000
    assert document["seconds_least"] < document["seconds"] < document["seconds_most"]
    assert document["gpu_measured"] is False
    assert "datasheet alone" in said.err
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
