"""Other evaluators beside `harness score`, on the same predictions in the same run; writes reports/peers.md.

    python benchmarks/speed/peers.py [../shared/data] [--out reports/peers.md] [--limit N]

The folder has spider/ and predictions/*.jsonl. Each peer is installed from the package registry into a virtual
environment of its own under .cache/peers, and runs, as the harness does, on one core. What cannot be installed or run
is said in the table. The databases are copied first: some peers open them for writing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from harness.machine import machine  # noqa: E402

CACHE = ROOT / ".cache" / "peers"
SECONDS = 1800


@dataclass(frozen=True)
class Peer:
    """One evaluator."""

    name: str
    package: str
    """What pip installs, with its version; empty for the harness itself."""
    script: str
    note: str


PEERS = (
    Peer("harness", "", "peer_harness.py", "DuckDB; five rules, exact match, outcomes and reasons; SQL contained"),
    Peer("BIRD's evaluator", "llama-text2sql-eval==0.0.4", "peer_bird.py", "SQLite; sets of rows; a thread's deadline"),
    Peer(
        "IBM's toolkit", "text2sql-eval-toolkit==1.6.0", "peer_ibm.py", "SQLite, pandas; 3 rules, 5 kinds of text match"
    ),
)


def main() -> None:
    """Run every peer on every system's predictions and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "peers.md")
    parser.add_argument("--limit", type=int, default=0, help="items of each system (0: all)")
    chosen = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    golds = [json.loads(line) for line in (chosen.data / "spider" / "dev.jsonl").open(encoding="utf-8")]
    golds = golds[: chosen.limit or None]
    folder = _copied(chosen.data / "spider" / "database", {row["db_id"] for row in golds})
    pythons = {peer.name: _installed(peer) for peer in PEERS}
    parts: list[str] = []
    for file in sorted((chosen.data / "predictions").glob("*.jsonl")):
        rows = {row["id"]: row for row in map(json.loads, file.open(encoding="utf-8"))}
        tasks = [
            {"id": row["id"], "db_id": row["db_id"], "gold": row["query"], "sql": rows[row["id"]]["sql"]}
            for row in golds
        ]
        official = {row["id"]: bool(rows[row["id"]]["official_ex"]) for row in golds}
        found = {peer.name: _ran(peer, pythons[peer.name], tasks, folder) for peer in PEERS}
        parts += _table(file.stem, found, official)
    chosen.out.write_text("\n".join([*_head(), *parts]) + "\n", encoding="utf-8")
    print(chosen.out)


def _copied(source: Path, names: set[str]) -> Path:
    """The databases in a folder of our own."""
    folder = CACHE / "databases"
    for name in sorted(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name / f"{name}.sqlite", folder / name / f"{name}.sqlite")
    return folder


def _installed(peer: Peer) -> str:
    """The interpreter that has the peer; else, behind a `!`, why there is none."""
    if not peer.package:
        return sys.executable
    home = CACHE / peer.package.replace("==", "-")
    python = home / "bin" / "python"
    stamp = home / "installed"
    if not stamp.exists():
        venv.create(home, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-input", peer.package]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            return "!cannot be installed: " + _last_line(done.stderr)
        stamp.touch()
    return str(python)


def _ran(peer: Peer, python: str, tasks: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What the peer's script wrote, or {"error"}."""
    if python.startswith("!"):
        return {"error": python[1:]}
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        given, out = Path(place, "tasks.json"), Path(place, "found.json")
        given.write_text(json.dumps(tasks))
        command = [python, str(HERE / peer.script), str(given), str(folder), str(out)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=SECONDS, preexec_fn=_one_core, cwd=place
            )
        except subprocess.TimeoutExpired:
            return {"error": f"did not end within {SECONDS} s"}
        if done.returncode or not out.exists():
            return {"error": "cannot be run: " + _last_line(done.stderr)}
        return dict(json.loads(out.read_text()))


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:200]


def _head() -> list[str]:
    here, load = machine(), os.getloadavg()[0]
    return [
        "# Beside other evaluators",
        "",
        "Made by `python benchmarks/speed/peers.py ../shared/data`: the same predictions, the same run, one core each,",
        "every peer from the package registry in an environment of its own. Seconds are of its own work without the",
        "imports; the harness's hold the start of its worker and the copying of the SQLite files into DuckDB.",
        "*Agrees with official*: with the verdict of Spider's test-suite evaluator that came with the predictions.",
        "*Agrees with the harness*: a peer's execution accuracy with the rule `default`, BIRD's with the rule `bird`.",
        f"Measured on {here.cpu}, {here.cpu_count} cores, load {load:.1f} at the end (1 is this run), "
        f"Python {platform.python_version()}, duckdb {version('duckdb')}.",
    ]


def _table(system: str, found: dict[str, dict[str, Any]], official: dict[str, bool]) -> list[str]:
    lines = ["", f"## {system}, {len(official):,} questions of Spider dev", ""]
    lines.append(
        "| evaluator | items/s | seconds | right | agrees with official | agrees with the harness | what it does |"
    )
    lines.append("|---|---|---|---|---|---|---|")
    ours = found["harness"]
    for peer in PEERS:
        facts = found[peer.name]
        title = f"{peer.name} ({peer.package.replace('==', ' ')})" if peer.package else peer.name
        if "error" in facts:
            lines.append(f"| {title} | | | | | | {facts['error']} |")
            continue
        judged = [(title, facts["verdicts"], "default", peer.note)]
        if peer.package and "bird" in facts:
            judged.append((f"{title}, its BIRD metric", facts["bird"], "bird", "the same run"))
        elif "bird" in peer.script:
            judged = [(title, facts["verdicts"], "bird", peer.note)]
        for name, verdicts, rule, note in judged:
            reference = None if not peer.package else ours.get("verdicts" if rule == "default" else rule)
            cells = [_rate(facts), f"{facts['seconds']:.1f}", *_shares(verdicts, official, reference), note]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if "warm_seconds" in facts:
            warm = len(official) / facts["warm_seconds"]
            lines.append(
                f"| harness, golds known | {warm:.0f} | {facts['warm_seconds']:.1f} | | | | a second checkpoint |"
            )
            share = _shares(facts["test_suite"], official, None)
            lines.append(f"| harness, rule `test_suite` | | | {share[0]} | {share[1]} | | the same run |")
    lines.append("| Spider's test-suite evaluator | 320 | 3.2 | | 100.0 % | | measured elsewhere, one core: SQLite |")
    return lines


def _rate(facts: dict[str, Any]) -> str:
    return f"{len(facts['verdicts']) / facts['seconds']:.0f}"


def _shares(verdicts: dict[str, bool], official: dict[str, bool], ours: dict[str, bool] | None) -> list[str]:
    n = len(official)
    right = sum(verdicts.get(name, False) for name in official)
    agreed = sum(verdicts.get(name, False) == wanted for name, wanted in official.items())
    same = (
        "" if ours is None else f"{100 * sum(verdicts.get(name, False) == ours[name] for name in official) / n:.1f} %"
    )
    return [f"{100 * right / n:.1f} %", f"{100 * agreed / n:.1f} %", same]


if __name__ == "__main__":
    main()
