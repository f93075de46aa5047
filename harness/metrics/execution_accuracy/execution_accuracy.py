"""`evaluate` module: execution accuracy of text-to-SQL predictions, judged in DuckDB by harness."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import evaluate

from harness import stats
from harness.metrics.judging import FEATURES, INPUTS, settings_of, verdicts

_DESCRIPTION = """
The share of predictions that give the same answer as the gold statement. Both run in DuckDB, in confined worker
processes; rows are a bag, row order counts where the gold orders, numbers compare by value (harness's default rule).
References whose gold cannot be run are not scored, and counted.
"""
_RETURNS = """
Returns:
    execution_accuracy: share between 0 and 1 of the scored references (nan where none could be scored).
    execution_accuracy_low, execution_accuracy_high: its 95 % Wilson interval.
    scored, unscorable: references whose gold could, and could not, be run.
    suite_accuracy: with suite=True, the share that is right on generated witness databases too.
"""
_CITATION = ""


class ExecutionAccuracy(evaluate.Metric):
    """Loaded by `evaluate.load(harness.metrics.EXECUTION_ACCURACY)`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=INPUTS + _RETURNS,
            features=FEATURES,
        )

    def _compute(self, predictions: list[str], references: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        for verdict in verdicts(predictions, references, settings_of(options)):
            if verdict.execution_match is None:
                counts["unscorable"] += 1
                continue
            counts["scored"] += 1
            counts["right"] += bool(verdict.execution_match)
            if verdict.suite_match is not None:
                counts["in suites"] += 1
                counts["right in suites"] += verdict.suite_match
        low, high = stats.wilson(counts["right"], counts["scored"]) if counts["scored"] else (math.nan, math.nan)
        found = {
            "execution_accuracy": _share(counts["right"], counts["scored"]),
            "execution_accuracy_low": low,
            "execution_accuracy_high": high,
            "scored": counts["scored"],
            "unscorable": counts["unscorable"],
        }
        if counts["in suites"]:
            found["suite_accuracy"] = _share(counts["right in suites"], counts["in suites"])
        return found


def _share(hits: int, n: int) -> float:
    return hits / n if n else math.nan
