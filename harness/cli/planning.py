"""`harness plan`: what an evaluation will take elsewhere and at another size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness import benchmark as benchmarks
from harness import units
from harness.cli.output import emit, say
from harness.config import Experiment, load_experiment
from harness.errors import ModelError
from harness.evaluate.plan import GPUS, SUITE_SECONDS, Backend, Load, gpu_of, load_of_run, plan
from harness.evaluate.plan_error import between, known_by
from harness.evaluate.settings import model_settings
from harness.model.files import read_json
from harness.model.source import locate_base
from harness.prompt import messages
from harness.records import Run
from harness.store import find_run, list_runs
from harness.throughput.cost import ModelShape, shape_of

_LOOKED_AT = 200
_CHARACTERS_A_TOKEN = 3.2
_BATCH = {"engine": 512, "transformers": 512}


def plan_evaluation(
    path: Path, overrides: Sequence[str], gpu: str, count: int | None, price: float | None, run: str, workers: int
) -> None:
    """Predict wall time and money, and say what the prediction stands on."""
    experiment = load_experiment(path, overrides)
    benchmark = benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings)
    device = gpu_of(gpu)
    questions = count or experiment.eval.limit or sum(1 for _ in benchmark.stream())
    models = _models(experiment)
    measured = _measured(experiment, run)
    if measured is not None:
        load, source = load_of_run(measured.facts, questions, models), f"tokens (and SQL time) of {measured.id}"
    else:
        load, source = _guessed(experiment, benchmark, questions, models), "prompts and golds counted, nothing measured"
    suite_seconds = SUITE_SECONDS if experiment.score.suite else 0.0
    load = replace(load, longest=float(experiment.generate.max_new_tokens), suite_seconds=suite_seconds)
    asked = experiment.generate
    eager = not device.engine or asked.backend == "transformers" or asked.temperature > 0
    backend: Backend = "transformers" if eager else "engine"
    batch = asked.batch_size or (64 if device is GPUS["CPU"] else _BATCH[backend])
    found = plan(_shape(experiment), load, device, backend, batch=batch, workers=workers)
    least, most = between(found, device, backend)
    hourly = device.price if price is None else price
    facts = {
        "seconds": round(found.seconds, 3),
        "seconds_least": round(least, 3),
        "seconds_most": round(most, 3),
        "cost": round(found.cost(hourly), 4),
        "price_per_hour": hourly,
        "phases": {name: round(value, 3) for name, value in asdict(found).items()},
        "questions": questions,
        "models": models,
        "gpu": gpu,
        "gpu_measured": bool(device.measured),
        "backend": backend,
        "measured_run": None if measured is None else measured.id,
    }
    _tell(facts, f"{source}. {known_by(gpu, device)}")
    emit(facts)


def _tell(facts: Mapping[str, Any], source: str) -> None:
    for name, seconds in facts["phases"].items():
        say(f"{name:8} {units.duration(seconds)}")
    asked = f"{facts['questions']:,} questions, {units.plural(facts['models'], 'model')}"
    least, most, hourly = facts["seconds_least"], facts["seconds_most"], facts["price_per_hour"]
    span = f"between {units.duration(least)} and {units.duration(most)}"
    say(f"{asked} on one {facts['gpu']} ({facts['backend']}): {units.duration(facts['seconds'])}, {span}")
    money = f"{facts['cost']:.2f} ({least / 3600 * hourly:.2f} to {most / 3600 * hourly:.2f})"
    say(f"about {money} at {hourly:.2f} an hour; from {source}")
    say("The range: every phase at once as far off as it ever was where it was measured (reports/plan.md).")


def _models(experiment: Experiment) -> int:
    epochs = math.ceil(experiment.train.epochs)
    return sum(epochs if name == "checkpoints" else 1 for name in experiment.eval.models)


def _measured(experiment: Experiment, name: str) -> Run | None:
    """The run named, else the newest one of the experiment, here or published, whose answers were measured."""
    if name:
        return find_run(name)
    folders = [Path(experiment.eval.runs), *Path("reports/published").glob("*/runs")]
    runs = [run for folder in folders for run in list_runs(folder) if run.facts.get("name") == experiment.name]
    timed = [run for run in runs if run.facts["totals"].get("output_tokens") and run.model != "base"]
    return max(timed, key=lambda run: str(run.facts["timings"].get("started")), default=None)


def _guessed(experiment: Experiment, benchmark: benchmarks.Benchmark, questions: int, models: int) -> Load:
    looked = list(islice(benchmark.stream(), _LOOKED_AT))
    shown = sum(len(part["content"]) for item in looked for part in messages(item, experiment.prompt))
    golds = sum(len(item.golds[0]) for item in looked)
    per = _CHARACTERS_A_TOKEN * len(looked)
    return Load(questions, shown / per, golds / per, models=models)


def _shape(experiment: Experiment) -> ModelShape:
    config = read_json(locate_base(model_settings(experiment.model)) / "config.json")
    shape = shape_of(SimpleNamespace(**config.get("text_config", config)))
    if shape is None:
        raise ModelError(f"{experiment.model.base} has a shape that nothing is known of; a plan needs a plain decoder.")
    return shape
