"""Gradient norms that went wild while the loss did not: found in what was logged, noted, never a reason to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

WINDOW = 20
"""Logged stretches before one that its norm and loss are held against."""
FEWEST = 5
"""Below so many of them nothing is said."""
TIMES = 20.0
"""Norms above so many times the window's median are wild."""
RISE = 1.5
"""Unless the loss rose above so many times its median: then the batch was hard, or the training is diverging."""
_SHOWN = 10


def wild_steps(losses: Sequence[Mapping[str, float]], *, scaled: bool = False) -> list[int]:
    """Return the logged steps with a wild gradient norm, given entries of `step`, `loss` and `grad_norm` in order.

    `scaled`: fp16's loss scaling is on, which skips steps whose norm is no number as a matter of course.
    """
    found = []
    known = [entry for entry in losses if "grad_norm" in entry]
    for at, entry in enumerate(known):
        norm = entry["grad_norm"]
        if not math.isfinite(norm):
            if not scaled:
                found.append(int(entry["step"]))
            continue
        before = [past for past in known[max(0, at - WINDOW) : at] if math.isfinite(past["grad_norm"])]
        if len(before) < FEWEST or norm <= TIMES * median(past["grad_norm"] for past in before):
            continue
        if entry["loss"] <= RISE * median(past["loss"] for past in before):
            found.append(int(entry["step"]))
    return found


def gradient_rows(facts: Mapping[str, Any]) -> list[str]:
    """Rows of an adapter's card on its gradients, as far as its record says anything of them."""
    rows = []
    check = facts.get("gradient_check") or {}
    if check.get("fell_back"):
        rows.append(f"| gradients of the first batch | {check['fell_back']} |")
    elif check.get("left_out"):
        rows.append(f"| gradients of the first batch | not compared with the guide's way: {check['left_out']} |")
    elif check:
        rows.append(
            f"| gradients of the first batch | {100 * check['share']:.2g} % from those of the guide's way in "
            f"{check['worst']}, the worst of the layers{_drawn(check)} |"
        )
    if steps := facts.get("wild_gradient_norms"):
        shown = ", ".join(f"{step:,}" for step in steps[:_SHOWN]) + (" ..." if len(steps) > _SHOWN else "")
        rows.append(f"| wild gradient norms | at steps {shown}: look at the training before you trust the adapter |")
    return rows


def _drawn(check: Mapping[str, Any]) -> str:
    return f" (dropout alone: {100 * check['dropout_share']:.2g} %)" if "dropout_share" in check else ""
