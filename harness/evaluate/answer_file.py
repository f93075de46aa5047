"""Answers by item id, kept in a temporary SQLite file: a million predictions take no more memory than a thousand."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from harness.errors import DataError
from harness.records import Generation

Answer = Generation | str
_CACHE_KIB = 16 * 1024
_TABLES = """
CREATE TABLE item (id BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE answer (id BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class AnswerFile(Mapping[str, Answer]):
    """The ids of a benchmark and the answers given for them; iterates over the answered ids by their bytes."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        # an empty name is SQLite's private temporary database: in memory while small, then on disk, gone with us
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.executescript(f"PRAGMA journal_mode = OFF; PRAGMA cache_size = -{_CACHE_KIB}; {_TABLES}")
        self._file.execute("BEGIN")
        rows = ((_blob(identity), place) for place, identity in enumerate(ids))
        self._run_many("INSERT INTO item VALUES (?, ?)", rows)

    def knows(self, identity: str) -> bool:
        """True where the benchmark has the id."""
        return self._one("SELECT 1 FROM item WHERE id = ?", identity) is not None

    def put(self, identity: str, answer: Answer) -> bool:
        """Keep the answer; False (and nothing kept) where the id has one."""
        row = (_blob(identity), _packed(answer))
        try:
            return self._file.execute("INSERT OR IGNORE INTO answer VALUES (?, ?)", row).rowcount == 1
        except sqlite3.Error as error:
            raise _full(error) from None

    def missing(self) -> tuple[str, ...]:
        """Ids without an answer, in the benchmark's order."""
        question = "SELECT id FROM item WHERE id NOT IN (SELECT id FROM answer) ORDER BY place"
        return tuple(_text(row[0]) for row in self._file.execute(question))

    def digest(self) -> str:
        """SHA-256 over ids and answers, whatever their order in the file they came from."""
        sha = hashlib.sha256()
        for row in self._file.execute("SELECT id, value FROM answer ORDER BY id"):
            for data in row:
                sha.update(len(data).to_bytes(8, "big") + data)
        return sha.hexdigest()

    def __getitem__(self, identity: str) -> Answer:
        row = self._one("SELECT value FROM answer WHERE id = ?", identity)
        if row is None:
            raise KeyError(identity)
        return _unpacked(row[0])

    def __iter__(self) -> Iterator[str]:
        for row in self._file.execute("SELECT id FROM answer ORDER BY id"):
            yield _text(row[0])

    def __len__(self) -> int:
        return int(self._file.execute("SELECT count(*) FROM answer").fetchone()[0])

    def _one(self, question: str, identity: str) -> tuple[bytes] | None:
        row: tuple[bytes] | None = self._file.execute(question, (_blob(identity),)).fetchone()
        return row

    def _run_many(self, statement: str, rows: Iterable[tuple[bytes, int]]) -> None:
        try:
            self._file.executemany(statement, rows)
        except sqlite3.Error as error:
            raise _full(error) from None


def _full(error: sqlite3.Error) -> DataError:
    return DataError(f"The predictions cannot be sorted on disk ({error}); free space, or name another TMPDIR.")


def _blob(identity: str) -> bytes:
    return identity.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _packed(answer: Answer) -> bytes:
    if isinstance(answer, str):
        return b"s" + answer.encode("utf-8", "surrogatepass")
    return b"g" + json.dumps(asdict(answer), sort_keys=True).encode("ascii")


def _unpacked(data: bytes) -> Answer:
    if data[:1] == b"s":
        return data[1:].decode("utf-8", "surrogatepass")
    return Generation(**json.loads(data[1:]))
