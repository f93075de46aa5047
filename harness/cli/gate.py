"""What a build server asks of a run: a mark that it must reach, and a file of test cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import units
from harness.cli.junit import write_junit
from harness.cli.output import say
from harness.errors import MarkError
from harness.records import Run
from harness.scratch import Scratch


@dataclass(frozen=True, slots=True)
class Gate:
    """`--fail-under` and `--junit`; both are optional."""

    fail_under: float | None = None
    """Least share of execution accuracy, between 0 and 1."""
    junit: Path | None = None

    @contextmanager
    def folder(self, out: Path | None) -> Iterator[Path | None]:
        """Where a run is stored: `out`, or a folder that lives as long as the test cases are being written."""
        if out is not None or self.junit is None:
            yield out
            return
        with Scratch("harness-run-") as place:
            yield place / "run"

    def write(self, runs: Sequence[Run]) -> None:
        """Write the test cases, where they are asked for."""
        if self.junit is not None:
            write_junit(runs, self.junit, self.fail_under)
            say(f"test cases: {self.junit}")

    def facts(self, totals: Mapping[str, Any]) -> dict[str, Any]:
        """What the JSON document says of it; nothing where nothing is asked."""
        asked: dict[str, Any] = {}
        if self.fail_under is not None:
            asked |= {"fail_under": self.fail_under, "passed": self._passed(totals)}
        return asked if self.junit is None else asked | {"junit": str(self.junit)}

    def check(self, model: str, totals: Mapping[str, Any]) -> None:
        """MarkError where execution accuracy is below the mark, or nothing could be scored."""
        if self.fail_under is None or self._passed(totals):
            return
        reached = totals["execution_accuracy"]
        if reached is None:
            raise MarkError(
                f"No question of {model} could be scored, so {self.fail_under:g} is not reached; see audit."
            )
        low, high = totals["execution_accuracy_ci"] or (None, None)
        raise MarkError(
            f"The execution accuracy of {model} is {reached:.4f} "
            f"({units.share(reached, low, high, totals['scored'])}), below the mark of {self.fail_under:g}."
        )

    def _passed(self, totals: Mapping[str, Any]) -> bool:
        reached = totals["execution_accuracy"]
        return self.fail_under is None or (reached is not None and reached >= self.fail_under)


OPEN = Gate()
"""Lets everything pass."""
