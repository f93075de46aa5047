"""A worker's databases, all in one DuckDB: one that scripts fill and leave, a few kept ones copied from files.

The whole DuckDB is replaced when a statement was interrupted or ran out of memory in it.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from harness.dialect import Catalog, declared_catalog, plain_schema, settings_of
from harness.errors import DataError
from harness.records import Database
from harness.sandbox.engine import Engine, EngineSettings
from harness.sandbox.file_space import FileSpace
from harness.sandbox.script_space import ScriptSpace
from harness.sandbox.watchdog import Watchdog
from harness.scoring.settings import ScoreSettings

_KEPT_FILES = 4
SEES_ALL = re.compile(r"information_schema|duckdb_\w+|pragma_|pg_|\bshow\b|sqlite_(?:master|schema)", re.IGNORECASE)


class Desk:
    """Lends one `Space` at a time."""

    def __init__(self, settings: ScoreSettings, watchdog: Watchdog, *, threads: int = 1) -> None:
        self._settings, self._watchdog = settings, watchdog
        self._engine_settings = EngineSettings(
            memory_bytes=settings.memory_bytes // 2,
            statements=settings_of(settings.dialects),
            clock=settings.clock,
            threads=threads,
        )
        self._engine: Engine | None = None
        self._files: OrderedDict[str, FileSpace] = OrderedDict()
        self._entered: FileSpace | None = None
        self._lent: ScriptSpace | FileSpace | None = None
        self._names = 0

    def lend(self, database: Database, statements: tuple[str, ...]) -> ScriptSpace | FileSpace:
        """A space for a database: an empty one for a script, a filled one for a file; DataError where it is unreadable.

        `statements` is what will be run in it: one that looks at the catalog must not find what other jobs left there.
        """
        if self._engine is None:
            self._engine = Engine(self._engine_settings, self._watchdog)
        space = self._file(self._engine, database) if database.path else self._script(self._engine)
        self._lent = space
        if len(self._files) > (self._entered is not None) and any(map(SEES_ALL.search, statements)):
            self._keep_only(self._entered)
        return space

    def catalog(self, database: Database) -> Catalog | None:
        """The names of a database's tables, where they can be told without setting it up."""
        if database.path:
            kept = self._files.get(database.key)
            return None if kept is None else kept.catalog
        statements = plain_schema(database.script, self._settings.dialects)
        return declared_catalog(statements) if statements else None

    def give_back(self) -> None:
        """Make the lent space ready for the next job; one that cannot be reset takes the whole DuckDB with it."""
        space, self._lent = self._lent, None
        if space is None:
            return
        try:
            space.close()
        except Exception:
            self.discard()

    def discard(self) -> None:
        """Throw everything away: a statement was interrupted, or ran out of memory."""
        engine, self._engine = self._engine, None
        self._files.clear()
        self._entered = self._lent = None
        if engine is not None:
            engine.close()

    def _script(self, engine: Engine) -> ScriptSpace:
        if self._entered is not None:
            self._entered.leave()
            self._entered = None
        return ScriptSpace(engine, seconds=self._settings.gold_seconds, max_rows=self._settings.max_rows)

    def _file(self, engine: Engine, database: Database) -> FileSpace:
        kept = self._files.get(database.key)
        if kept is not None:
            self._files.move_to_end(database.key)
            if kept is not self._entered:
                kept.enter()
                self._entered = kept
            return kept
        self._names += 1
        space = FileSpace(
            engine, f"file{self._names}", seconds=self._settings.gold_seconds, max_rows=self._settings.max_rows
        )
        try:
            space.load(database.path)
        except DataError:
            self.discard()
            raise
        self._files[database.key] = self._entered = space
        while len(self._files) > _KEPT_FILES:
            self._files.popitem(last=False)[1].drop()
        return space

    def _keep_only(self, space: FileSpace | None) -> None:
        for key, kept in list(self._files.items()):
            if kept is not space:
                kept.drop()
                del self._files[key]
