"""`harness score` on one predictions file, cold and then with the golds known; run by `peers.py`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import published  # noqa: E402

from harness.scoring import score  # noqa: E402


def main(tasks: Path, folder: Path, out: Path) -> None:
    """Write {seconds, warm_seconds, verdicts and one dict for each rule}: worker start and copying files included."""
    rows = json.loads(tasks.read_text())
    items = published.items(((row["id"], row["db_id"], "", row["gold"]) for row in rows), folder)
    given = {row["id"]: row["sql"] for row in rows}
    with tempfile.TemporaryDirectory() as cache:
        # the same predictions twice: their verdicts would be remembered, and nothing measured
        settings = replace(published.settings(1, cache), reuse_verdicts=False)
        begun = time.perf_counter()
        found = list(score(items, given, settings))
        cold = time.perf_counter() - begun
        list(score(items, given, settings))
        warm = time.perf_counter() - begun - cold
    facts = {"seconds": cold, "warm_seconds": warm, "verdicts": {v.id: bool(v.matches["default"]) for v in found}}
    rules = {rule: {v.id: bool(v.matches[rule]) for v in found} for rule in ("bird", "test_suite")}
    out.write_text(json.dumps(facts | rules))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
