"""Are two result tables the same answer? Pure Python values in, one `Comparison` out.

    plan = order_plan(gold_sql)                          # None: any row order is right
    gold = fetch(connection.execute(gold_sql), max_rows)
    keyed = fetch(connection.execute(plan.keyed_sql), max_rows) if plan and plan.needs_keyed(gold) else None
    prediction = fetch(connection.execute(sql), max_rows)
    comparison = compare(gold, prediction, plan, keyed)  # .matches, .outcome, .reason
    if needs_second_execution(gold_sql, sql): ...        # run strip_distinct(...) of both, then
    matched = compare_test_suite(gold, prediction, gold_sql)

`compare_states` judges statements that write, `best_of` several acceptable golds.
"""

from __future__ import annotations

from harness.answer.compare import best_of, compare, compare_test_suite
from harness.answer.digest import answer_digest, state_digest
from harness.answer.distinct import needs_second_execution, strip_distinct
from harness.answer.fetch import fetch, query
from harness.answer.order import OrderPlan, order_plan
from harness.answer.states import compare_states
from harness.answer.table import Comparison, State, Table

__all__ = [
    "Comparison",
    "OrderPlan",
    "State",
    "Table",
    "answer_digest",
    "best_of",
    "compare",
    "compare_states",
    "compare_test_suite",
    "fetch",
    "needs_second_execution",
    "order_plan",
    "query",
    "state_digest",
    "strip_distinct",
]
