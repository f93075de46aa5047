"""How fast a model answers, by batch size: the experiment's base, prompts of its own test questions.

    harness bench generate --experiment benchmarks/pocket/pocket.toml
    pytest benchmarks/speed/bench_generate.py --benchmark-enable

Answers have at most `NEW_TOKENS` tokens; a stop token ends one earlier, so a rate counts the tokens there were.
"""

from __future__ import annotations

import dataclasses
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from harness import benchmark as benchmarks
from harness.config import Experiment, load_experiment
from harness.evaluate import speed as worth
from harness.evaluate.answering import open_generator
from harness.evaluate.subjects import Subject
from harness.evaluate.timing import device_peaks
from harness.generate.base import Request
from harness.generate.settings import DecodingSettings
from harness.machine import machine
from harness.prompt import messages
from harness.records import Generation, Speed
from harness.throughput.peaks import Peaks

EXPERIMENT = Path(__file__).resolve().parents[1] / "pocket" / "pocket.toml"
NEW_TOKENS = 32
BATCHES = (1, 8, 64)
QUICK_BATCHES = (1, 16)
QUESTIONS = 64


def requests(experiment: Experiment, count: int) -> list[Request]:
    """So many prompts of the experiment's questions."""
    items = benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings).items()
    chosen = islice(cycle(items), count)
    return [Request(f"{n}", tuple(messages(item, experiment.prompt))) for n, item in enumerate(chosen)]


def answer(generator: Any, asked: list[Request], batch: int) -> tuple[Speed, list[Generation]]:
    """Answer all requests in batches of one size; counts and seconds, and the answers."""
    settings = DecodingSettings(max_new_tokens=NEW_TOKENS, batch_size=batch)
    made = list(generator.generate(asked, settings))
    speed = generator.speed()
    assert speed is not None
    return speed, made


def figures(experiment: Experiment, repeats: int = 5, quick: bool = False) -> list[dict[str, Any]]:
    """Output tokens a second for each batch size, each repeated; the first call, which warms up, is not counted."""
    peaks = device_peaks(experiment)
    generator = open_generator(experiment, Subject("base", "base"))
    found = []
    for batch in QUICK_BATCHES if quick else BATCHES:
        asked = requests(experiment, batch if quick else min(QUESTIONS, 8 * batch))
        answer(generator, asked[:batch], batch)
        speeds, made = [], []
        for _ in range(repeats):
            speed, made = answer(generator, asked, batch)
            speeds.append(speed)
        found.append(figure(experiment, batch, speeds, made, dict(generator.facts), peaks))
    return found


def figure(
    experiment: Experiment,
    batch: int,
    speeds: list[Speed],
    made: list[Generation],
    facts: dict[str, Any],
    peaks: Peaks,
) -> dict[str, Any]:
    """One batch size: its repeats, and the last repeat's counts and shares of the device's ceilings."""
    last = dataclasses.asdict(speeds[-1])
    ceilings = worth.ceilings(last, made, facts, peaks, machine().gpu if facts.get("device") == "cuda" else "")
    backend = facts.get("backend", "")
    return {
        "name": f"generate: {experiment.model.base}, {experiment.model.precision}, {backend}, batch {batch}",
        "unit": "tok/s",
        "values": [speed.output_tokens / speed.generate_seconds for speed in speeds],
        "binds": worth.binds(ceilings)["decode"],
        "ceilings": ceilings,
        "speed": last,
        "rates": worth.rates(last, len(made), None, None),
    }


@pytest.fixture(scope="module", name="generator")
def _generator():
    return open_generator(load_experiment(EXPERIMENT), Subject("base", "base"))


@pytest.mark.parametrize("batch", BATCHES)
def test_generate(benchmark, generator, batch):
    """The same prompts at each batch size."""
    asked = requests(load_experiment(EXPERIMENT), batch)
    benchmark.extra_info["output_tokens"] = batch * NEW_TOKENS
    benchmark.pedantic(answer, args=(generator, asked, batch), rounds=3, warmup_rounds=1)
