"""Finished runs read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import StoreError
from harness.records import Run
from harness.store.folder import FORMAT, ITEMS_FILE, PART_FILE, RUN_FILE, file_digest
from harness.store.rows import valid_text

RUNS = "reports/runs"


def digest_of(facts: Mapping[str, Any]) -> str:
    """Digest of a JSON-able table, whatever the order of its keys."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def run_id(experiment: str, model: str, inputs: str) -> str:
    """A readable id that the same inputs always get: experiment, model, and the head of the inputs' digest."""
    plain = (re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-.") or "run" for part in (experiment, model))
    return "-".join((*plain, inputs[:10]))


def is_finished(path: str | Path) -> bool:
    """True where a folder holds both files of a run."""
    return (Path(path) / RUN_FILE).is_file() and (Path(path) / ITEMS_FILE).is_file()


def read_run(path: str | Path) -> Run:
    """The run in a folder; a StoreError where it is unfinished, damaged or of a newer format."""
    folder = Path(path)
    file = folder / RUN_FILE
    if not file.is_file():
        unfinished = (folder / PART_FILE).exists() or (folder / ITEMS_FILE).exists()
        why = "is an unfinished run; run its command again to continue" if unfinished else "holds no run (no run.json)"
        raise StoreError(f"{folder} {why}; finished runs are folders with {RUN_FILE} and {ITEMS_FILE}.")
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        number = int(facts["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} is damaged ({error!r}); delete the folder and run the evaluation again.") from None
    if number > FORMAT:
        raise StoreError(f"{file} has format {number}, newer than {FORMAT}; read it with a newer harness.")
    return Run(id=str(facts.get("id", folder.name)), model=str(facts.get("model", "")), facts=facts, path=str(folder))


def load_items(run: Run | str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The items of a run as an Arrow table (all columns, or those named); checked against the run's digest."""
    record = run if isinstance(run, Run) else read_run(run)
    path = Path(record.path) / ITEMS_FILE
    try:
        if file_digest(path) != record.facts["digests"]["items"]:
            raise StoreError(f"{path} is not the file its {RUN_FILE} was written with; run the evaluation again.")
        return pq.read_table(path, columns=None if columns is None else list(columns))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{path} cannot be read ({error}); run the evaluation again.") from None


def list_runs(folder: str | Path = RUNS) -> list[Run]:
    """Finished runs under a folder, by name, checkpoint-60 before checkpoint-120; unfinished ones are left out."""
    base = Path(folder)
    if not base.is_dir():
        return []
    return [read_run(path) for path in sorted(base.iterdir(), key=_natural) if is_finished(path)]


def _natural(path: Path) -> list[tuple[str, int]]:
    """A name as words and numbers, so that numbers go by value."""
    return [(words, int(digits or 0)) for words, digits in re.findall(r"(\D*)(\d*)", path.name)]


def find_run(name: str, folder: str | Path = RUNS) -> Run:
    """A run by its folder, its id, or the one id that begins so; a StoreError names the candidates."""
    for path in (Path(name), Path(folder) / name):
        if (path / RUN_FILE).is_file():
            return read_run(path)
    near = [run for run in list_runs(folder) if run.id.startswith(name)]
    if len(near) == 1:
        return near[0]
    if Path(name).is_dir():
        return read_run(name)
    known = ", ".join(run.id for run in (near or list_runs(folder))[:8]) or "none yet; make one with `harness eval`"
    which = "several runs begin so" if near else "no run has this name"
    raise StoreError(f"'{name}': {which} (under {folder}: {known}).")


def items_parquet(runs: Sequence[Run]) -> bytes:
    """One Parquet file with every item of the runs, in the order given: columns `run` and `model`, then the items'.

    A column that an older run lacks is null there. The same runs give the same bytes.
    """
    tables = []
    for run in runs:
        table = load_items(run)
        for place, (name, value) in enumerate((("run", run.id), ("model", run.model))):
            column = pa.array([valid_text(value)] * table.num_rows, pa.string())
            # a column of that name is the items' own: it must not hide which run they are of
            table = table.drop_columns([name]) if name in table.column_names else table
            table = table.add_column(place, name, column)
        tables.append(table)
    out = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(tables, promote_options="permissive"), out, compression="zstd")
    content: bytes = out.getvalue().to_pybytes()
    return content
