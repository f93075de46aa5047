r"""Stored runs as JUnit XML, as continuous-integration servers show it: a suite a run, a test case a question.

A wrong answer is a failed case with question, gold and answer; a question whose gold could not be run is skipped. With
a mark, one more case a run says whether execution accuracy reaches it. Characters that XML 1.0 cannot hold stand as
`\x00`, so the file is well-formed whatever a model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

from harness import units
from harness.errors import StoreError
from harness.records import Run
from harness.scratch import write_whole
from harness.store import load_items

_COLUMNS: tuple[str, ...] = ("id", "question", "gold_sql", "sql", "completion", "outcome", "reason", "execution_match")
_COLUMNS += ("execute_seconds", "cluster", "sample")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 2000
"""Characters of a statement or answer that are written."""
_NAME = 160


def write_junit(runs: Iterable[Run], path: Path, mark: float | None = None) -> None:
    """Write the file whole; a StoreError where it cannot be written or a run cannot be read."""
    root = Tree.Element("testsuites", name="harness")
    for run in runs:
        root.append(_suite(run, mark))
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(suite.get(name, 0)) for suite in root)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, Tree.tostring(root, encoding="utf-8", xml_declaration=True))
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror or error}); name another file.") from None


def xml_text(text: str, longest: int | None = None) -> str:
    """Text as XML 1.0 can hold it, cut where it is too long."""
    shown = text if longest is None or len(text) <= longest else f"{text[:longest]} …"
    return _FORBIDDEN.sub(lambda found: f"\\x{ord(found[0]):02x}", shown)


def _suite(run: Run, mark: float | None) -> Tree.Element:
    totals = run.facts.get("totals") or {}
    benchmark = str((run.facts.get("benchmark") or {}).get("name") or run.facts.get("name") or "benchmark")
    suite = Tree.Element("testsuite", name=xml_text(f"{benchmark}: {run.model}"))
    properties = Tree.SubElement(suite, "properties")
    for name in ("execution_accuracy", "execution_accuracy_ci", "exact_match", "n", "scored", "unscorable"):
        if totals.get(name) is not None:
            Tree.SubElement(properties, "property", name=name, value=str(totals[name]))
    seconds = 0.0
    items = load_items(run)
    for row in items.select([name for name in _COLUMNS if name in items.column_names]).to_pylist():
        seconds += row["execute_seconds"] or 0.0
        suite.append(_case(row, f"{benchmark}.{run.model}"))
    if mark is not None:
        suite.append(_mark(totals, mark, f"{benchmark}.{run.model}"))
    counts = {"tests": "testcase", "failures": "testcase/failure", "skipped": "testcase/skipped"}
    for name, kind in counts.items():
        suite.set(name, str(len(suite.findall(kind))))
    suite.set("errors", "0")
    suite.set("time", f"{seconds:.3f}")
    started = (run.facts.get("timings") or {}).get("started")
    if started:
        suite.set("timestamp", xml_text(str(started)))
    return suite


def _case(row: Mapping[str, Any], group: str) -> Tree.Element:
    question = " ".join(str(row["question"]).split())
    sample = f" (answer {row['sample'] + 1})" if row.get("sample") else ""
    case = Tree.Element(
        "testcase",
        classname=xml_text(f"{group}.{row['cluster']}"),
        name=xml_text(f"{row['id']}{sample}: {question}", _NAME),
        time=f"{row['execute_seconds'] or 0.0:.3f}",
    )
    if row["execution_match"] is None:
        Tree.SubElement(case, "skipped", message=xml_text(f"{row['outcome']}: {row['reason']}", _LONGEST))
    elif not row["execution_match"]:
        failure = Tree.SubElement(
            case, "failure", type=xml_text(row["outcome"]), message=xml_text(row["reason"] or row["outcome"], _LONGEST)
        )
        answer = row["sql"] or row["completion"]
        parts = (("Question", row["question"]), ("Gold", row["gold_sql"]), ("Answer", answer))
        failure.text = "\n".join(f"{name}: {xml_text(str(text), _LONGEST)}" for name, text in parts)
    return case


def _mark(totals: Mapping[str, Any], mark: float, group: str) -> Tree.Element:
    case = Tree.Element(
        "testcase", classname=xml_text(group), name=f"execution accuracy of at least {mark:g}", time="0"
    )
    reached = totals.get("execution_accuracy")
    if reached is None or reached < mark:
        words = f"execution accuracy is {units.percent(reached, 2)}, below {units.percent(mark, 2)}"
        Tree.SubElement(case, "failure", type="fail_under", message=words)
    return case
