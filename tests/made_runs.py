"""Stored runs made up for tests: the two files of a run by the file contract, from a seed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DATABASES = {
    "airports": ("flights", "airline", "delay_minutes"),
    "harbour": ("ships", "flag", "gross_tonnage"),
    "library": ("loans", "branch", "days_out"),
    "orchard": ("harvests", "variety", "kilograms"),
    "theatre": ("tickets", "seat_class", "price"),
}
SHAPES = (
    ("How many {t} are there for each {g}?", "SELECT {g}, COUNT(*) FROM {t} GROUP BY {g}", "aggregation"),
    ("Which {g} has the highest {v}?", "SELECT {g} FROM {t} ORDER BY {v} DESC LIMIT 1", "basic SQL"),
    ("List {t} with more than {k} {v}.", "SELECT * FROM {t} WHERE {v} > {k}", "basic SQL"),
    (
        "Which {t} exceed the average {v}?",
        "SELECT id FROM {t} WHERE {v} > (SELECT AVG({v}) FROM {t})",
        "subqueries",
    ),
    (
        "Show {g} and owner of {t} above {k} {v}.",
        "SELECT t.{g}, o.name FROM {t} AS t JOIN owners AS o ON o.id = t.owner_id WHERE t.{v} > {k}",
        "single join",
    ),
    ("Rank {t} by {v}.", "SELECT id, RANK() OVER (ORDER BY {v} DESC) FROM {t}", "window functions"),
)
WRONG = (
    ("wrong_values", "The gold returns 12 rows and so does the prediction, but 3 of them differ in the second column."),
    ("unknown_column", "DuckDB finds no column named total in the tables of this question."),
    ("wrong_row_count", "The gold returns 4 rows, the prediction 1."),
    ("syntax_error", 'The statement is not SQL: syntax error at or near "FORM".'),
    ("truncated", "The answer was cut at 256 tokens before it ended."),
    ("timeout", "The statement ran for 5 s, longer than its deadline."),
)
MACHINE = {
    "gpu": "NVIDIA H100 80GB HBM3",
    "gpu_count": 1,
    "gpu_memory_bytes": 80 * 2**30,
    "cpu": "",
    "cpu_count": 16,
} | {
    "driver": "580.1",
    "cuda": "13.0",
    "power_limit_watts": 700.0,
    "commit": "0123abc",
    "python": "3.11.7",
    "versions": {"duckdb": "2.0.0", "torch": "2.13.0"},
}

SPEED = {"prompt_tokens": 60_000, "output_tokens": 10_000, "padded_tokens": 5_000, "generate_seconds": 8.2} | {
    "peak_memory_bytes": 3 * 2**30,
    "energy_joules": 3410.0,
}
TRAINING = {"digest": "t" * 16, "train_tokens_per_second": 37_300.0, "peak_memory_bytes": 9 * 2**30, "seconds": 212.0}


def make_items(n: int, skill: float, seed: int, luck: float = 0.08) -> list[dict]:
    """n items; equal seeds answer alike apart from `skill`, so that runs are paired as real ones are."""
    rng = np.random.default_rng(99)
    ease = rng.random(n)
    noise = np.random.default_rng(seed).normal(0, 0.12, n)
    names = list(DATABASES)
    items = []
    for index in range(n):
        database = names[index % len(names)]
        table, group, value = DATABASES[database]
        question, gold, complexity = SHAPES[(index // len(names)) % len(SHAPES)]
        words = {"t": table, "g": group, "v": value, "k": 10 + index}
        gold = gold.format(**words)
        right = bool(ease[index] + noise[index] < skill)
        unscored = index % 97 == 96
        outcome, reason = ("correct", "") if right else WRONG[int(ease[index] * 1000) % len(WRONG)]
        if unscored:
            outcome, reason = "gold_error", "The gold itself fails in DuckDB, so the item is not scored."
        sql = gold if right else gold.replace("COUNT(*)", "SUM(total)").replace("DESC", "ASC").replace(">", ">=")
        lucky = right and (index * 7919) % 100 < luck * 100
        items.append(
            {
                "id": f"q{index:05d}",
                "question": question.format(**words),
                "context": f"CREATE TABLE {table} (id INT, owner_id INT, {group} TEXT, {value} REAL);\n"
                f"CREATE TABLE owners (id INT, name TEXT);\nINSERT INTO owners VALUES (1, 'Ada'), (2, 'Bo');",
                "gold_sql": gold,
                "completion": f"```sql\n{sql}\n```" if index % 5 == 0 else sql,
                "sql": sql,
                "execution_match": None if unscored else right,
                "suite_match": None if unscored else right and not lucky,
                "suite_witness": 2 if lucky else None,
                "string_match": right and index % 3 == 0,
                "exact_match": right and index % 2 == 0,
                "structural_match": right,
                "outcome": outcome,
                "reason": reason,
                "prompt_tokens": 150 + 7 * (index % 40),
                "output_tokens": 20 + index % 30,
                "execute_seconds": 0.001,
                "match_default": None if unscored else right,
                "match_strict": None if unscored else right and index % 10 != 0,
                "match_lenient": None if unscored else right or index % 15 == 0,
                "match_bird": None if unscored else right or index % 20 == 0,
                "match_test_suite": None if unscored else right,
                "cluster": database,
                "tags": [("complexity", complexity)],
                **_shown(group, outcome, lucky),
            }
        )
    return items


def _shown(group: str, outcome: str, lucky: bool) -> dict[str, str]:
    """Tables where two answers differ, the witness of a lucky match; cells are text, unmatched rows come first."""
    ran = outcome in ("correct", "wrong_values", "wrong_row_count")
    gold = {"columns": [group, "n"], "rows": [["b", "2"], ["a", "1"]], "total": 2, "only": 1}
    answer = gold | {"rows": [["b", "3"], ["a", "1"]]}
    case = {"witness": 2, "inserts": f"INSERT INTO t VALUES ('{group}', NULL);", "gold": gold, "answer": answer}
    differs = ran and outcome != "correct"
    return {
        "answer_digest": f"{outcome:0<16.16}" if ran else "",
        "table": json.dumps(answer) if differs else "",
        "gold_table": json.dumps(gold) if differs else "",
        "witness_case": json.dumps(case) if lucky else "",
    }


def make_facts(run_id: str, model: str, **changes) -> dict:
    facts = {
        "id": run_id,
        "model": model,
        "name": "pocket",
        "training": None if model == "base" else TRAINING,
        "benchmark": {"name": "pocket", "split": "test", "n": 300, "digest": "d" * 16, "dialects": ["mysql"]},
        "digests": {"prompt": "p" * 16},
        "decoding": {"max_new_tokens": 256, "temperature": 0.0, "batch_size": 64},
        "score": {"tolerance": 1e-6, "suite": True},
        "machine": MACHINE,
        "generator": {"backend": "transformers", "dtype": "bfloat16", "batch_size": 64},
        "timings": {"phases": {"load": 4.1, "generate": 8.2, "score": 3.3, "store": 0.2}, "speed": SPEED},
        "experiment": {"model": {"name": "pocket"}},
    }
    return facts | changes


def write_run(folder: Path, facts: dict, items: list[dict]) -> Path:
    """Write run.json and items.parquet under `folder`/<id> as the store does, with any further columns; the folder."""
    run = folder / facts["id"]
    run.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(items), run / "items.parquet")
    digests = facts["digests"] | {"items": hashlib.sha256((run / "items.parquet").read_bytes()).hexdigest()}
    (run / "run.json").write_text(json.dumps(facts | {"format": 1, "digests": digests}), encoding="utf-8")
    return run


def make_training(folder: Path, n: int = 300) -> list[Path]:
    """A base and three checkpoints, the last two hardly different."""
    plan = (("base", 0.12, 1), ("checkpoint-60", 0.45, 2), ("checkpoint-120", 0.58, 3), ("checkpoint-180", 0.59, 4))
    return [
        write_run(folder, make_facts(f"run-{model}", model), make_items(n, skill, seed)) for model, skill, seed in plan
    ]
