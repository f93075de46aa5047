"""Has it become slower? A run against the last one of the same machine, beyond the noise that was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from harness.bench.figures import spread

NOISE_FLOOR = 0.03
"""Least share by which two runs may differ and still be alike."""
TIMES_NOISE = 3.0
"""So many times the noise a figure may fall before it counts as slower."""
REMEMBERED = 8
"""Stored runs whose medians tell how much whole runs differ."""


def compare(results: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each figure that the last of `runs` (oldest first) has too: change, noise, and whether it is slower.

    Noise: the largest of the spread of the repeats in both runs, that of the medians of the last runs, and
    NOISE_FLOOR. Rates alone are compared: more is better.
    """
    if not runs:
        return []
    before = {figure["name"]: figure for figure in runs[-1].get("results", ())}
    found = []
    for figure in results:
        old = before.get(figure["name"])
        if old is None or not old.get("value") or not figure.get("value"):
            continue
        medians = [
            stored["value"]
            for run in runs[-REMEMBERED:]
            for stored in run.get("results", ())
            if stored["name"] == figure["name"] and stored.get("value")
        ]
        noise = max(NOISE_FLOOR, spread(figure.get("values", ())), spread(old.get("values", ())), _between(medians))
        change = figure["value"] / old["value"] - 1
        found.append(
            {
                "name": figure["name"],
                "before": old["value"],
                "now": figure["value"],
                "change": change,
                "noise": noise,
                "slower": change < -TIMES_NOISE * noise,
                "last": runs[-1].get("at", ""),
            }
        )
    return found


def side_by_side(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Return figure -> machine -> median; machines are never averaged, a figure one lacks is None there."""
    machines = list(dict.fromkeys(run["machine"]["name"] for run in runs))
    table: dict[str, dict[str, float | None]] = {}
    for run in runs:
        for figure in run.get("results", ()):
            row = table.setdefault(f"{figure['name']}, {figure['unit']}", dict.fromkeys(machines))
            row[run["machine"]["name"]] = figure.get("value")
    return table


def _between(medians: Sequence[float]) -> float:
    """Relative deviation of whole runs from each other; 0 for fewer than three."""
    return statistics.stdev(medians) / statistics.mean(medians) if len(medians) > 2 else 0.0
