"""Gold answers and verdicts on disk, by the digest of all they depend on; one SQLite file each, for all benchmarks.

An entry is kept with the digest of its bytes: one that was damaged is told by it, dropped, and made again. A file
that is no longer a database is put aside the same way. Losing the cache costs time, never a verdict.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import duckdb

from harness.records import Database
from harness.scoring.question import Question
from harness.scoring.settings import ScoreSettings
from harness.suite.record import code_digest as suite_digest

_LOG = logging.getLogger(__name__)
_COMMIT_EVERY = 500
_SOURCES = ("answer", "dialect", "sandbox", "scoring", "sqltext")


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Digest of the code and libraries an answer depends on: a changed translation must not find old answers."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(f"{duckdb.__version__} {version('sqlglot')}".encode())
    for folder in _SOURCES:
        for file in sorted((package / folder).glob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=16)
def _prefix(settings: ScoreSettings) -> bytes:
    return (code_digest() + json.dumps(settings.verdict_facts(), sort_keys=True)).encode()


def gold_key(database: Database, sql: str, settings: ScoreSettings) -> str:
    """The cache key (hex) of a gold statement's answer."""
    digest = hashlib.sha256(_prefix(settings))
    # the script itself rather than its key: a benchmark file may have been edited under the same name
    digest.update((database.key + "\0" + database.script + "\0" + sql).encode(errors="surrogatepass"))
    return digest.hexdigest()[:40]


@lru_cache(maxsize=16)
def _judged_by(settings: ScoreSettings) -> bytes:
    changes_nothing = ("workers", "cache_dir", "reuse_verdicts")
    facts = {name: value for name, value in asdict(settings).items() if name not in changes_nothing}
    return (code_digest() + suite_digest() + json.dumps(facts, sort_keys=True)).encode()


def verdict_key(asked: Question, settings: ScoreSettings) -> str:
    """The cache key (hex) of a verdict: of tables and golds (by their keys), answer, witnesses and every setting."""
    digest = hashlib.sha256(_judged_by(settings))
    facts = (asked.keys, asked.text, asked.is_sql, asked.finished, asked.suites)
    digest.update(repr(facts).encode(errors="surrogatepass"))
    return digest.hexdigest()[:40]


class ContentCache:
    """Bytes by the digest of what they were made from; without a folder it keeps nothing."""

    def __init__(self, folder: str, name: str = "golds") -> None:
        self.damaged = 0
        """Entries that were dropped for not being what was written."""
        self.hits = self.misses = 0
        self._waiting: dict[str, bytes] = {}
        self._connection: sqlite3.Connection | None = None
        if folder:
            self._path = Path(folder) / f"{name}.sqlite"
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return self._connect()
        except sqlite3.DatabaseError:
            self._tell(f"{self._path} was no database any more")
            try:
                self._path.replace(self._path.with_suffix(".damaged"))
                return self._connect()
            except (OSError, sqlite3.Error):
                return None
        except OSError:
            return None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=5.0, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, digest BLOB, data BLOB) WITHOUT ROWID"
        )
        return connection

    def get(self, key: str) -> bytes | None:
        """The bytes of a key; None where there is none, or none that can be trusted."""
        found = self._waiting.get(key)
        if found is None and self._connection is not None:
            found = self._read(key)
        self.hits += found is not None
        self.misses += found is None
        return found

    def _read(self, key: str) -> bytes | None:
        assert self._connection is not None
        try:
            row = self._connection.execute("SELECT digest, data FROM entry WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            if _digest(key, row[1]) == row[0]:
                return bytes(row[1])
            self._tell(f"an entry of {self._path} was not what had been written")
            self._connection.execute("DELETE FROM entry WHERE key = ?", (key,))
            self._connection.commit()
        except (sqlite3.Error, TypeError) as error:
            self._tell(f"an entry of {self._path} cannot be read ({error})")
        return None

    def _tell(self, words: str) -> None:
        """Count a damaged entry; the first one is told."""
        self.damaged += 1
        if self.damaged == 1:
            _LOG.warning("harness: %s; it is made again.", words)

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes; written in batches."""
        if self._connection is None:
            return
        self._waiting[key] = data
        if len(self._waiting) >= _COMMIT_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what waits; a cache that cannot be written is no error."""
        if self._connection is None or not self._waiting:
            return
        rows = [(key, _digest(key, data), data) for key, data in self._waiting.items()]
        try:
            self._connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", rows)
            self._connection.commit()
        except sqlite3.Error:
            self._connection.rollback()
        self._waiting.clear()

    def close(self) -> None:
        """Write what waits and let the file go."""
        self.flush()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + data).digest()[:16]
