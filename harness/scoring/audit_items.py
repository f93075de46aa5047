"""`audit`: is the benchmark itself fit to score with? Asked before anybody is scored.

`unusable` counts exactly the items that `score` refuses to score. The findings beside it are about items that are
scored and that a person should know of: an empty answer rewards luck, a gold that answers otherwise once its rows lie
in another order is not a function of the data, a clock was pinned.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from harness.records import Item
from harness.sandbox.jobs import Job, bounded_workers
from harness.sandbox.pool import Pool
from harness.scoring.case import fault_at
from harness.scoring.inspect import Inspection
from harness.scoring.settings import ScoreSettings
from harness.sqltext import normal_text

FINDINGS = {
    "empty": "the gold returns no row on the shipped data: any empty answer matches",
    "no_op_write": "the gold changes nothing on the shipped data: any harmless answer matches",
    "tie_under_limit": "the gold's LIMIT cuts through tied rows: any choice among them counts as right",
    "nondeterministic": "the gold answers otherwise once the rows are inserted in another order, with more threads",
    "random": "the gold uses random numbers or identifiers",
    "clock": "the gold asks for the time, which is pinned",
    "same_question": "another item has the same question and schema",
    "train_prompt": "the training set has the same question and schema",
    "train_gold": "the training set has the same schema and gold",
}
"""What may be found about an item that can be scored."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found; ids in the order of the items."""

    n: int
    usable: int
    unusable: dict[str, int]
    """Outcome (gold_unloadable, gold_error, gold_unstable) -> items."""
    unusable_ids: dict[str, tuple[str, ...]]
    reasons: dict[str, str]
    """Unusable item's id -> why, in one sentence."""
    roads: dict[str, int]
    """How the usable golds reached DuckDB -> items."""
    findings: dict[str, tuple[str, ...]]
    """Key of `FINDINGS` -> ids of the items it is true of."""
    seconds: float
    facts: dict[str, float] = field(default_factory=dict)


def audit(
    items: Iterable[Item],
    settings: ScoreSettings | None = None,
    train_items: Iterable[Item] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Audit:
    """Load, run and question every gold; `train_items` are looked through for the same prompts and golds."""
    chosen = settings or ScoreSettings()
    begun = time.perf_counter()
    notes = _Notes(train_items)
    with Pool(
        "harness.scoring.inspect:build",
        chosen,
        workers=bounded_workers(chosen.memory_bytes, chosen.workers),
        memory_bytes=chosen.memory_bytes,
    ) as pool:
        for number, answer in enumerate(pool.run(notes.jobs(items))):
            body = dict(answer.body)
            if answer.lost:
                words = f"it ended the process that ran it ({answer.lost})"
                body = fault_at(answer.stage, words, answer.lost) | {"findings": []}
            notes.add(body)
            if progress is not None:
                progress(number + 1)
    return notes.audit(time.perf_counter() - begun)


class _Notes:
    """What is known so far; digests rather than texts of what was seen."""

    def __init__(self, train_items: Iterable[Item] | None) -> None:
        self._train_prompts: set[bytes] = set()
        self._train_golds: set[bytes] = set()
        for item in train_items or ():
            self._train_prompts.add(_digest(item.database.key, item.context, item.question))
            self._train_golds |= {_digest(item.database.key, normal_text(sql)) for sql in item.golds}
        self._seen: set[bytes] = set()
        self._waiting: list[tuple[str, list[str]]] = []
        self._n = 0
        self._unusable: dict[str, list[str]] = {}
        self._reasons: dict[str, str] = {}
        self._roads: Counter[str] = Counter()
        self._findings: dict[str, list[str]] = {}

    def jobs(self, items: Iterable[Item]) -> Iterator[Job]:
        """One job an item; what the texts alone tell is noted on the way."""
        for item in items:
            self._waiting.append((item.id, self._overlaps(item)))
            yield Job(Inspection(item.database, item.golds), item.database.key if item.database.path else None)

    def _overlaps(self, item: Item) -> list[str]:
        prompt = _digest(item.database.key, item.context, item.question)
        found = ["same_question"] if prompt in self._seen else []
        self._seen.add(prompt)
        if prompt in self._train_prompts:
            found.append("train_prompt")
        if any(_digest(item.database.key, normal_text(sql)) in self._train_golds for sql in item.golds):
            found.append("train_gold")
        return found

    def add(self, body: dict[str, object]) -> None:
        """The next item's answer."""
        name, found = self._waiting.pop(0)
        self._n += 1
        outcome = str(body["outcome"])
        if outcome:
            self._unusable.setdefault(outcome, []).append(name)
            self._reasons[name] = str(body["reason"])
        else:
            self._roads[str(body["road"])] += 1
        findings = body["findings"]
        assert isinstance(findings, list)
        for finding in (*found, *findings):
            self._findings.setdefault(finding, []).append(name)

    def audit(self, seconds: float) -> Audit:
        """All of it."""
        return Audit(
            n=self._n,
            usable=self._n - sum(map(len, self._unusable.values())),
            unusable={name: len(ids) for name, ids in sorted(self._unusable.items())},
            unusable_ids={name: tuple(ids) for name, ids in sorted(self._unusable.items())},
            reasons=self._reasons,
            roads=dict(self._roads.most_common()),
            findings={name: tuple(self._findings[name]) for name in FINDINGS if name in self._findings},
            seconds=seconds,
        )


def _digest(*parts: str) -> bytes:
    text = "\0".join(" ".join(part.split()).lower() for part in parts)
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:16]
