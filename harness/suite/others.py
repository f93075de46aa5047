"""Golds of other items on the same tables: what an item's databases should tell its own gold from."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from harness.errors import DataError
from harness.records import Item

MOST = 24
"""Golds given of one schema: some of each benchmark's questions, the same ones whatever their order."""
_CACHE_KIB = 4 * 1024

Golds = Mapping[str, tuple[str, ...]]
"""Database key -> golds of items on it."""


class GoldFile(Golds):
    """Golds by schema in a temporary SQLite file: a million schemas take no more memory than a thousand.

    Holds each schema that has more than one gold; gives at most MOST of them, those whose digests are the least.
    """

    def __init__(self, golds: Iterable[tuple[str, str]] = ()) -> None:
        # an empty name is SQLite's private temporary database: in memory while small, then on disk, gone with us
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA cache_size = -{_CACHE_KIB};"
            "CREATE TABLE gold (schema BLOB, place BLOB, sql BLOB, PRIMARY KEY (schema, place)) WITHOUT ROWID; BEGIN"
        )
        rows = ((_blob(key), hashlib.sha256(_blob(sql)).digest()[:16], _blob(sql)) for key, sql in golds)
        try:
            self._file.executemany("INSERT OR IGNORE INTO gold VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            told = f"The golds cannot be sorted on disk ({error}); free space, or name another TMPDIR."
            raise DataError(told) from None

    def __getitem__(self, key: str) -> tuple[str, ...]:
        question = f"SELECT sql FROM gold WHERE schema = ? ORDER BY place LIMIT {MOST}"
        found = self._file.execute(question, (_blob(key),)).fetchall()
        if len(found) < 2:
            raise KeyError(key)
        return tuple(_text(sql) for (sql,) in found)

    def __iter__(self) -> Iterator[str]:
        for (key,) in self._file.execute("SELECT schema FROM gold GROUP BY schema HAVING count(*) > 1"):
            yield _text(key)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True


def schema_golds(items: Iterable[Item]) -> Golds:
    """The golds of each schema that has more than one, at most MOST of them, in one pass over the items."""
    return GoldFile((item.database.key, gold) for item in items for gold in item.golds)


def others_of(item: Item, golds: Golds) -> tuple[str, ...]:
    """The golds of other items on the item's tables."""
    own = {_plain(sql) for sql in item.golds}
    return tuple(sql for sql in golds.get(item.database.key, ()) if _plain(sql) not in own)


def _plain(sql: str) -> str:
    return " ".join(sql.split()).rstrip(" ;").lower()


def _blob(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
