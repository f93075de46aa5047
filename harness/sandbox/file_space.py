"""Tables of a database file: copied in once, kept from job to job; only writes to them need a transaction."""

from __future__ import annotations

from harness.dialect import materialise_file
from harness.sandbox.engine import Engine
from harness.sandbox.space import Space


class FileSpace(Space):
    """Tables of a database file, copied once into an attached database and kept from job to job."""

    def __init__(self, engine: Engine, name: str, *, seconds: float, max_rows: int) -> None:
        super().__init__(engine, seconds=seconds, max_rows=max_rows)
        self._name = name

    def load(self, path: str) -> None:
        """Copy the file's tables in; leaves the database in use."""
        self.engine.run(f"ATTACH ':memory:' AS {self._name}", self._seconds)
        self.engine.run(f"USE {self._name}", self._seconds)
        self.catalog = materialise_file(path, self.engine.connection)

    def _home(self) -> str:
        return self._name

    def enter(self) -> None:
        """Make unqualified names mean this database's tables."""
        self.engine.run(f"USE {self._name}", self._seconds)

    def leave(self) -> None:
        """Make unqualified names mean no database's tables."""
        self.engine.run("USE memory", self._seconds)

    def drop(self) -> None:
        """Take the database away; another one must be in use."""
        self.engine.run(f"DETACH {self._name}", self._seconds)
