"""Suites for a benchmark: from the cache, or made by sandboxed workers, streaming, in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from harness.records import Item
from harness.sandbox.pool import Answer, Job, Pool
from harness.suite.cache import SuiteCache
from harness.suite.record import Suite, suite_key
from harness.suite.task import TASK, MakerOptions, Order, key_facts


def make_suites(
    items: Iterable[Item],
    options: MakerOptions | None = None,
    cache: SuiteCache | None = None,
    workers: int = 0,
) -> Iterator[Suite]:
    """One suite an item (for its first gold), in the items' order; `suite.databases` is what scoring loads.

    An item whose worker was lost has a suite without witnesses that says so. SandboxError where no worker starts.
    """
    options = options or MakerOptions()
    cache = cache or SuiteCache()
    waiting: deque[tuple[str, Suite | None]] = deque()

    def jobs() -> Iterator[Job]:
        for item in items:
            key = item_key(item, options)
            suite = cache.get(key)
            waiting.append((key, suite))
            if suite is None:
                yield Job(Order(item.database, item.golds[0]), item.database.key)

    with Pool(TASK, options, workers=workers) as pool:
        for answer in pool.run(jobs()):
            yield from _ready(waiting)
            key, _ = waiting.popleft()
            suite = _suite_of(answer)
            if not answer.lost:
                cache.put(key, suite)
            yield suite
        yield from _ready(waiting)


def item_key(item: Item, options: MakerOptions) -> str:
    """The cache key of an item's suite."""
    contents = f"{item.database.key}\0{item.database.script}"
    return suite_key(contents, item.golds[0], options.settings, prelude=(key_facts(options),))


def _ready(waiting: deque[tuple[str, Suite | None]]) -> Iterator[Suite]:
    """The cached suites that come before the next one to be made."""
    while waiting and waiting[0][1] is not None:
        suite = waiting.popleft()[1]
        assert suite is not None
        yield suite


def _suite_of(answer: Answer) -> Suite:
    if answer.lost:
        return Suite(reason=f"making the suite ended its worker ({answer.lost})")
    return Suite.from_json(answer.body["suite"])
