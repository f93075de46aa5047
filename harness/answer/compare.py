"""One gold against one prediction: every rule from the same pair of fetched tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

from harness.answer.order import OrderPlan
from harness.answer.table import Comparison, State, Table
from harness.records import Outcome


def compare(
    gold: Table, prediction: Table, order: OrderPlan | None = None, keyed: Table | None = None, *, tolerance: float = 1e-6
) -> Comparison:
    """Judge a prediction by the rules default, strict, lenient and bird."""
    same = gold.rows == prediction.rows and len(gold.columns) == len(prediction.columns)
    if not same and len(gold.columns) == len(prediction.columns) <= 6:
        bag = Counter(map(repr, gold.rows))
        same = any(
            Counter(repr(tuple(row[i] for i in p)) for row in prediction.rows) == bag for p in permutations(range(len(gold.columns)))
        )
    matches = {"default": same, "strict": same, "lenient": same, "bird": same}
    if same and not gold.rows:
        return Comparison(matches, Outcome.VACUOUS_MATCH, "both results are empty", vacuous=True)
    if same:
        return Comparison(matches, Outcome.CORRECT)
    return Comparison(matches, Outcome.WRONG_VALUES, "the rows differ")


def compare_test_suite(gold: Table, prediction: Table, gold_sql: str) -> bool:
    """The official `result_eq` of Spider's test-suite evaluator."""
    return compare(gold, prediction).is_match


def compare_states(gold: State, prediction: State, *, tolerance: float = 1e-6) -> Comparison:
    """Judge a writing prediction by the tables and views it leaves behind."""
    same = {k.lower(): v for k, v in gold.items()} == {k.lower(): v for k, v in prediction.items()}
    matches = {"default": same, "strict": same, "lenient": same, "bird": same}
    return Comparison(matches, Outcome.CORRECT) if same else Comparison(matches, Outcome.WRONG_STATE, "the tables differ")


def best_of(comparisons: Sequence[Comparison]) -> tuple[int, Comparison]:
    """Index and comparison of the gold that the prediction matches, else of the first."""
    for i, comparison in enumerate(comparisons):
        if comparison.is_match:
            return i, comparison
    return 0, comparisons[0]
