"""Spider, and two published systems' answers to its dev set: `../shared/data` by the checkout, or $SHARED_DATA."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.records import Database, Item
from harness.scoring import ScoreSettings

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
SYSTEMS = ("graphix_t5", "dinsql_codex")
DIALECTS = ("sqlite", "mysql")


def settings(workers: int = 1, cache_dir: str = "") -> ScoreSettings:
    """How Spider is scored on its shipped rows."""
    return ScoreSettings(dialects=DIALECTS, workers=workers, cache_dir=cache_dir, suite=False)


def lines(name: str) -> Iterator[dict[str, object]]:
    """Rows of a file under the data folder."""
    path = DATA / name
    if not path.is_file():
        raise SystemExit(f"{path} is not there: put the public data sets beside the checkout, or set SHARED_DATA.")
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def spider(split: str = "dev") -> list[Item]:
    """The items of a split."""
    rows = lines(f"spider/{split}.jsonl")
    texts = ((str(row["id"]), str(row["db_id"]), str(row["question"]), str(row["query"])) for row in rows)
    return items(texts, DATA / "spider" / "database")


def items(rows: Iterable[tuple[str, str, str, str]], folder: Path) -> list[Item]:
    """Items from (id, database, question, gold); `folder` has the databases as NAME/NAME.sqlite."""
    keys: dict[Path, str] = {}
    found = []
    for name, database, question, gold in rows:
        path = folder / database / f"{database}.sqlite"
        if path not in keys:
            keys[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        base = Database(key=keys[path], path=str(path))
        found.append(Item(id=name, question=question, context="", golds=(gold,), database=base, cluster=database))
    return found


def predictions(system: str) -> dict[str, dict[str, object]]:
    """A system's rows by id: `sql`, `official_ex`."""
    return {str(row["id"]): row for row in lines(f"predictions/{system}.jsonl")}
