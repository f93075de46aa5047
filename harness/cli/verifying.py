"""`harness verify`: a stored run held against itself and its inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from harness.cli.output import emit, say
from harness.config import parse_overrides
from harness.evaluate.verify import verify as verify_run
from harness.store import find_run


def verify(name: str, overrides: Sequence[str], sample: int, seed: int) -> int:
    """Check a run and print what is the same, what differs and what could not be seen; 1 where something differs."""
    run = find_run(name)
    found = verify_run(run, parse_overrides(overrides), sample=sample, seed=seed)
    for check in found.checks:
        say(f"{check.name}: {check.state}{f' ({check.words})' if check.words else ''}")
    for difference in found.differences:
        say(f"  {difference.id}: {difference.field} is {difference.stored!r}, judged again {difference.now!r}")
    say(f"{run.id} {'holds' if found.ok else 'differs from what it was made of'}.")
    emit(
        {
            "run": run.id,
            "ok": found.ok,
            "checks": [dataclasses.asdict(check) for check in found.checks],
            "judged_again": found.judged_again,
            "differences": [dataclasses.asdict(difference) for difference in found.differences],
        }
    )
    return 0 if found.ok else 1
