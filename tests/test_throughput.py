"""Speed as it is recorded: where time went, rates with their tokens, ceilings by arithmetic, blanks for unknowns."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import pytest
import torch
from tiny_model import build

from harness.config import Experiment
from harness.evaluate.run import Evaluation, Hooks
from harness.evaluate.speed import binds, ceilings, rates
from harness.evaluate.subjects import Subject
from harness.records import Generation
from harness.throughput import quantiles
from harness.throughput.budget import Phases, spend, spent
from harness.throughput.cost import ModelShape, decode_bytes, shape_of, train_flops
from harness.throughput.peaks import DATASHEET, Peaks, datasheet, probe

GEMMA = ModelShape(1152, 26, 4, 1, 256, 6912, 262144)
SCRIPT = "CREATE TABLE orders (id INTEGER, total REAL); INSERT INTO orders VALUES (1, 2.5);"


@contextmanager
def _no_bar(label: str):
    yield lambda done, total: None


@pytest.fixture(scope="module")
def timings(tmp_path_factory):
    """Of an evaluation of the tiny model, NF4 on a CPU."""
    folder = tmp_path_factory.mktemp("run")
    rows = [
        {"id": n, "sql_prompt": f"order {n}?", "sql_context": SCRIPT, "sql": "SELECT id FROM orders"} for n in range(24)
    ]
    (folder / "bench.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    experiment = Experiment.model_validate(
        {
            "name": "timed",
            "benchmark": {"name": str(folder / "bench.jsonl")},
            "model": {"base": str(build(folder / "tiny")), "device": "cpu"},
            "generate": {"max_new_tokens": 24, "batch_size": 8, "backend": "transformers"},
            "score": {"workers": 1, "suite": False, "cache_dir": ""},
            "eval": {"runs": str(folder / "runs")},
        }
    )
    evaluation = Evaluation(experiment, Hooks(lambda line: None, _no_bar))
    return evaluation.one(Subject("base", "base")).run.facts["timings"]


def test_the_time_of_an_evaluation_is_accounted_for_within_three_percent(timings):
    phases = timings["phases"]
    assert sum(phases.values()) == pytest.approx(timings["wall_seconds"], rel=0.03)
    assert sum(phases.values()) <= timings["wall_seconds"]
    wanted = {"benchmark", "prepare", "probe", "load", "quantise", "tokenise", "prefill", "decode", "generate", "score"}
    assert set(phases) >= wanted
    assert all(seconds >= 0 for seconds in phases.values())


def test_tokens_and_steps_of_a_run_are_counted_and_rated(timings):
    speed, found = timings["speed"], timings["rates"]
    assert timings["answers_timed"] == 24
    assert speed["decode_steps"] <= 3 * 23
    assert speed["launches_per_step"] > 50
    assert 0 < speed["token_seconds"]["p50"] <= speed["token_seconds"]["p99"] <= speed["decode_seconds"]
    assert speed["first_token_seconds"]["p99"] <= speed["prefill_seconds"]
    assert found["queries_per_second"] == pytest.approx(24 / speed["generate_seconds"])
    assert found["correct_queries_per_second"] == 0.0
    assert found["joules_per_query"] is None
    assert found["decode_tokens_per_second"] == pytest.approx((speed["output_tokens"] - 24) / speed["decode_seconds"])


def test_a_cpu_is_held_against_what_was_measured_on_it_alone(timings):
    assert set(timings["ceilings"]) == {"decode bandwidth", "decode compute", "decode launches", "prefill compute"}
    assert timings["peaks"]["datasheet"] == {"flops": None, "bytes": None, "launch_seconds": None}
    assert timings["peaks"]["measured"]["flops"] > 0
    assert set(timings["binds"]) == {"decode", "prefill"}


# --- arithmetic


def test_operations_of_training_are_those_of_the_qlora_convention():
    assert GEMMA.linear_parameters == 697_761_792
    assert GEMMA.lora_parameters(16) == 13_045_760
    assert train_flops(GEMMA, 256.5, 16, True) / 1e9 == pytest.approx(4.76, abs=0.01)
    assert train_flops(GEMMA, 256.5, 16, False) / 1e9 == pytest.approx(4.16, abs=0.01)


def test_a_shape_is_that_of_the_model_it_is_read_from(tmp_path):
    from harness.model.load import load_base
    from harness.model.settings import ModelSettings

    loaded = load_base(ModelSettings(str(build(tmp_path / "tiny")), device="cpu", precision="fp32"))
    shape = ModelShape(**loaded.facts["shape"])
    layers = loaded.model.base_model.layers
    linear = sum(m.weight.numel() for m in layers.modules() if isinstance(m, torch.nn.Linear))
    assert shape.linear_parameters == linear
    assert shape.head_parameters == loaded.model.get_output_embeddings().weight.numel()
    assert shape_of(object()) is None


def test_the_ceiling_of_decoding_is_weights_once_a_step_and_each_rows_cache():
    made = [Generation(str(n), "", prompt_tokens=336, output_tokens=129) for n in range(256)]
    speed = {"decode_seconds": 2.0, "prefill_seconds": 1.0, "decode_steps": 128, "launches_per_step": 1}
    found = ceilings(
        speed,
        made,
        {"shape": {name: getattr(GEMMA, name) for name in GEMMA.__slots__}, "precision": "bf16"},
        Peaks(800e12, 3.0e12, 1e-5),
        "NVIDIA H100 80GB HBM3",
    )
    sheet = found["decode bandwidth (datasheet)"]
    assert sheet["value"] == pytest.approx(181_000, rel=0.01)  # the anchored ceiling at 256 rows and 400 tokens
    assert sheet["share"] == pytest.approx(256 * 128 / 2.0 / sheet["value"])
    assert found["decode bandwidth"]["value"] == pytest.approx(sheet["value"] * 3.0 / 3.35)
    assert found["decode launches"]["share"] == pytest.approx(128 * 1e-5 / 2.0)
    assert "decode launches (datasheet)" not in found
    assert decode_bytes(GEMMA, 1, 0, 0) == 2 * (GEMMA.linear_parameters + GEMMA.head_parameters)


def test_what_binds_is_the_nearest_measured_ceiling_and_none_where_none_is_near():
    found = {
        "decode bandwidth": {"share": 0.7},
        "decode launches": {"share": 0.9},
        "decode compute (datasheet)": {"share": 0.95},
        "prefill compute": {"share": 0.2},
    }
    assert binds(found) == {"decode": "launches", "prefill": ""}
    assert binds({}) == {"decode": "", "prefill": ""}


def test_a_correct_query_costs_what_all_queries_took():
    speed = {"generate_seconds": 10.0, "energy_joules": 500.0, "output_tokens": 400, "prompt_tokens": 900}
    found = rates(speed | {"padded_tokens": 100}, 100, 0.25, 20.0)
    assert (found["queries_per_second"], found["correct_queries_per_second"]) == (10.0, 2.5)
    assert (found["joules_per_query"], found["joules_per_correct_query"]) == (5.0, 20.0)
    assert (found["padding_share"], found["evaluated_per_second"]) == (0.1, 5.0)
    assert found["prompt_tokens_per_second"] is None
    assert rates(speed, 100, 0.0, None)["joules_per_correct_query"] is None


def test_unknown_hardware_has_no_datasheet():
    assert datasheet("NVIDIA H100 80GB HBM3") == Peaks(989e12, 3.35e12)
    assert datasheet("Some Accelerator") == datasheet("") == Peaks()
    assert all(peaks.flops and peaks.bytes and peaks.launch_seconds is None for peaks in DATASHEET.values())


def test_a_device_is_probed_in_the_time_it_was_given():
    start = time.perf_counter()
    peaks = probe(torch.device("cpu"), 0.05)
    assert time.perf_counter() - start < 5
    assert peaks.flops > 1e6
    assert peaks.bytes > 1e6
    assert 0 < peaks.launch_seconds < 0.01


# --- clocks


def test_phases_exclude_each_other_and_add_up():
    phases = Phases()
    with phases("outer"):
        time.sleep(0.02)
        with phases("inner"):
            time.sleep(0.05)
    assert phases.seconds["inner"] >= 0.05
    assert 0.02 <= phases.seconds["outer"] < phases.wall_seconds - 0.05 + 1e-3
    phases.seconds = {"generate": 10.0}
    phases.split("generate", {"prefill": 4.0, "decode": 3.0, "compile": 0.0})
    assert phases.seconds == {"generate": 3.0, "prefill": 4.0, "decode": 3.0}
    phases.split("generate", {"decode": 6.0})
    assert phases.seconds == {"generate": 0.0, "prefill": 4.0, "decode": 6.0}
    before = spent("quantise")
    spend("quantise", 0.5)
    assert spent("quantise") - before == 0.5


def test_quantiles_count_a_value_as_often_as_its_weight():
    assert quantiles([]) is None
    assert quantiles([3.0, 1.0, 2.0]) == {"p50": 2.0, "p90": 3.0, "p99": 3.0}
    assert quantiles([1.0, 9.0], [99.0, 1.0]) == {"p50": 1.0, "p90": 1.0, "p99": 1.0}
