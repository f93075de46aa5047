"""One row of `items.parquet`: what was asked, what was answered, what the judges said."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from harness.records import RULES, Generation, Item, Verdict

SHOWN = ("answer_digest", "table", "gold_table", "witness_case")
"""Texts of `records.Verdict` that only people and votes read; empty where there is nothing to show. Runs written before
they existed lack the columns."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("context", pa.string(), nullable=False),
        pa.field("gold_sql", pa.string(), nullable=False),
        pa.field("completion", pa.string(), nullable=False),
        pa.field("sql", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("execution_match", pa.bool_()),
        pa.field("suite_match", pa.bool_()),
        pa.field("suite_witness", pa.int32()),
        pa.field("discriminating", pa.bool_()),
        pa.field("exact_match", pa.bool_(), nullable=False),
        pa.field("string_match", pa.bool_(), nullable=False),
        pa.field("structural_match", pa.bool_(), nullable=False),
        *(pa.field(f"match_{rule}", pa.bool_()) for rule in RULES),
        pa.field("road", pa.string(), nullable=False),
        pa.field("gold_road", pa.string(), nullable=False),
        pa.field("rows", pa.int64()),
        pa.field("gold_rows", pa.int64()),
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("output_tokens", pa.int32(), nullable=False),
        pa.field("finished", pa.bool_(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("execute_seconds", pa.float64(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in SHOWN),
        pa.field("tags", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)
"""Columns of `items.parquet`; `execution_match` and `match_*` are null where the gold could not be scored."""


def item_row(item: Item, generation: Generation, verdict: Verdict) -> dict[str, Any]:
    """The row of one item; text that is no valid Unicode is written with `?` in its place."""
    gold = item.golds[verdict.gold_index] if verdict.gold_index < len(item.golds) else item.golds[0]
    return {
        "id": valid_text(item.id),
        "question": valid_text(item.question),
        "context": valid_text(item.context),
        "gold_sql": valid_text(gold),
        "completion": valid_text(generation.completion),
        "sql": valid_text(verdict.sql),
        "outcome": str(verdict.outcome),
        "reason": valid_text(verdict.reason),
        "execution_match": verdict.execution_match,
        "suite_match": verdict.suite_match,
        "suite_witness": verdict.suite_witness,
        "discriminating": verdict.discriminating,
        "exact_match": verdict.exact_match,
        "string_match": verdict.string_match,
        "structural_match": verdict.structural_match,
        **{f"match_{rule}": verdict.matches.get(rule) for rule in RULES},
        "road": verdict.road,
        "gold_road": verdict.gold_road,
        "rows": verdict.rows,
        "gold_rows": verdict.gold_rows,
        "prompt_tokens": generation.prompt_tokens,
        "output_tokens": generation.output_tokens,
        "finished": generation.finished,
        "sample": generation.sample,
        "execute_seconds": verdict.execute_seconds,
        "cluster": valid_text(item.cluster or item.id),
        **{name: valid_text(getattr(verdict, name)) for name in SHOWN},
        "tags": sorted((valid_text(key), valid_text(value)) for key, value in item.tags.items()),
    }


def valid_text(text: str) -> str:
    """Text as UTF-8 can hold it: a lone surrogate becomes `?`."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text
