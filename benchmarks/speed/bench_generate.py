"""How fast a model answers, by batch size: the experiment's base, prompts of its own test questions.

    harness bench generate --experiment benchmarks/pocket/pocket.toml
    pytest benchmarks/speed/bench_generate.py --benchmark-enable

Every answer is made to be `NEW_TOKENS` long (no stop token ends it), so that rates of different models compare.
"""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from harness import benchmark as benchmarks
from harness.config import Experiment, load_experiment
from harness.evaluate.answering import open_generator
from harness.evaluate.subjects import Subject
from harness.generate.base import Request
from harness.generate.settings import DecodingSettings
from harness.prompt import messages
from harness.records import Speed

EXPERIMENT = Path(__file__).resolve().parents[1] / "pocket" / "pocket.toml"
NEW_TOKENS = 32
BATCHES = (1, 8, 64)
QUESTIONS = 64


def requests(experiment: Experiment, count: int) -> list[Request]:
    """So many prompts of the experiment's questions."""
    items = benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings).items()
    chosen = islice(cycle(items), count)
    return [Request(f"{n}", tuple(messages(item, experiment.prompt))) for n, item in enumerate(chosen)]


def answer(generator: Any, asked: list[Request], batch: int) -> Speed:
    """Answer all requests in batches of one size; counts and seconds."""
    settings = DecodingSettings(max_new_tokens=NEW_TOKENS, batch_size=batch)
    for _ in generator.generate(asked, settings):
        pass
    speed = generator.speed()
    assert speed is not None
    return speed


def figures(experiment: Experiment) -> list[dict[str, Any]]:
    """Output tokens a second for each batch size; the first call, which warms up, is not counted."""
    generator = open_generator(experiment, Subject("base", "base"))
    answer(generator, requests(experiment, 2), 2)
    found = []
    for batch in BATCHES:
        speed = answer(generator, requests(experiment, min(QUESTIONS, 8 * batch)), batch)
        found.append(
            {
                "name": f"generate: {experiment.model.base}, {experiment.model.precision}, batch {batch}",
                "value": speed.output_tokens / speed.generate_seconds,
                "unit": "tok/s",
                "output_tokens": speed.output_tokens,
                "prompt_tokens": speed.prompt_tokens,
                "padded_tokens": speed.padded_tokens,
                "seconds": round(speed.generate_seconds, 3),
                "peak_memory_bytes": speed.peak_memory_bytes,
            }
        )
    return found


@pytest.fixture(scope="module", name="generator")
def _generator():
    return open_generator(load_experiment(EXPERIMENT), Subject("base", "base"))


@pytest.mark.parametrize("batch", BATCHES)
def test_generate(benchmark, generator, batch):
    """The same prompts at each batch size."""
    asked = requests(load_experiment(EXPERIMENT), batch)
    benchmark.extra_info["output_tokens"] = batch * NEW_TOKENS
    benchmark.pedantic(answer, args=(generator, asked, batch), rounds=3, warmup_rounds=1)
