"""`score`: items and predictions in, one verdict each out, in the order of the items, streaming."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.records import RULES, Generation, Item, Outcome, Verdict
from harness.sandbox.pool import WINDOW, Answer, Job, Pool, bounded_workers
from harness.scoring.cache import GoldCache, gold_key
from harness.scoring.case import ALL_FALSE, STAGE_GOLD, STAGE_PREDICTION, STAGE_SCHEMA, STAGE_SUITE, Question, fault_at
from harness.scoring.judge import unpack_golds
from harness.scoring.settings import ScoreSettings
from harness.scoring.suites import is_discriminating, with_suites
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
        desk.cache.close()


class _Front:
    """The parent's side: what was asked for which item, the cache, and answers that serve twice."""

    def __init__(
        self, predictions: Mapping[str, Generation | str], settings: ScoreSettings, golds: Golds | None = None
    ) -> None:
        self.cache = GoldCache(settings.cache_dir)
        self._predictions, self._settings, self._golds = predictions, settings, golds
        self._order: OrderedDict[int, tuple[str, Any, bool | None]] = OrderedDict()
        self._answers: OrderedDict[Any, Answer] = OrderedDict()
        self._asked: dict[Any, int] = {}
        self._taken = 0
        self._sent: list[Any] = []

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
            self._sent.append(twin)
            yield Job(question, item.database.key if item.database.path else None)

    def _question(self, item: Item, suites: tuple[Suite, ...]) -> Question:
        given = self._predictions.get(item.id, "")
        is_sql = isinstance(given, str)
        keys = tuple(gold_key(item.database, sql, self._settings) for sql in item.golds)
        return Question(
            database=item.database,
            golds=item.golds,
            keys=keys,
            known=tuple(self.cache.get(key) for key in keys),
            text=given if isinstance(given, str) else given.completion,
            is_sql=is_sql,
            finished=True if isinstance(given, str) else given.finished,
            suites=tuple(suite.trial for suite in suites),
        )

    def verdicts(self, answer: Answer | None) -> Iterator[Verdict]:
        """The verdicts that can be given now, after one more answer (None: there are no more)."""
        if answer is not None:
            twin = self._sent.pop(0)
            del self._asked[twin]
            self._answers[twin] = answer
            if answer.blob:
                for key, data in unpack_golds(answer.blob).items():
                    self.cache.put(key, data)
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


def verdict_of(item_id: str, answer: Answer) -> Verdict:
    """A worker's document as the record that is stored."""
    body = dict(answer.body)
    if answer.lost:
        body |= _lost(answer)
    outcome = Outcome(body["outcome"])
    if body.get("truncated") and not outcome.is_gold_fault:
        body |= {
            "outcome": Outcome.TRUNCATED,
            "reason": "the answer was cut at max_new_tokens within its SQL",
            "matches": dict.fromkeys(RULES, False),
            # wrong on the suite too, where there is one: its share is over the same items as the headline
            "suite_match": None if body.get("suite_match") is None else False,
            "suite_witness": None,
            "witness_case": "",
            **dict.fromkeys(("answer_digest", "table", "gold_table"), ""),
        }
    return Verdict(
        id=item_id,
        outcome=Outcome(body["outcome"]),
        reason=body["reason"],
        sql=body.get("sql", ""),
        matches=body["matches"],
        suite_match=body.get("suite_match"),
        suite_witness=body.get("suite_witness"),
        witness_case=body.get("witness_case", ""),
        string_match=body.get("string_match", False),
        exact_match=body.get("exact_match", False),
        structural_match=body.get("structural_match", False),
        gold_index=body.get("gold_index", 0),
        gold_road=body.get("gold_road", ""),
        road=body.get("road", ""),
        gold_rows=body.get("gold_rows"),
        rows=body.get("rows"),
        execute_seconds=body.get("execute_seconds", 0.0),
        answer_digest=body.get("answer_digest", ""),
        table=body.get("table", ""),
        gold_table=body.get("gold_table", ""),
    )


def _lost(answer: Answer) -> dict[str, Any]:
    """The verdict on a job that ended two workers."""
    if answer.stage == STAGE_SUITE and "outcome" in answer.body:
        return {"suite_match": None}
    words = {
        "timeout": "it did not end within its time and could not be interrupted",
        "crash": "it ended the process that ran it, twice",
    }[answer.lost]
    if answer.stage in (STAGE_SCHEMA, STAGE_GOLD):
        return fault_at(answer.stage, words, answer.lost)
    outcome = Outcome.TIMEOUT if answer.lost == "timeout" else Outcome.RUNTIME_ERROR
    where = "the prediction" if answer.stage == STAGE_PREDICTION else "reading the answer's text"
    return {"outcome": outcome.value, "reason": f"{where}: {words}", "matches": dict(ALL_FALSE)}
