"""`evaluate` module: exact match of text-to-SQL predictions in three grades, judged by harness."""

from __future__ import annotations

import math
from typing import Any

import evaluate

from harness.metrics.judging import FEATURES, INPUTS, settings_of, verdicts

_DESCRIPTION = """
The share of predictions that are the gold statement: the same canonical tree (aliases, quoting, commutative operands,
equivalent spellings, names told by the tables). Beside it the stricter string match and the looser structural match
(literals masked). As in harness's own reports the shares are over the references whose gold can be run, so both
statements run; beside execution accuracy in one `evaluate.combine` they run once.
"""
_RETURNS = """
Returns:
    exact_match, string_match, structural_match: shares between 0 and 1 of the references whose gold can be run (nan
        where there are none).
"""
_CITATION = ""


class ExactMatch(evaluate.Metric):
    """Loaded by `evaluate.load(harness.metrics.EXACT_MATCH)`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=INPUTS + _RETURNS,
            features=FEATURES,
        )

    def _compute(self, predictions: list[str], references: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        judged = verdicts(predictions, references, settings_of(options))
        scored = [verdict for verdict in judged if verdict.execution_match is not None]
        grades = ("exact_match", "string_match", "structural_match")
        return {
            grade: sum(getattr(verdict, grade) for verdict in scored) / len(scored) if scored else math.nan
            for grade in grades
        }
