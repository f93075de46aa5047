"""BIRD's evaluator, as llama-text2sql-eval ships it, on one predictions file; run by `peers.py` in a venv of its own.

python peer_bird.py TASKS FOLDER OUT      (TASKS: [{id, db_id, gold, sql}], FOLDER: db_id/db_id.sqlite)
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from llama_text2sql_eval import text2sql_eval as bird


def main(tasks: Path, folder: Path, out: Path) -> None:
    """Write {seconds, verdicts: {id: bool}}."""
    rows = json.loads(tasks.read_text())
    places = [str(folder / row["db_id"] / f"{row['db_id']}.sqlite") for row in rows]
    bird.exec_result = []  # the module's main block makes it, its functions append to it
    # every miss is printed, by worker processes
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    begun = time.perf_counter()
    bird.run_sqls_parallel([(row["sql"], row["gold"]) for row in rows], places, num_cpus=1)
    found = bird.sort_results(bird.exec_result)
    seconds = time.perf_counter() - begun
    verdicts = {rows[one["sql_idx"]]["id"]: bool(one["res"]) for one in found}
    out.write_text(json.dumps({"seconds": seconds, "verdicts": verdicts}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
