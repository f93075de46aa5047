"""A worker's document on one item -> the verdict that is stored."""

from __future__ import annotations

from typing import Any

from harness.records import RULES, Outcome, Verdict
from harness.sandbox.jobs import Answer
from harness.scoring.case import fault_at
from harness.scoring.question import STAGE_GOLD, STAGE_PREDICTION, STAGE_SCHEMA, STAGE_SUITE
from harness.scoring.ruling import ALL_FALSE


def verdict_of(item_id: str, answer: Answer) -> Verdict:
    """A worker's document as the record that is stored."""
    body = dict(answer.body)
    if answer.lost:
        body |= _lost(answer)
    outcome = Outcome(body["outcome"])
    if body.get("truncated") and not outcome.is_gold_fault:
        body |= {
            "outcome": Outcome.TRUNCATED,
            "reason": "the answer was cut at max_new_tokens within its SQL",
            "matches": dict.fromkeys(RULES, False),
            # wrong on the suite too, where there is one: its share is over the same items as the headline
            "suite_match": None if body.get("suite_match") is None else False,
            "suite_witness": None,
            "witness_case": "",
            **dict.fromkeys(("answer_digest", "table", "gold_table"), ""),
        }
    return Verdict(
        id=item_id,
        outcome=Outcome(body["outcome"]),
        reason=body["reason"],
        sql=body.get("sql", ""),
        matches=body["matches"],
        suite_match=body.get("suite_match"),
        suite_witness=body.get("suite_witness"),
        witness_case=body.get("witness_case", ""),
        string_match=body.get("string_match", False),
        exact_match=body.get("exact_match", False),
        structural_match=body.get("structural_match", False),
        gold_index=body.get("gold_index", 0),
        gold_road=body.get("gold_road", ""),
        road=body.get("road", ""),
        gold_rows=body.get("gold_rows"),
        rows=body.get("rows"),
        execute_seconds=body.get("execute_seconds", 0.0),
        answer_digest=body.get("answer_digest", ""),
        table=body.get("table", ""),
        gold_table=body.get("gold_table", ""),
        remembered=body.get("remembered", False),
    )


def _lost(answer: Answer) -> dict[str, Any]:
    """The verdict on a job that ended two workers."""
    if answer.stage == STAGE_SUITE and "outcome" in answer.body:
        return {"suite_match": None}
    words = {
        "timeout": "it did not end within its time and could not be interrupted",
        "crash": "it ended the process that ran it, twice",
    }[answer.lost]
    if answer.stage in (STAGE_SCHEMA, STAGE_GOLD):
        return fault_at(answer.stage, words, answer.lost)
    outcome = Outcome.TIMEOUT if answer.lost == "timeout" else Outcome.RUNTIME_ERROR
    where = "the prediction" if answer.stage == STAGE_PREDICTION else "reading the answer's text"
    return {"outcome": outcome.value, "reason": f"{where}: {words}", "matches": dict(ALL_FALSE)}
