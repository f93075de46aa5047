"""Answers -> stored rows: judged by `harness.scoring`, in the items' order, counted on the way."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import tee
from pathlib import Path
from typing import Any

from harness.benchmark import Benchmark
from harness.config import ScoreChoice
from harness.evaluate.predictions import as_generation
from harness.evaluate.settings import filled
from harness.evaluate.totals import Totals
from harness.records import Generation, Item, Outcome
from harness.scoring import ScoreSettings, score
from harness.store import item_row
from harness.suite.others import Golds, schema_golds

Tick = Callable[[int, int], None]
NO_PREDICTION = "No prediction was given for this question."
_JUDGES = ("answer", "dialect", "sandbox", "scoring", "sqltext", "suite")


def score_settings(choice: ScoreChoice, benchmark: Benchmark) -> ScoreSettings:
    """What `harness.scoring` judges by: the `[score]` section and the benchmark's dialects."""
    return filled(ScoreSettings, choice, dialects=benchmark.dialects)


def score_facts(choice: ScoreChoice, benchmark: Benchmark) -> dict[str, Any]:
    """The settings a verdict may depend on, as `run.json` keeps them: workers and caches left out."""
    facts = choice.model_dump()
    for name in ("workers", "cache_dir", "reuse_verdicts"):
        facts.pop(name)
    if not choice.suite:
        facts = {key: value for key, value in facts.items() if not key.startswith("suite_")}
    return facts | {"dialects": list(benchmark.dialects)}


@lru_cache(maxsize=1)
def judges_digest() -> str:
    """Digest of the judges' own source: a stored verdict is reused only where the same code would give it."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for room in _JUDGES:
        for file in sorted((package / room).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def compared_golds(items: Iterable[Item], settings: ScoreSettings) -> Golds | None:
    """The golds that each item's own is told from where suites are asked for; the same whichever shard asks."""
    return schema_golds(items) if settings.suite else None


def judged_rows(
    items: Iterable[Item],
    answers: Mapping[str, Generation | str],
    settings: ScoreSettings,
    totals: Totals,
    *,
    count: int,
    golds: Golds | None = None,
    tick: Tick | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields rows of `items.parquet` in the items' order as they are judged, streaming; `totals` grows along.

    `count` is how many items there are, for `tick`; `golds` are `compared_golds` of the whole benchmark. A question
    without an answer is judged as an empty one.
    """
    asked, judged = tee(items)
    verdicts = score(asked, answers, settings, golds=golds)
    for done, (item, verdict) in enumerate(zip(judged, verdicts, strict=True), start=1):
        answer = answers.get(item.id)
        if answer is None and verdict.outcome is Outcome.NO_SQL:
            verdict = dataclasses.replace(verdict, reason=NO_PREDICTION)
        generation = as_generation(answer, item.id)
        totals.add(verdict, generation)
        if tick is not None:
            tick(done, count)
        yield item_row(item, generation, verdict)
