"""The licences of what constraints.txt names, as the packages themselves state them: reports/licences.md.

python -m benchmarks.speed.licences > reports/licences.md
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHOWN = 60
"""Characters of a licence; some packages put the whole text there."""


def main() -> None:
    """Print the table."""
    pins = [line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line]
    print("# Licences of the dependencies\n")
    print("As each package states it in its own metadata; written by `make licences`, not legal advice.\n")
    print("| package | version | licence |\n|---|---|---|")
    for name, version in pins:
        print(f"| {name} | {version} | {licence(name)} |")


def licence(name: str) -> str:
    """The licence expression, else the classifiers, else the free text, of an installed package."""
    try:
        facts = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return "not installed here"
    expression = facts.get("License-Expression")
    if expression:
        return expression
    classifiers = [
        text.rpartition(" :: ")[2] for text in facts.get_all("Classifier") or [] if text.startswith("License")
    ]
    named = [text for text in classifiers if text != "OSI Approved"]
    text = ", ".join(named) or re.sub(r"\s+", " ", facts.get("License") or "").strip()
    return (text[:SHOWN] + " ...") if len(text) > SHOWN else (text or "not stated")


if __name__ == "__main__":
    main()
