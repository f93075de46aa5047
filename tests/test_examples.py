"""The notebook runs, and shows what it is stored with."""

from __future__ import annotations

import json
from pathlib import Path

import notebooks

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "compare.ipynb"


def test_the_notebook_runs_and_shows_what_it_is_stored_with():
    stored = [cell["outputs"] for cell in notebooks.code_cells(json.loads(NOTEBOOK.read_text(encoding="utf-8")))]
    assert len(stored) >= 5
    assert any("text/html" in output.get("data", {}) for outputs in stored for output in outputs)
    assert notebooks.run(NOTEBOOK) == stored, "run `python tests/notebooks.py examples/compare.ipynb`"


def test_the_notebook_is_a_plain_one():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    for cell in notebook["cells"]:
        assert cell["id"]
        assert not any(line.startswith(("%", "!")) for line in cell["source"])
