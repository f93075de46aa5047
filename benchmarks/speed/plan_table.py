"""How far `harness plan` is off where something was measured: every published run and table against its prediction.

    python -m benchmarks.speed.plan_table                  # writes reports/plan.md
    python -m benchmarks.speed.plan_table --only-print

*In-sample*: the constants were chosen by looking at this figure. *Held out*: they were not. The engine's two fitted
constants are fitted to one machine's table and predict the other's, both ways round; `harness plan` has the H100's.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from benchmarks.speed.plan_measured import ROOT, Compared, compared, fitted

OUT = ROOT / "reports" / "plan.md"
INTRODUCTION = """\
# What `harness plan` predicts beside what was measured

Written by `python -m benchmarks.speed.plan_table`; tests hold it to what the code computes now. Seconds; an error is
planned over measured. In-sample: the constants were chosen by looking at this figure; held out: they were not. The
engine's two fitted constants come from the H100's table; for its rows the held-out error is that of constants fitted to
the H200, and the other way round; the shares of the peaks while writing come from the H100's profile in both. `answers`
is prefill and decode together. Tokens and the longest answer are given, as a stored run gives them.

| device | measured | phase | seconds | planned | in-sample | held out |
|---|---|---|---|---|---|---|"""


def ranges(found: Sequence[Compared]) -> dict[str, tuple[float, float]]:
    """Least and most that was measured over what was planned, by the part it bears on, to two digits outwards."""
    spread: dict[str, list[float]] = {}
    for one in found:
        if one.key:
            spread.setdefault(one.key, []).extend(one.measured / p for p in (one.planned, one.other) if p is not None)
    return {
        key: (min(1.0, math.floor(min(all_) * 100) / 100), max(1.0, math.ceil(max(all_) * 100) / 100))
        for key, all_ in spread.items()
    }


def page(found: Sequence[Compared]) -> str:
    """The whole page."""
    lines = [INTRODUCTION]
    for one in found:
        own, held = (one.error, None) if one.seen else (None, one.error)
        if one.other is not None:
            second = one.other / one.measured - 1
            own, held = (own, second) if one.seen else (second, held)
        cells = [
            one.device,
            one.what,
            one.phase,
            f"{one.measured:.2f}",
            f"{one.planned:.2f}",
            _percent(own),
            _percent(held),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "What was measured over what was planned, least and most: the range that `harness plan` prints.", ""]
    lines += ["| part | least | most |", "|---|---|---|"]
    lines += [f"| {key} | {low:.2f} | {high:.2f} |" for key, (low, high) in ranges(found).items()]
    lines += ["", f"Fitted to the H100: {fitted('H100')}; to the H200: {fitted('H200')}."]
    return "\n".join(lines) + "\n"


def _percent(error: float | None) -> str:
    return "" if error is None else f"{100 * error:+.0f} %"


def main() -> None:
    """Write the page, or print it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only-print", action="store_true")
    text = page(compared())
    if options.parse_args().only_print:
        print(text)
    else:
        OUT.write_text(text)


if __name__ == "__main__":
    main()
