"""Spider, and two published systems' answers to its dev set: `../shared/data` by the checkout, or $SHARED_DATA."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from harness.records import Database, Item
from harness.scoring import ScoreSettings

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
SYSTEMS = ("graphix_t5", "dinsql_codex")
DIALECTS = ("sqlite", "mysql")


def settings(workers: int = 1, cache_dir: str = "") -> ScoreSettings:
    """How Spider is scored."""
    return ScoreSettings(dialects=DIALECTS, workers=workers, cache_dir=cache_dir)


def lines(name: str) -> Iterator[dict[str, object]]:
    """Rows of a file under the data folder."""
    path = DATA / name
    if not path.is_file():
        raise SystemExit(f"{path} is not there: put the public data sets beside the checkout, or set SHARED_DATA.")
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def spider(split: str = "dev") -> list[Item]:
    """The items of a split."""
    keys: dict[Path, str] = {}
    items = []
    for row in lines(f"spider/{split}.jsonl"):
        path = DATA / "spider" / "database" / str(row["db_id"]) / f"{row['db_id']}.sqlite"
        if path not in keys:
            keys[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        items.append(
            Item(
                id=str(row["id"]),
                question=str(row["question"]),
                context="",
                golds=(str(row["query"]),),
                database=Database(key=keys[path], path=str(path)),
                cluster=str(row["db_id"]),
            )
        )
    return items


def predictions(system: str) -> dict[str, dict[str, object]]:
    """A system's rows by id: `sql`, `official_ex`."""
    return {str(row["id"]): row for row in lines(f"predictions/{system}.jsonl")}
