"""`harness.score`: answers made elsewhere, judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import benchmark as benchmarks
from harness.config import load_score_command
from harness.evaluate.predictions import read_predictions
from harness.evaluate.scored import score_predictions
from harness.public.inputs import Benchmark, Predictions, benchmark_file, overrides, predictions_file
from harness.public.runs import RunResult
from harness.scratch import Scratch
from harness.store import read_run


def score(
    benchmark: Benchmark,
    predictions: Predictions,
    *,
    out: str | Path | None = None,
    name: str = "predictions",
    allow_missing: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> RunResult:
    """Judge predictions by every rule at once, in confined worker processes; what `harness score` does.

    `benchmark` and `predictions` are names or files as on the command line, or rows in memory. `out` stores the run;
    `name` is what predictions in memory are called. `settings` are the command line's KEY=VALUE:
    `{"score.suite": True, "benchmark.root": "/data/spider"}`. A DataError or ConfigError says what is wrong, before
    anything runs.

    >>> import harness
    >>> tables = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2);"
    >>> questions = [
    ...     {"id": "1", "sql_prompt": "How many?", "sql_context": tables, "sql": "SELECT count(*) FROM t"},
    ...     {"id": "2", "sql_prompt": "Which?", "sql_context": tables, "sql": "SELECT a FROM t ORDER BY a"},
    ... ]
    >>> result = harness.score(questions, {"1": "SELECT count(a) FROM t", "2": "SELECT a FROM t ORDER BY a DESC"})
    >>> result.execution_accuracy
    0.5
    >>> result.items(["id", "outcome"]).to_pylist()
    [{'id': '1', 'outcome': 'correct'}, {'id': '2', 'outcome': 'wrong_order'}]
    """
    keep = Scratch("harness-run-")
    folder = keep.path
    command = load_score_command(benchmark_file(benchmark, folder), overrides(settings or {}))
    loaded = benchmarks.load(command.benchmark.name, command.benchmark.settings)
    source = predictions_file(predictions, folder, name)
    answers = read_predictions(
        source,
        (item.id for item in loaded.stream()),
        allow_missing=allow_missing,
        id_column=loaded.settings.columns.id,
    )
    target = folder / "run" if out is None else Path(out)
    score_predictions(loaded, answers, command.score, source=source, out=target)
    return RunResult(read_run(target), keep if out is None else None)
