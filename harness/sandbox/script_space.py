"""Tables of a CREATE TABLE / INSERT script: made inside a transaction that is rolled back, the cheapest clean database.

DuckDB refuses everything after the first error in a transaction, so that after one the script is run again into an
attached database of its own, where a failed statement harms nothing.
"""

from __future__ import annotations

from contextlib import suppress

from harness.dialect import Catalog, declared_catalog, plain_schema, translate_schema
from harness.sandbox.engine import PLACES, Engine, Failure
from harness.sandbox.space import Space, joined
from harness.sqltext import Kind

_ATTACHED = "work"


class ScriptSpace(Space):
    """Tables of a CREATE TABLE / INSERT script."""

    def __init__(self, engine: Engine, *, seconds: float, max_rows: int) -> None:
        super().__init__(engine, seconds=seconds, max_rows=max_rows)
        self.statements: tuple[str, ...] = ()
        """What DuckDB ran of the script, in its own dialect."""
        self._attached = False

    def _read_catalog(self) -> Catalog:
        return declared_catalog(self.statements) or super()._read_catalog()

    def load(self, statements: tuple[str, ...]) -> None:
        """Set the tables up from statements that `load_script` gave earlier."""
        self._writing = True
        self.statements = statements
        self.catalog = declared_catalog(statements) or self._lazy()
        self.engine.run(joined("BEGIN", *statements), self._seconds)

    def load_attached(self, statements: tuple[str, ...]) -> None:
        """As `load`, but into the attached database at once: for tables that are filled and emptied several times."""
        self.load(())
        self._mend()
        self.engine.run(joined(*statements), self._seconds)
        self.statements = statements

    def load_script(self, script: str, dialects: tuple[str, ...]) -> tuple[str, ...]:
        """Set the tables up from a script in the benchmark's dialect; DuckDB's words for what could not be loaded."""
        if self._load_plain(script, dialects):
            return ()
        self.load(())
        done: list[str] = []

        def run(sql: str) -> str | None:
            try:
                if self.engine.kind(sql) is not Kind.WRITE:
                    return "Parser Error: only statements that make and fill tables are run"
                self.engine.run(sql, self._seconds)
            except Failure as failure:
                if failure.kind in PLACES:
                    raise
                self.statements = tuple(done)
                self._mend()
                return failure.message
            done.append(sql)
            return None

        loaded = translate_schema(script, dialects, run)
        self.statements = tuple(done)
        return loaded.errors

    def _load_plain(self, script: str, dialects: tuple[str, ...]) -> bool:
        """All of the script at once, as most scripts allow; False (and nothing loaded) where this one does not."""
        statements = plain_schema(script, dialects)
        try:
            if statements is None or any(self.engine.kind(sql) is not Kind.WRITE for sql in statements):
                return False
            self.load(statements)
        except Failure as failure:
            if failure.kind in PLACES:
                raise
            self._abandon()
            return False
        return True

    def _abandon(self) -> None:
        """Out of a transaction that may not even have begun."""
        if self._writing:
            with suppress(Failure):
                self._undo()
            self._writing = False
        self.statements = ()

    def close(self) -> None:
        """Roll back, or take the attached database away."""
        if self._writing:
            self._undo()
        if self._attached:
            self.engine.run("USE memory", self._seconds)
            self.engine.run(f"DETACH {_ATTACHED}", self._seconds)
            self._attached = False

    def rewind(self) -> None:
        """The tables as the script made them."""
        self._written.clear()
        if self._attached:
            super().rewind()
        else:
            self._undo()
            self.load(self.statements)

    def _home(self) -> str:
        if not self._attached:
            self._mend()
        return _ATTACHED

    def _begin(self) -> None:
        if self._attached:
            super()._begin()

    def _mend(self) -> None:
        if self._attached:
            super()._mend()
            return
        self._undo()
        self.engine.run(f"ATTACH ':memory:' AS {_ATTACHED}", self._seconds)
        self._attached = True
        self.engine.run(joined(f"USE {_ATTACHED}", *self.statements), self._seconds)
        if self._written:
            self._begin()
            for sql in self._written:
                self.engine.run(sql, self._seconds)
