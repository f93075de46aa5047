"""`reports/README.md`: the leaderboard over published reports, read from their summary.json alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import units
from harness.errors import StoreError
from harness.report.summary import FORMAT, escaped, markdown
from harness.report.tables import Cell, Table
from harness.scratch import write_whole

BEGIN, END = "<!-- leaderboard: written by `harness report` -->", "<!-- end of leaderboard -->"
"""What stands between these lines is replaced; the rest of the file is its authors'."""

_HEAD = (
    "# Leaderboard\n\nPublished runs under `published/`, best first within each benchmark and its exact questions.\n\n"
)


def write_leaderboard(published: Path, out: Path) -> Path:
    """Write the leaderboard of every `published/*/summary.json` into `out`, keeping text around the marked part."""
    text = f"{BEGIN}\n\n{leaderboard(published, out.parent)}\n{END}"
    old = out.read_text(encoding="utf-8") if out.is_file() else f"{_HEAD}{BEGIN}\n{END}\n"
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    new = f"{before}{text}{after}" if begin and end else f"{old.rstrip()}\n\n{text}\n"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, new.encode())
    except OSError as error:
        raise StoreError(f"{out} cannot be written ({error.strerror}); free the place or name another file.") from None
    return out


def leaderboard(published: Path, base: Path) -> str:
    """The leaderboard as Markdown; links are relative to `base`."""
    entries = _entries(published)
    if not entries:
        return "Nothing is published yet: `harness report RUN... --out reports/published/NAME` makes an entry.\n"
    boards: dict[tuple[str, str], list[tuple[Path, Mapping[str, Any]]]] = {}
    for folder, run in entries:
        boards.setdefault((str(run["benchmark"]), str(run.get("benchmark_digest") or "")), []).append((folder, run))
    names = [name for name, _ in boards]
    parts = []
    for (name, digest), members in sorted(boards.items()):
        mark = f" ({digest[:8]})" if names.count(name) > 1 and digest else ""
        parts.append(f"## {name}{mark}\n\n{_board(members, base)}\n")
    parts.append(f"## Speed by machine\n\n{_machines(entries)}\n")
    return "\n".join(parts)


def _entries(published: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    entries: list[tuple[Path, Mapping[str, Any]]] = []
    for path in sorted(published.glob("*/summary.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            runs, number = document["runs"], int(document["format"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} cannot be read ({error!r}); write that report again.") from None
        if number > FORMAT:
            raise StoreError(f"{path} has format {number}, newer than {FORMAT}; read it with a newer harness.")
        unlike = document.get("unlike") or {}
        entries += [(path.parent, {**run, "unlike": unlike.get(run["benchmark"]) or ()}) for run in runs]
    return entries


def _board(members: Sequence[tuple[Path, Mapping[str, Any]]], base: Path) -> str:
    def order(entry: tuple[Path, Mapping[str, Any]]) -> tuple[float, str, str]:
        return -(entry[1].get("execution_accuracy") or 0.0), entry[0].name, str(entry[1]["run"])

    rows = []
    for folder, run in sorted(members, key=order):
        accuracy, low, high = (run.get(key) for key in ("execution_accuracy", "ci_low", "ci_high"))
        suite = (run.get("scores") or {}).get("suite") or {}
        rows.append(
            (
                Cell(str(run.get("label") or run["model"])),
                Cell(str(run.get("experiment") or units.NONE)),
                Cell(units.share(accuracy, low, high, int(run.get("scored") or 0)), kind="number"),
                Cell(units.percent(run.get("exact_match")), kind="number"),
                Cell(units.percent(suite.get("share")), kind="number"),
                Cell(units.rate(run.get("output_tokens_per_second")), kind="number"),
                Cell(str(run.get("machine") or units.NONE)),
                Cell(folder.name, href=folder.relative_to(base).as_posix() if folder.is_relative_to(base) else ""),
            )
        )
    columns = ("model", "experiment", "execution accuracy", "exact match", "suite", "output", "hardware", "report")
    text = markdown(Table(columns, tuple(rows)))
    for name, link in dict.fromkeys((row[-1].text, row[-1].href) for row in rows):
        if link:
            text = text.replace(f"| {name} |", f"| [{name}]({link}/) |")
    differing = dict.fromkeys((folder.name, field) for folder, run in members for field in run["unlike"])
    notes = [f"Not all runs of {name} were made alike: {escaped(field)}." for name, field in differing]
    return "\n\n".join([text, *notes])


def _machines(entries: Sequence[tuple[Path, Mapping[str, Any]]]) -> str:
    """Fastest generation and training seen on each machine, never an average over machines."""
    best: dict[str, dict[str, tuple[float, str]]] = {}
    for _, run in entries:
        machine = str(run.get("machine") or "")
        rates = {"output": run.get("output_tokens_per_second")}
        rates["training"] = (run.get("train") or {}).get("train_tokens_per_second")
        for name, rate in rates.items():
            found = best.setdefault(machine, {}).get(name)
            if machine and rate and (found is None or rate > found[0]):
                best[machine][name] = (float(rate), f"{run.get('label')}, {run['benchmark']}")
    rows = []
    for machine in sorted(name for name in best if name):
        cells = []
        for name in ("output", "training"):
            rate, who = best[machine].get(name, (None, ""))
            cells += [Cell(units.rate(rate), kind="number"), Cell(who or units.NONE)]
        rows.append((Cell(machine), *cells))
    return markdown(Table(("machine", "output", "by", "training", "by"), tuple(rows)))
