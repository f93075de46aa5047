"""Suites on disk, one file each, named by the digest of everything they depend on: made once an item, not a checkpoint.

A file holds the digest of its text on the first line. One that is cut short or changed is told by it, counted, taken
away and made again; a folder that cannot be written costs time, never a verdict.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from pathlib import Path

from harness.scratch import write_whole
from harness.suite.record import Suite

_LOG = logging.getLogger(__name__)


class SuiteCache:
    """Suites by key; without a folder it keeps nothing."""

    def __init__(self, folder: str | Path = "") -> None:
        self._root = Path(folder) / "suites" if folder else None
        self.hits = 0
        self.misses = 0
        self.damaged = 0
        """Entries that were not what had been written."""

    def get(self, key: str) -> Suite | None:
        """The suite of a key; None where there is none that can be trusted."""
        path = self._path(key)
        found = self._read(path, key) if path is not None else None
        self.hits += found is not None
        self.misses += found is None
        return found

    def put(self, key: str, suite: Suite) -> None:
        """Keep a suite, whole or not at all."""
        path = self._path(key)
        if path is None:
            return
        text = suite.to_json()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, f"{_digest(key, text)}\n{text}\n".encode())
        except OSError:
            return

    def _path(self, key: str) -> Path | None:
        return self._root / key[:2] / f"{key}.json" if self._root is not None else None

    def _read(self, path: Path, key: str) -> Suite | None:
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        try:
            digest, _, text = raw.decode("utf-8").partition("\n")
            text = text.removesuffix("\n")
            if digest != _digest(key, text):
                raise ValueError("the digest does not fit")
            return Suite.from_json(text)
        except (ValueError, KeyError, TypeError):
            self.damaged += 1
            if self.damaged == 1:
                _LOG.warning("harness: the stored suite %s was not what had been written; it is made again.", path)
            with contextlib.suppress(OSError):
                path.unlink()
            return None


def _digest(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\0{text}".encode()).hexdigest()
