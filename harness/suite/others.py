"""Golds of other items on the same tables: what an item's databases should tell its own gold from."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping

from harness.records import Item

MOST = 24
"""Golds kept of one schema: some of each benchmark's questions, the same ones whatever their order."""
MOST_SCHEMAS = 50_000
"""Schemas looked at; the items of further ones are compared with no other gold, so that memory stays bounded."""

Golds = Mapping[str, tuple[str, ...]]
"""Database key -> golds of items on it."""


def schema_golds(items: Iterable[Item]) -> Golds:
    """The golds of each schema that has more than one, at most MOST of them, in one pass."""
    kept: dict[str, list[tuple[int, str]]] = {}
    for item in items:
        found = kept.get(item.database.key)
        if found is None:
            if len(kept) >= MOST_SCHEMAS:
                continue
            found = kept[item.database.key] = []
        for gold in item.golds:
            entry = (-_place(gold), gold)
            if entry in found:
                continue
            # the largest of the negatives are the least digests
            if len(found) < MOST:
                heapq.heappush(found, entry)
            else:
                heapq.heappushpop(found, entry)
    return {key: tuple(sql for _, sql in sorted(found, reverse=True)) for key, found in kept.items() if len(found) > 1}


def others_of(item: Item, golds: Golds) -> tuple[str, ...]:
    """The golds of other items on the item's tables."""
    own = {_plain(sql) for sql in item.golds}
    return tuple(sql for sql in golds.get(item.database.key, ()) if _plain(sql) not in own)


def _plain(sql: str) -> str:
    return " ".join(sql.split()).rstrip(" ;").lower()


def _place(sql: str) -> int:
    return int.from_bytes(hashlib.sha256(sql.encode(errors="surrogatepass")).digest()[:8], "big")
