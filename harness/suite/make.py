"""Suites for a benchmark: from the cache, or made by sandboxed workers, streaming, in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from harness.records import Item
from harness.sandbox.jobs import Answer, Job
from harness.sandbox.pool import Pool
from harness.suite.cache import SuiteCache
from harness.suite.others import Golds, others_of
from harness.suite.record import Suite, suite_key
from harness.suite.task import TASK, MakerOptions, Order, key_facts

AHEAD = 256
"""Items looked at together, at least: what memory holds of a benchmark at once."""
AHEAD_A_WORKER = 64
"""The same for each worker: they wait for the last of the items, so each should have some batches of them."""


def make_suites(
    items: Iterable[Item],
    options: MakerOptions | None = None,
    cache: SuiteCache | None = None,
    workers: int = 0,
    golds: Golds | None = None,
) -> Iterator[tuple[Suite, ...]]:
    """The suites of each item, one a gold, in the items' order.

    `golds` (`others.schema_golds` of the whole benchmark) are compared with each item's own; which witnesses a suite
    holds does not depend on them. A gold whose worker was lost has a suite without witnesses that says so.
    SandboxError where no worker starts.
    """
    maker = _Maker(options or MakerOptions(), cache or SuiteCache(), golds or {})
    source = iter(items)
    with Pool(TASK, maker.options, workers=workers) as pool:
        ahead = max(AHEAD, AHEAD_A_WORKER * pool.workers)
        while chunk := list(islice(source, ahead)):
            yield from maker.suites(pool, chunk)


def item_key(item: Item, options: MakerOptions, index: int = 0, others: tuple[str, ...] = ()) -> str:
    """The cache key of the suite of an item's gold."""
    contents = f"{item.database.key}\0{item.database.script}"
    return suite_key(contents, item.golds[index], options.settings, others, prelude=(key_facts(options),))


@dataclass(slots=True)
class _Wanted:
    """A suite to be made: under which keys it is kept, and the job that makes it."""

    key: str
    bare: str
    """The key of the same suite before others are compared."""
    order: Order


class _Maker:
    """Suites of some items at a time; the same gold on the same tables is asked once."""

    def __init__(self, options: MakerOptions, cache: SuiteCache, golds: Golds) -> None:
        self.options, self._cache, self._golds = options, cache, golds
        self._ready: dict[str, Suite] = {}

    def suites(self, pool: Pool, items: list[Item]) -> Iterator[tuple[Suite, ...]]:
        """The suites of each of these items, as soon as they are there."""
        wanted = [[self._wanted(item, index) for index in range(len(item.golds))] for item in items]
        keys = {one.key for row in wanted for one in row}
        self._ready = {key: suite for key, suite in self._ready.items() if key in keys}
        asked: deque[_Wanted] = deque()

        def jobs() -> Iterator[Job]:
            seen: set[str] = set()
            for one in (one for row in wanted for one in row):
                if one.key not in self._ready and one.key not in seen and self._look_up(one):
                    seen.add(one.key)
                    asked.append(one)
                    yield Job(one.order, one.order.database.key)

        rows = deque(wanted)
        for answer in pool.run(jobs()):
            self._take(asked.popleft(), answer)
            yield from self._due(rows)
        yield from self._due(rows)

    def _wanted(self, item: Item, index: int) -> _Wanted:
        others = others_of(item, self._golds)
        bare = item_key(item, self.options, index)
        key = item_key(item, self.options, index, others) if others else bare
        return _Wanted(key, bare, Order(item.database, item.golds[index], others))

    def _look_up(self, one: _Wanted) -> bool:
        """Whether there is something to be done for a suite; what the cache has is taken from it."""
        suite = self._cache.get(one.key)
        if suite is not None:
            self._ready[one.key] = suite
            return False
        bare = self._cache.get(one.bare) if one.bare != one.key else None
        if bare is not None:
            if not bare.witnesses:
                self._ready[one.key] = bare
                return False
            one.order = replace(one.order, suite=bare.to_json())
        return True

    def _take(self, one: _Wanted, answer: Answer) -> None:
        suite = _suite_of(answer)
        self._ready[one.key] = suite
        if answer.lost:
            return
        self._cache.put(one.key, suite)
        if one.bare != one.key:
            self._cache.put(one.bare, replace(suite, others=0, others_missed=0))

    def _due(self, rows: deque[list[_Wanted]]) -> Iterator[tuple[Suite, ...]]:
        """The items whose suites are all there, up to the first one that lacks one."""
        while rows and all(one.key in self._ready for one in rows[0]):
            yield tuple(self._ready[one.key] for one in rows.popleft())


def _suite_of(answer: Answer) -> Suite:
    if answer.lost:
        return Suite(reason=f"making the suite ended its worker ({answer.lost})")
    return Suite.from_json(answer.body["suite"])
