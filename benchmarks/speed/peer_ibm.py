"""IBM's text2sql-eval-toolkit on one predictions file; run by `peers.py` in a venv of the toolkit's own.

    python peer_ibm.py TASKS FOLDER OUT      (TASKS: [{id, db_id, gold, sql}], FOLDER: db_id/db_id.sqlite)

Both of its steps as a user runs them: execution into data frames, then evaluation without a judge model.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from text2sql_eval_toolkit.evaluation.evaluation_tools import evaluate_predictions
from text2sql_eval_toolkit.execution.execution_tools import sqlite_run_execution_async


def main(tasks: Path, folder: Path, out: Path) -> None:
    """Write {seconds, verdicts: {id: bool}, bird: {id: bool}}."""
    rows = json.loads(tasks.read_text())
    records = [
        {
            "id": row["id"],
            "db_id": row["db_id"],
            "sql": row["gold"],
            "predictions": {"m": {"predicted_sql": row["sql"]}},
        }
        for row in rows
    ]
    work = out.with_suffix(".work.json")
    work.write_text(json.dumps(records))
    begun = time.perf_counter()
    asyncio.run(sqlite_run_execution_async(str(folder.resolve()), str(work)))
    data, _ = evaluate_predictions(str(work))
    seconds = time.perf_counter() - begun
    found = {record["id"]: record["predictions"]["m"]["evaluation"] for record in data}
    out.write_text(
        json.dumps(
            {
                "seconds": seconds,
                "verdicts": {name: bool(one.get("execution_accuracy")) for name, one in found.items()},
                "bird": {name: bool(one.get("bird_execution_accuracy")) for name, one in found.items()},
            }
        )
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
