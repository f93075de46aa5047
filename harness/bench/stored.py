"""Benchmark runs on disk: one folder a machine, so that figures of unlike hardware never meet in one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.records import Machine
from harness.scratch import write_whole

FORMAT = 1
_IDENTITY = ("gpu", "gpu_count", "cpu", "cpu_count", "power_limit_watts")


def machine_folder(root: Path, machine: Machine) -> Path:
    """Return where runs of this hardware lie: its name, and the power limit where it has one."""
    name = machine.name
    if machine.power_limit_watts:
        name += f" {machine.power_limit_watts:.0f} W"
    return root / (re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "unknown")


def write(root: Path, machine: Machine, record: Mapping[str, Any]) -> Path:
    """Store a run {kind, subject, results, ...} and return its file; StoreError where the disk does not take it."""
    folder = machine_folder(root, machine)
    now = datetime.now(UTC)
    file = folder / f"{now.strftime('%Y%m%dT%H%M%S%f')[:18]}-{record['kind']}.json"
    whole = {"format": FORMAT, "at": now.isoformat(timespec="seconds"), **record}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise StoreError(f"{file} cannot be written ({error.strerror}); free space or set --store.") from error
    return file


def history(root: Path, machine: Machine, kind: str, subject: str) -> list[dict[str, Any]]:
    """Return the stored runs of this hardware, kind and subject, oldest first; unreadable files are left out."""
    return [
        run
        for run in _read_folder(machine_folder(root, machine))
        if run.get("kind") == kind and run.get("subject") == subject and _same(run.get("machine", {}), machine)
    ]


def latest(root: Path, kind: str = "") -> list[dict[str, Any]]:
    """Return the newest run of each machine, kind and subject, machine by machine."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        for run in _read_folder(folder):
            if not kind or run.get("kind") == kind:
                found[folder.name, str(run.get("kind")), str(run.get("subject"))] = run
    return list(found.values())


def _same(stored: Mapping[str, Any], machine: Machine) -> bool:
    return all(stored.get(name) == getattr(machine, name) for name in _IDENTITY)


def _read_folder(folder: Path) -> list[dict[str, Any]]:
    runs = []
    for file in sorted(folder.glob("*.json")):
        try:
            run = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(run, dict) and run.get("format") == FORMAT:
            runs.append(run)
    return runs
