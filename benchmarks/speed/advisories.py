"""Known vulnerabilities of what constraints.txt names, by an advisory database that lies here: no service is asked.

    git clone https://github.com/pypa/advisory-database
    python -m benchmarks.speed.advisories advisory-database > reports/advisories.md

Reads OSV records in YAML (folder `vulns/`). A version is affected where a record lists it, or where it lies in one of
its ranges. The database's own date is that of its newest record: what was published later is not known to it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Checked:
    """One pinned package."""

    name: str
    version: str
    records: int
    """Records about the package, whatever the version."""
    found: tuple[str, ...]
    """Those that hold for the pinned version."""


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("database", type=Path)
    folder = options.parse_args().database / "vulns"
    checked = [check(name, version, folder) for name, version in pins()]
    hit = [one for one in checked if one.found]
    known = [one for one in checked if one.records]
    records, newest = extent(folder)
    print("# Known vulnerabilities of the dependencies\n")
    print("Written by `python -m benchmarks.speed.advisories` from a copy of the Python Packaging Advisory Database:")
    print(f"{records:,} records, the newest changed on {newest}. **What was published later is not known to it**, and")
    print("a package without records may have had none looked for.\n")
    print(f"{len(checked)} pinned packages, {len(known)} of which the database has records for; {len(hit)} affected.\n")
    print("| package | version | records | that hold for this version |\n|---|---|---|---|")
    for one in hit + [one for one in known if not one.found]:
        print(f"| {one.name} | {one.version} | {one.records} | {', '.join(one.found) or 'none'} |")


def pins() -> list[tuple[str, str]]:
    """Name and version of every pinned package."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return [(name, version) for name, _, version in (line.partition("==") for line in lines) if version]


def extent(folder: Path) -> tuple[int, str]:
    """How many records there are, and the newest day in any."""
    days, count = ["never"], 0
    for path in folder.rglob("*.yaml"):
        count += 1
        days += re.findall(r"^modified: '?\"?(\d{4}-\d\d-\d\d)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return count, max(day for day in days if day != "never") if len(days) > 1 else "never"


def check(name: str, version: str, folder: Path) -> Checked:
    """What the database says about one version."""
    records = list(records_of(name, folder))
    return Checked(name, version, len(records), tuple(str(one["id"]) for one in records if affects(one, name, version)))


def records_of(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """The records of a package that are not withdrawn."""
    for path in sorted((folder / plain(name)).glob("*.yaml")):
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "withdrawn" not in record:
            yield record


def affects(record: dict[str, Any], name: str, version: str) -> bool:
    """Whether a version is listed, or lies in a range; a version that reads as none counts as affected."""
    for affected in record.get("affected", ()):
        if plain(affected["package"]["name"]) != plain(name):
            continue
        if version in map(str, affected.get("versions", ())):
            return True
        for found in affected.get("ranges", ()):
            if found["type"] == "ECOSYSTEM" and _inside(found["events"], version):
                return True
    return False


def _inside(events: list[dict[str, str]], version: str) -> bool:
    try:
        own, inside = Version(version), False
        for event in events:
            ((kind, text),) = event.items()
            edge = Version(str(text))
            if kind == "introduced":
                inside = inside or own >= edge
            elif kind == "fixed":
                inside = inside and own < edge
            elif kind == "last_affected":
                inside = inside and own <= edge
    except (InvalidVersion, ValueError):
        return True
    return inside


def plain(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
