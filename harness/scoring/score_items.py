"""`score`: items and predictions in, one verdict each out, in the order of the items, streaming."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.records import Generation, Item, Verdict
from harness.sandbox.jobs import Answer, Job, bounded_workers
from harness.sandbox.pool import WINDOW, Pool
from harness.scoring.cache import ContentCache, gold_key, verdict_key
from harness.scoring.judge import unpack_golds
from harness.scoring.question import Question
from harness.scoring.settings import ScoreSettings
from harness.scoring.suites import is_discriminating, with_suites
from harness.scoring.verdicts import verdict_of
from harness.suite.others import Golds
from harness.suite.record import Suite

JUDGE = "harness.scoring.judge:build"
_REMEMBERED = 4096
_FEW = 64
"""Questions taken ahead where suites have to be made for them."""


def score(
    items: Iterable[Item],
    predictions: Mapping[str, Generation | str],
    settings: ScoreSettings | None = None,
    progress: Callable[[Verdict], None] | None = None,
    golds: Golds | None = None,
) -> Iterator[Verdict]:
    """Verdicts in the order of the items; an item without a prediction counts as `no_sql`.

    A prediction is a `Generation`, or SQL as text. Verdicts depend neither on the number of workers nor on the order of
    the items; both items and verdicts are streamed. `golds` (`harness.suite.others.schema_golds` of the whole
    benchmark; default: of the items, where these are a list) decide which items count as discriminating. `SandboxError`
    where no worker can be started.
    """
    chosen = settings or ScoreSettings()
    with Pool(
        JUDGE,
        chosen,
        workers=bounded_workers(chosen.memory_bytes, chosen.workers),
        memory_bytes=chosen.memory_bytes,
        # suites take their time: verdicts are given as soon as a few are there
        window=_FEW if chosen.suite else WINDOW,
    ) as pool:
        yield from score_with(pool, items, predictions, chosen, progress, golds)


def score_with(
    pool: Pool,
    items: Iterable[Item],
    predictions: Mapping[str, Generation | str],
    settings: ScoreSettings,
    progress: Callable[[Verdict], None] | None = None,
    golds: Golds | None = None,
) -> Iterator[Verdict]:
    """As `score`, on a pool that is already running (of the task `JUDGE` with the same settings)."""
    desk = _Front(predictions, settings, golds)
    try:
        for answer in pool.run(desk.jobs(items)):
            for verdict in desk.verdicts(answer):
                if progress is not None:
                    progress(verdict)
                yield verdict
        yield from desk.verdicts(None)
    finally:
        desk.close()


class _Front:
    """The parent's side: what was asked for which item, the caches, and answers that serve twice."""

    def __init__(
        self, predictions: Mapping[str, Generation | str], settings: ScoreSettings, golds: Golds | None = None
    ) -> None:
        self._kept_golds = ContentCache(settings.cache_dir)
        self._kept_verdicts = ContentCache(settings.cache_dir if settings.reuse_verdicts else "", "verdicts")
        self._predictions, self._settings, self._golds = predictions, settings, golds
        self._order: OrderedDict[int, tuple[str, Any, bool | None]] = OrderedDict()
        self._answers: OrderedDict[Any, Answer] = OrderedDict()
        self._asked: dict[Any, int] = {}
        self._taken = 0
        self._sent: deque[tuple[Any, str]] = deque()

    def jobs(self, items: Iterable[Item]) -> Iterator[Job]:
        """One job an item, unless the same question was asked a moment ago."""
        for item, suites in with_suites(items, self._settings, self._golds):
            question = self._question(item, suites)
            twin = (question.keys, question.text, question.is_sql, question.finished, question.suites)
            number = self._taken
            self._taken += 1
            self._order[number] = (item.id, twin, is_discriminating(suites))
            if twin in self._answers or twin in self._asked:
                continue
            self._asked[twin] = number
            key = verdict_key(question, self._settings) if self._settings.reuse_verdicts else ""
            known = self._remembered(key)
            self._sent.append((twin, "" if known else key))
            if known is None:
                golds = tuple(self._kept_golds.get(gold) for gold in question.keys)
                question = replace(question, known=golds)
            yield Job(question, item.database.key if item.database.path else None, known)

    def _remembered(self, key: str) -> Answer | None:
        """The verdict that the same question got in another run."""
        data = self._kept_verdicts.get(key) if key else None
        if data is None:
            return None
        try:
            body = json.loads(data)
            return Answer(body) if "outcome" in body else None
        except (ValueError, TypeError):
            return None

    def _remember(self, key: str, answer: Answer) -> None:
        """Keep a verdict, unless it may have been this machine's hour rather than the answer that decided it."""
        if key and not (answer.lost or answer.retried or answer.body.get("doubt")):
            body = {**answer.body, "execute_seconds": 0.0, "remembered": True}
            self._kept_verdicts.put(key, json.dumps(body).encode())

    def close(self) -> None:
        """Write what the caches still hold back."""
        self._kept_golds.close()
        self._kept_verdicts.close()

    def _question(self, item: Item, suites: tuple[Suite, ...]) -> Question:
        given = self._predictions.get(item.id, "")
        is_sql = isinstance(given, str)
        keys = tuple(gold_key(item.database, sql, self._settings) for sql in item.golds)
        return Question(
            database=item.database,
            golds=item.golds,
            keys=keys,
            known=(None,) * len(keys),
            text=given if isinstance(given, str) else given.completion,
            is_sql=is_sql,
            finished=True if isinstance(given, str) else given.finished,
            suites=tuple(suite.trial for suite in suites),
        )

    def verdicts(self, answer: Answer | None) -> Iterator[Verdict]:
        """The verdicts that can be given now, after one more answer (None: there are no more)."""
        if answer is not None:
            twin, verdict_name = self._sent.popleft()
            del self._asked[twin]
            self._answers[twin] = answer
            self._remember(verdict_name, answer)
            if answer.blob:
                for key, data in unpack_golds(answer.blob).items():
                    self._kept_golds.put(key, data)
        while self._order:
            number, (item_id, twin, discriminating) = next(iter(self._order.items()))
            if twin not in self._answers:
                break
            del self._order[number]
            verdict = verdict_of(item_id, self._answers[twin])
            scored = not verdict.outcome.is_gold_fault
            yield replace(verdict, discriminating=discriminating) if scored and discriminating is not None else verdict
        waiting = {twin for _, twin, _ in self._order.values()} if len(self._answers) > _REMEMBERED else set()
        while len(self._answers) > _REMEMBERED:
            oldest = next(iter(self._answers))
            if oldest in waiting:
                break
            del self._answers[oldest]
