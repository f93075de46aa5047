"""Items with their suites, made ahead of their turn by workers of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import tee

from harness.records import Item
from harness.sandbox.jobs import bounded_workers
from harness.scoring.settings import ScoreSettings
from harness.suite.cache import SuiteCache
from harness.suite.make import make_suites
from harness.suite.others import Golds, schema_golds
from harness.suite.record import Suite, SuiteSettings
from harness.suite.task import MakerOptions


def with_suites(
    items: Iterable[Item], settings: ScoreSettings, golds: Golds | None = None
) -> Iterator[tuple[Item, tuple[Suite, ...]]]:
    """Each item with the suites of its golds; none where none is asked for.

    `golds` are those of the whole benchmark by database key; where they are not given and the items are a list, theirs.
    """
    if not settings.suite:
        for item in items:
            yield item, ()
        return
    if golds is None and isinstance(items, Sequence):
        golds = schema_golds(items)
    ours, theirs = tee(items)
    cache = SuiteCache(settings.cache_dir)
    yield from zip(
        ours, make_suites(theirs, maker_options(settings), cache, suite_workers(settings), golds), strict=True
    )


def maker_options(settings: ScoreSettings) -> MakerOptions:
    """How the suites of a scoring are made."""
    chosen = SuiteSettings(max_witnesses=settings.suite_databases, seed=settings.suite_seed)
    return MakerOptions(dialects=settings.dialects, settings=chosen, clock=settings.clock)


def suite_workers(settings: ScoreSettings) -> int:
    """Processes that make suites."""
    return bounded_workers(settings.memory_bytes, settings.workers)


def is_discriminating(suites: Sequence[Suite]) -> bool | None:
    """Whether the item's databases tell each of its golds from trivial queries; None where a gold has no suite."""
    found = [suite.is_discriminating for suite in suites]
    return None if not found or None in found else all(found)
