"""How far off a plan may be: what was measured over what was planned, phase by phase, wherever it was measured.

`reports/plan.md` lists the measurements; `benchmarks/speed/plan_table.py` computes these figures from them, and a test
holds the two together. Among the engine's are predictions for a machine by another one's constants.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.evaluate.plan import GPUS, Backend, Gpu, Plan

SPREAD: Mapping[str, tuple[float, float]] = {
    "engine prefill": (0.97, 1.04),
    "engine decode": (0.86, 1.29),
    "transformers answers": (0.69, 1.24),
    "start": (0.9, 1.09),
    "load": (0.62, 1.06),
    "score": (0.52, 1.85),
    "once": (0.51, 1.77),
    "suites": (0.66, 1.75),
    "cpu start": (0.98, 1.0),
    "cpu load": (0.54, 2.06),
    "cpu prefill": (0.97, 1.04),
    "cpu decode": (0.81, 1.0),
}
"""Part of an evaluation -> least and most that was measured over what was planned."""


def between(found: Plan, gpu: Gpu, backend: Backend) -> tuple[float, float]:
    """Wall seconds, least and most: every phase at once as far off as it ever was."""
    on_cpu = gpu is GPUS["CPU"]
    device = "cpu " if on_cpu else ""
    parts = {
        f"{device}start": found.start,
        f"{device}load": found.load,
        "once": found.once,
        "suites": found.suites,
        "score": found.score,
    }
    if on_cpu or backend == "engine":
        parts |= {f"{device or 'engine '}prefill": found.prefill, f"{device or 'engine '}decode": found.decode}
    else:
        parts["transformers answers"] = found.prefill + found.decode
    least, most = (sum(seconds * SPREAD[part][end] for part, seconds in parts.items()) for end in (0, 1))
    return least, most


def known_by(name: str, gpu: Gpu) -> str:
    """Where the figures of a device, named so by the user, come from."""
    if gpu.measured:
        return f"{name} was measured: {gpu.measured}."
    return f"{name} is known by its datasheet alone: the range is that of an H100 and an H200, and untested on it."
