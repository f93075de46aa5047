"""The training ladder: the guide's QLoRA step by step made faster, each rung exact or changed, on random weights.

    python benchmarks/speed/train_ladder.py --shape gemma-3-1b --out DIR       an H100: about four minutes
    python benchmarks/speed/train_ladder.py --shape tiny --out DIR             a CPU: the same code, under a minute

trl's SFTTrainer trains every rung on the same random token rows of 512 tokens, four a step (more in changed recipes).
Random weights are right for speed; losses and gradient norms of the first steps tell whether a rung trains the same
as the first. Dropout is off (drawn anew each micro-step, it would hide that), but for the rung that has it on.
A rung that fails is reported with its error; one that takes the process down is reported, and the rest goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from train_rungs import LOSS_TOLERANCE, NORM_TOLERANCE, RUNGS, select  # noqa: E402

RESULTS = "train_ladder.jsonl"


def main() -> None:
    """Run the rungs in a child process, another one where the first dies; then write table and JSON."""
    asked = _arguments()
    out = Path(asked.out)
    out.mkdir(parents=True, exist_ok=True)
    results = out / RESULTS
    if asked.child:
        _child(asked, results)
        return
    results.unlink(missing_ok=True)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(asked.cache).expanduser()))
    names = select(asked.rungs)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        while left := [name for name in names if name not in _done(results)]:
            command = [sys.executable, __file__, "--child", work, "--rungs", ",".join(left), "--out", str(out)]
            command += ["--shape", asked.shape, "--seconds", str(asked.seconds - (time.monotonic() - begun))]
            command += ["--precision", asked.precision] + ([] if asked.profile else ["--no-profile"])
            code = subprocess.run(command, check=False).returncode
            still = [name for name in names if name not in _done(results)]
            if code and still:
                _append(results, {"rung": still[0], "error": f"the process ended with status {code}"})
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    from ladder_table import table

    (out / "train_ladder.json").write_text(json.dumps(rows, indent=1) + "\n")
    text = table(rows)
    (out / "train_ladder.md").write_text(text)
    print(text, file=sys.stderr)
    print(json.dumps({"out": str(out), "rungs": len(rows), "failed": sum("error" in row for row in rows)}))


def _child(asked: argparse.Namespace, results: Path) -> None:
    from ladder_run import Ladder

    begun = time.monotonic()
    ladder = Ladder(asked.shape, Path(asked.child), asked.precision, asked.profile)
    if not _done(results):
        _append(results, {"rung": "machine", **ladder.machine()})
    first = next(
        (row["trace"] for row in _rows(results) if row.get("trace") and row["rung"] == next(iter(RUNGS))), None
    )
    for name in asked.rungs.split(","):
        spent = time.monotonic() - begun
        if spent + RUNGS[name].get("needs_seconds", 10) * (asked.shape != "tiny") > asked.seconds:
            _append(results, {"rung": name, "error": f"left out: {asked.seconds:.0f} s were up (--seconds)"})
            continue
        print(f"{spent:6.1f} s  {name}", file=sys.stderr, flush=True)
        row = ladder.run(name)
        if first is None and row.get("trace"):
            first = row["trace"]
        if first is not None and row.get("trace"):
            row["difference"] = _difference(row["trace"], first)
            row["same"] = row["difference"]["loss"] <= LOSS_TOLERANCE and row["difference"]["norm"] <= NORM_TOLERANCE
        _append(results, row)


def _difference(trace: list[list[float]], first: list[list[float]]) -> dict[str, float]:
    """Largest relative difference of losses and of gradient norms, step by step."""
    pairs = list(zip(trace, first, strict=False))
    return {
        name: max(abs(a[at] - b[at]) / max(abs(b[at]), 1e-12) for a, b in pairs)
        for at, name in enumerate(("loss", "norm"))
    }


def _rows(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []


def _done(results: Path) -> set[str]:
    return {row["rung"] for row in _rows(results)}


def _append(results: Path, row: dict[str, Any]) -> None:
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="gemma-3-1b", help="gemma-3-1b, gemma-3-270m, tiny")
    parser.add_argument("--out", required=True, help="folder of train_ladder.json, .jsonl (as it goes) and .md")
    parser.add_argument("--rungs", default="", help="names or numbers, by comma; default: all")
    parser.add_argument("--seconds", type=float, default=285.0, help="rungs that would begin too late are left out")
    parser.add_argument("--precision", default="nf4", help="nf4, or fp32: then the traces must agree far more closely")
    parser.add_argument("--cache", default="~/.cache/harness/inductor", help="torch.compile's cache, kept between runs")
    parser.add_argument("--no-profile", dest="profile", action="store_false", help="leave out the count of kernels")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
