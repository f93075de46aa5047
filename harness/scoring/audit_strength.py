"""How strong the witness databases of a benchmark are, asked before anybody is scored on them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from harness import stats
from harness.records import Item
from harness.sandbox.jobs import Job
from harness.sandbox.pool import Pool
from harness.scoring.settings import ScoreSettings
from harness.scoring.suites import is_discriminating, maker_options, suite_workers, with_suites
from harness.suite.distill import LARGER
from harness.suite.record import Suite
from harness.suite.task import TASK, Order

SAMPLE = 50
"""Golds whose suites are held against a far larger search."""


@dataclass(frozen=True, slots=True)
class SuiteAudit:
    """What the suites of a benchmark's usable items can tell."""

    n: int
    """Usable items."""
    with_suite: int
    """Items all of whose golds have witnesses."""
    witnesses: int
    """Witness databases of all items together."""
    discriminating: int
    """Items whose databases tell their golds from trivial queries, golds of other items among them."""
    sampled: int
    """Golds, drawn by digest, for which neighbours were looked for in a far larger search."""
    killed: int
    """Of their neighbours, those that the suite tells from the gold ..."""
    killable: int
    """... and those that any database of either search does."""
    without: dict[str, int] = field(default_factory=dict)
    """Why a gold has no suite -> items."""
    vacuous_ids: tuple[str, ...] = ()
    """Items with a suite that are not discriminating."""

    @property
    def kill_rate(self) -> float | None:
        """Share of the killable neighbours that are killed; None where there are none."""
        return self.killed / self.killable if self.killable else None

    @property
    def kill_rate_ci(self) -> tuple[float, float] | None:
        """95 % interval, neighbours taken as independent."""
        return stats.wilson(self.killed, self.killable) if self.killable else None

    @property
    def discriminating_share(self) -> float | None:
        """Of the items with a suite."""
        return self.discriminating / self.with_suite if self.with_suite else None


def audit_suites(
    items: Sequence[Item],
    settings: ScoreSettings,
    unusable: Collection[str] = (),
    progress: Callable[[int], None] | None = None,
    sample: int = SAMPLE,
) -> SuiteAudit:
    """Make (or recall) the suites of all items but the unusable ones (ids), and measure `sample` of them.

    `progress` is told how many items are done.
    """
    asked = [item for item in items if item.id not in set(unusable)]
    with_suite = witnesses = discriminating = 0
    without: Counter[str] = Counter()
    vacuous: list[str] = []
    drawn: dict[str, tuple[Item, str, Suite]] = {}
    for done, (item, suites) in enumerate(with_suites(asked, settings), start=1):
        told = is_discriminating(suites)
        if told is None:
            without[next(s.reason for s in suites if not s.witnesses)] += 1
        else:
            with_suite += 1
            witnesses += sum(len(s.witnesses) for s in suites)
            discriminating += told
            vacuous += [] if told else [item.id]
            _draw(drawn, item, suites, sample)
        if progress is not None:
            progress(done)
    missed = _missed([drawn[key] for key in sorted(drawn)], settings)
    killed = sum(suite.killed for _, _, suite in drawn.values())
    return SuiteAudit(
        n=len(asked),
        with_suite=with_suite,
        witnesses=witnesses,
        discriminating=discriminating,
        sampled=len(drawn),
        killed=killed,
        killable=killed + missed,
        without=dict(without.most_common()),
        vacuous_ids=tuple(vacuous),
    )


def _draw(drawn: dict[str, tuple[Item, str, Suite]], item: Item, suites: Sequence[Suite], sample: int) -> None:
    """Keep the golds with the least digests: the same ones whatever the order of the items."""
    for gold, suite in zip(item.golds, suites, strict=True):
        key = hashlib.sha256(f"{item.database.key}\0{gold}".encode(errors="surrogatepass")).hexdigest()
        drawn[key] = (item, gold, suite)
        if len(drawn) > sample:
            del drawn[max(drawn)]


def _missed(drawn: Iterable[tuple[Item, str, Suite]], settings: ScoreSettings) -> int:
    """Neighbours that the larger search tells from their golds and the suites do not."""

    def jobs() -> Iterable[Job]:
        for item, gold, suite in drawn:
            if suite.survivors:
                yield Job(Order(item.database, gold, suite=suite.to_json(), larger=LARGER), item.database.key)

    with Pool(TASK, maker_options(settings), workers=suite_workers(settings)) as pool:
        return sum(answer.body.get("missed") or 0 for answer in pool.run(jobs()))
