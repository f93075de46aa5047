"""Every fuzz target on its seeds, on what fuzzing once found and reached, and on a few drawn inputs."""

from __future__ import annotations

import fuzzing
import pytest


@pytest.mark.parametrize("name", sorted(fuzzing.TARGETS))
def test_a_target_holds_on_its_seeds_on_what_fuzzing_kept_and_on_drawn_inputs(name):
    target, seeds = fuzzing.TARGETS[name]
    kept = fuzzing.kept(name)
    assert kept
    for data in (*seeds, *kept, b"", b"\0"):
        target(data)
    fuzzing.drawn(target, (*seeds, *kept), seconds=2.0, examples=40)
