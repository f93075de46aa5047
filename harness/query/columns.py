"""The tables and columns that SQL over runs may name, each with its meaning: a contract for scripts."""

from __future__ import annotations

from typing import NamedTuple

from harness.records import RULES
from harness.store import SCHEMA


class Column(NamedTuple):
    """One column."""

    name: str
    type: str
    """DuckDB type."""
    meaning: str


RUNS = (
    Column("run", "VARCHAR", "id of the run; what compare, report and items.run call it"),
    Column("experiment", "VARCHAR", "name of the experiment, or of the benchmark where a file was scored"),
    Column("model", "VARCHAR", "base, checkpoint-120, merged ..., or the name of the predictions' file"),
    Column(
        "kind",
        "VARCHAR",
        "what answered: base, adapter, whole (a folder), served (a server), predictions (a file)",
    ),
    Column("benchmark", "VARCHAR", "name of the benchmark"),
    Column("split", "VARCHAR", "the split that was asked"),
    Column("benchmark_digest", "VARCHAR", "equal digests: the same questions, golds and tables"),
    Column("prompt_digest", "VARCHAR", "equal digests: the same prompt"),
    Column("n", "BIGINT", "questions"),
    Column("scored", "BIGINT", "questions whose gold could be run"),
    Column("unscorable", "BIGINT", "questions whose gold could not: left out of every share"),
    Column("execution_accuracy", "DOUBLE", "share of the scored questions with the gold's answer, rule default"),
    Column("ci_low", "DOUBLE", "lower bound of its 95 % Wilson interval"),
    Column("ci_high", "DOUBLE", "upper bound"),
    *(
        Column(f"accuracy_{rule}", "DOUBLE", f"the same share under the rule {rule}")
        for rule in RULES
        if rule != "default"
    ),
    Column("suite_accuracy", "DOUBLE", "share right on every witness database as well; null where none was made"),
    Column("exact_match", "DOUBLE", "share with the gold's canonical statement"),
    Column("string_match", "DOUBLE", "share with the gold's text, spaces and case of keywords apart"),
    Column("structural_match", "DOUBLE", "share with the gold's statement, literals masked"),
    Column("base", "VARCHAR", "the base model"),
    Column("precision", "VARCHAR", "how its weights were held: nf4, bf16 ..."),
    Column("prompt_schema", "VARCHAR", "how the prompt shows the tables"),
    Column("max_new_tokens", "BIGINT", "tokens after which an answer was cut"),
    Column("temperature", "DOUBLE", "0: greedy"),
    Column("samples", "BIGINT", "answers a question"),
    Column("step", "BIGINT", "optimiser steps behind the model; 0 for the base, null where unknown"),
    Column("epoch", "DOUBLE", "passes over the training split behind it"),
    Column("train_loss", "DOUBLE", "training loss there"),
    Column("train_seconds", "DOUBLE", "wall seconds of the training"),
    Column("train_tokens_per_second", "DOUBLE", "trained tokens a second, padding left out"),
    Column("prompt_tokens", "BIGINT", "tokens of all prompts, padding left out"),
    Column("output_tokens", "BIGINT", "tokens of all answers"),
    Column("generate_seconds", "DOUBLE", "wall seconds inside generation"),
    Column("output_tokens_per_second", "DOUBLE", "output tokens over these seconds"),
    Column("score_seconds", "DOUBLE", "wall seconds of scoring"),
    Column("peak_memory_bytes", "BIGINT", "most GPU memory that generation held"),
    Column("energy_joules", "DOUBLE", "energy of the GPU during generation"),
    Column("hardware", "VARCHAR", "what it ran on, in a few words"),
    Column("gpu_count", "BIGINT", "GPUs"),
    Column("commit", "VARCHAR", "git commit of the code that ran"),
    Column("started", "TIMESTAMP WITH TIME ZONE", "when it began"),
    Column("path", "VARCHAR", "folder of the run"),
    Column("facts", "JSON", "the whole of run.json: facts->>'$.score.tolerance'"),
)
_MEANINGS = {
    "id": "id of the question",
    "question": "the question",
    "context": "the schema as the benchmark ships it",
    "gold_sql": "the gold that the verdict refers to",
    "completion": "what the model wrote",
    "sql": "what was taken from it as SQL",
    "outcome": "what became of it: correct, wrong_values, unknown_column ...",
    "reason": "why, in one sentence; empty where it is right",
    "execution_match": "the same answer as the gold (rule default); null where the gold could not be run",
    "suite_match": "right on every witness database as well; null where there is none",
    "suite_witness": "number of the first witness that told it from the gold",
    "exact_match": "the gold's canonical statement",
    "string_match": "the gold's text",
    "structural_match": "the gold's statement, literals masked",
    "road": "how the statement reached DuckDB: duckdb, mysql, mysql+bare_column ...",
    "gold_road": "how the gold did",
    "rows": "rows of the answer",
    "gold_rows": "rows of the gold's answer",
    "prompt_tokens": "tokens of the prompt",
    "output_tokens": "tokens of the answer",
    "finished": "false: cut at max_new_tokens",
    "sample": "number of the answer where several were drawn",
    "execute_seconds": "wall seconds in DuckDB",
    "cluster": "the database: the unit of clustered intervals",
    "tags": "slices of the benchmark: tags['domain']",
    "answer_digest": "equal digests: the same answer",
    "table": "JSON of the answer's rows, those that differ first; empty where right",
    "gold_table": "JSON of the gold's rows beside them",
    "witness_case": "JSON of the first witness that exposed a lucky match",
    "discriminating": "true where the item's witnesses tell wrong statements from the gold",
    **{f"match_{rule}": f"verdict of the rule {rule}" for rule in RULES},
}
_TYPES = {"string": "VARCHAR", "bool": "BOOLEAN", "int32": "INTEGER", "int64": "BIGINT", "double": "DOUBLE"}
ITEMS = (
    Column("run", "VARCHAR", "the run: runs.run"),
    *(
        Column(field.name, _TYPES.get(str(field.type), "MAP(VARCHAR, VARCHAR)"), _MEANINGS.get(field.name, ""))
        for field in SCHEMA
    ),
)
OUTCOMES = (
    Column("run", "VARCHAR", "the run"),
    Column("model", "VARCHAR", "its model"),
    Column("outcome", "VARCHAR", "what became of questions"),
    Column("n", "BIGINT", "of how many"),
    Column("share", "DOUBLE", "of all the run's questions"),
)
CHECKPOINTS = (
    Column("experiment", "VARCHAR", "the experiment that trained it"),
    Column("step", "BIGINT", "optimiser steps; 0 is the base"),
    Column("model", "VARCHAR", "base, checkpoint-120 ..."),
    Column("run", "VARCHAR", "the run"),
    Column("epoch", "DOUBLE", "passes over the training split"),
    Column("execution_accuracy", "DOUBLE", "share right"),
    Column("ci_low", "DOUBLE", "lower bound of its 95 % interval"),
    Column("ci_high", "DOUBLE", "upper bound"),
    Column("gain", "DOUBLE", "over the base on the same questions, prompt and decoding; null where it was not asked"),
)
TABLES = {"runs": RUNS, "items": ITEMS, "outcomes": OUTCOMES, "checkpoints": CHECKPOINTS}
"""Table -> its columns, in order."""
