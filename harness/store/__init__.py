"""Runs on disk: `run.json` and `items.parquet` a folder, written once, read back through Arrow.

`run.json` (format 1): id, model, name (of the experiment), experiment (its whole file), benchmark {name, split, n,
digest, dialects, overlap}, digests {inputs, benchmark, prompt, model, adapter, items}, decoding, score, generator (what
answered), training (of an adapter), machine, commit, totals (see `harness.evaluate.totals`), timings {started, phases
{load, generate, score, ...: seconds}, speed (the fields of `records.Speed`)}. What may differ between two calls with
the same inputs lies in `timings` and, a row an item, in `execute_seconds`.
"""

from harness.store.folder import FORMAT, ITEMS_FILE, RUN_FILE, RunFolder, file_digest, write_run
from harness.store.read import (
    digest_of,
    find_run,
    is_finished,
    items_parquet,
    list_runs,
    load_items,
    read_run,
    run_id,
)
from harness.store.rows import SCHEMA, item_row

__all__ = [
    "FORMAT",
    "ITEMS_FILE",
    "RUN_FILE",
    "SCHEMA",
    "RunFolder",
    "digest_of",
    "file_digest",
    "find_run",
    "is_finished",
    "item_row",
    "items_parquet",
    "list_runs",
    "load_items",
    "read_run",
    "run_id",
    "write_run",
]
