"""Which rows are for training and which for the test, and a digest that says which they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.config import Split
from harness.errors import DataError
from harness.records import Item


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of the test split stands in the training split."""

    test_items: int
    same_prompt: int
    """Test items whose question and context are in the training split."""
    same_answer: int
    """Test items whose context and gold are in the training split."""
    either: int
    """Test items of one kind or the other."""


def divided(items: Sequence[Item], split: Split, where: str) -> tuple[list[Item], list[Item]]:
    """(training items, test items) by the digest of seed and id: the same ids give the same split in any order."""
    drawn = sorted(items, key=lambda item: digest_of(f"{split.seed}:{item.id}"))
    if split.select is not None:
        _enough(len(items), split.select, where)
        drawn = drawn[: split.select]
    n_test = split.test if split.test is not None else max(1, len(drawn) // 5)
    n_train = split.train if split.train is not None else len(drawn) - n_test
    _enough(len(drawn), n_test + max(n_train, 0), where)
    return drawn[n_test : n_test + n_train], drawn[:n_test]


def _enough(there: int, wanted: int, where: str) -> None:
    if there < wanted:
        raise DataError(
            f"{where} holds {there:,} rows, but the split asks for {wanted:,}; lower benchmark.split.select, "
            ".train and .test, or take every row with benchmark.evaluate=all."
        )


def digest_of(text: str) -> str:
    """SHA-256 of a text in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def split_digest(items: Iterable[Item]) -> str:
    """Digest over ids, questions, contexts, golds and databases, in order: equal digests mean the same test."""
    digest = hashlib.sha256()
    for item in items:
        for part in (item.id, item.question, item.context, *item.golds, item.database.key):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
        digest.update(b"\n")
    return digest.hexdigest()


def overlap(train: Iterable[Item], test: Sequence[Item]) -> Overlap:
    """Counts the test items that a model may have seen in training."""
    prompts: set[tuple[str, str]] = set()
    answers: set[tuple[str, str]] = set()
    for item in train:
        prompts.add((_plain(item.question), item.database.key))
        answers.update((item.database.key, _plain(gold)) for gold in item.golds)
    same_prompt = [(_plain(item.question), item.database.key) in prompts for item in test]
    same_answer = [any((item.database.key, _plain(gold)) in answers for gold in item.golds) for item in test]
    either = sum(a or b for a, b in zip(same_prompt, same_answer, strict=True))
    return Overlap(len(test), sum(same_prompt), sum(same_answer), either)


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(" ;").lower()
