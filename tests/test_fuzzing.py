"""Every fuzz target on its seeds, on what fuzzing once found, and on a few drawn inputs."""

from __future__ import annotations

import fuzzing
import pytest


@pytest.mark.parametrize("name", sorted(fuzzing.TARGETS))
def test_a_target_holds_on_its_seeds_on_kept_findings_and_on_drawn_inputs(name):
    target, seeds = fuzzing.TARGETS[name]
    for data in (*seeds, *(path.read_bytes() for path in sorted(fuzzing.KEPT.glob(f"{name}-*"))), b"", b"\0"):
        target(data)
    fuzzing.drawn(target, seeds, seconds=2.0, examples=40)
