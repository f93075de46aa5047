"""Reports: views over stored runs, as one HTML page, a Markdown and a JSON summary, a leaderboard, a terminal table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.comparison.loaded import Answers
from harness.errors import StoreError
from harness.records import Run
from harness.report.data import build
from harness.report.page import page
from harness.report.summary import summary_json, summary_markdown
from harness.scratch import write_whole
from harness.store import ITEMS_FILE, items_parquet

__all__ = ["report"]


def report(runs: Sequence[Run | Answers | Path | str], out: str | Path, *, title: str | None = None) -> Path:
    """Write index.html, summary.md, summary.json and items.parquet into the folder `out`; the page's path.

    Runs are folders, ids or records, in the order the report shows them (the base first). The same runs give the same
    bytes; each file is written under a temporary name and renamed.
    """
    data = build(runs, title)
    folder = Path(out)
    texts = {"index.html": page(data), "summary.md": summary_markdown(data), "summary.json": summary_json(data)}
    files = {name: text.encode("utf-8", "replace") for name, text in texts.items()}
    files[ITEMS_FILE] = items_parquet([row.run for row in data.rows])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written ({error.strerror}); free space or name another folder.") from None
    return folder / "index.html"
