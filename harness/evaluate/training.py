"""An experiment's training: its benchmark's training split as chats, its recipe, its adapter folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness import benchmark as benchmarks
from harness.config import Experiment
from harness.evaluate.cards import data_facts
from harness.evaluate.judging import Tick
from harness.evaluate.predictions import limited
from harness.evaluate.settings import model_settings, train_settings
from harness.prompt import example
from harness.ranks import ALONE, Ranks
from harness.trainer.result import TrainResult
from harness.trainer.settings import Example
from harness.units import plural


def train_experiment(
    experiment: Experiment, *, say: Callable[[str], None], tick: Tick | None = None, ranks: Ranks = ALONE
) -> TrainResult:
    """Train, resume or reuse the experiment's adapter; several processes may do it together."""
    benchmark = benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings)
    items = limited(benchmark.items("train"), experiment.train.limit)
    overlap = benchmark.overlap()
    if overlap is not None and overlap.either:
        share = f"{overlap.either:,} of {overlap.test_items:,} test questions"
        say(f"{share} stand in the training split ({overlap.same_prompt:,} with the same prompt).")
    if benchmark.settings.evaluate != "test":
        say(
            f"{benchmark.name} evaluates on every question, those that are trained on too: give "
            "benchmark.evaluate=test to `train` and `eval` alike, or the result is no test."
        )
    say(f"{experiment.name}: training on {plural(len(items), 'question')} of {benchmark.name}")
    chats = [example(item, experiment.prompt) for item in items]
    # deferred: torch and its companions take seconds to import
    from harness.trainer.train import train

    return train(
        [Example(tuple(shown), answer) for shown, answer in chats],
        model_settings(experiment.model),
        train_settings(experiment.train),
        Path(experiment.adapter_folder),
        data=data_facts(benchmark, "train", benchmarks.split_digest(items)),
        say=say,
        ranks=ranks,
        progress=None if tick is None else lambda done, total, words: tick(done, total),
    )
