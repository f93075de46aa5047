"""Ids met so far, in a temporary SQLite file: a file of a million rows is read in the memory of a thousand."""

from __future__ import annotations

import sqlite3


class SeenIds:
    """Remembers in which row each id stood first."""

    def __init__(self) -> None:
        # an empty name is SQLite's private temporary database: in memory while small, then on disk, gone with us
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.executescript(
            "PRAGMA journal_mode = OFF; CREATE TABLE seen (id BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID"
        )
        self._file.execute("BEGIN")
        self.count = 0

    def earlier(self, identity: str, row: int) -> int | None:
        """The row that had this id before; None where it is new, and then it is remembered."""
        key = identity.encode("utf-8", "surrogatepass")
        if self._file.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, row)).rowcount == 1:
            self.count += 1
            return None
        found = self._file.execute("SELECT row FROM seen WHERE id = ?", (key,)).fetchone()
        return int(found[0])
