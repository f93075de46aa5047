"""One measured figure: its repeats, their median and interval, and what made it doubtful."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

SCATTERED = 0.15
"""Spread of the middle half of the repeats, over their median, from which a figure is called scattered."""


def summarised(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figure {name, unit, values or value, ...} with median (`value`), `low`, `high`, `confidence`, `scatter`.

    The interval is that from the lowest to the highest repeat, which holds the true median with probability
    1 - 2 * 0.5 ** n whatever the distribution; a single value has none.
    """
    values = [float(value) for value in figure.get("values") or ([figure["value"]] if figure.get("value") else [])]
    if not values:
        return {**figure, "value": None, "values": []}
    middle = statistics.median(values)
    found = {**figure, "value": middle, "values": values, "repeats": len(values)}
    if len(values) > 1:
        found |= {"low": min(values), "high": max(values), "confidence": 1 - 2 * 0.5 ** len(values)}
        found["scatter"] = spread(values)
    return found


def spread(values: Sequence[float]) -> float:
    """Return the distance of the quartiles over the median; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle if middle else 0.0


def doubts(figures: Sequence[Mapping[str, Any]], throttled: Sequence[str], again: str) -> list[str]:
    """Return sentences on what makes the figures doubtful, each with the command to run next."""
    told = []
    if throttled:
        reasons = ", ".join(sorted(throttled))
        told.append(f"The GPU was slowed down meanwhile ({reasons}): let it cool or lift its cap, then `{again}`.")
    loose = [figure["name"] for figure in figures if (figure.get("scatter") or 0.0) > SCATTERED]
    if loose:
        more = f" and {len(loose) - 1} more" if len(loose) > 1 else ""
        told.append(f"Repeats of '{loose[0]}'{more} scatter: end other work on this machine, then `{again}`.")
    return told
