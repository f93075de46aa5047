"""A worker's databases: one for scripts, a few kept ones for database files, each replaced when it cannot be trusted."""

from __future__ import annotations

from collections import OrderedDict

from harness.dialect import settings_of
from harness.errors import DataError
from harness.records import Database
from harness.sandbox.engine import Engine, EngineSettings
from harness.sandbox.space import FileSpace, ScriptSpace, Space
from harness.sandbox.watchdog import Watchdog
from harness.scoring.settings import ScoreSettings

_KEPT_FILES = 4


class Desk:
    """Lends one `Space` at a time."""

    def __init__(self, settings: ScoreSettings, watchdog: Watchdog) -> None:
        self._settings, self._watchdog = settings, watchdog
        self._engine_settings = EngineSettings(
            memory_bytes=settings.memory_bytes // 2, statements=settings_of(settings.dialects), clock=settings.clock
        )
        self._scripts: Engine | None = None
        self._files: OrderedDict[str, FileSpace] = OrderedDict()
        self._lent: Space | None = None

    def lend(self, database: Database) -> ScriptSpace | FileSpace:
        """A space for a database: an empty one for a script, a filled one for a file. DataError where the file is unreadable."""
        if database.path:
            space: ScriptSpace | FileSpace = self._file(database)
        else:
            if self._scripts is None:
                self._scripts = self._engine()
            space = ScriptSpace(self._scripts, seconds=self._settings.gold_seconds, max_rows=self._settings.max_rows)
        self._lent = space
        return space

    def give_back(self) -> None:
        """Make the lent space ready for the next job; one that cannot be reset is replaced."""
        space, self._lent = self._lent, None
        if space is None:
            return
        try:
            space.close()
        except Exception:
            self._lent = space
            self.discard()

    def discard(self) -> None:
        """Throw the lent space's database away: a statement was interrupted, or ran out of memory in it."""
        space, self._lent = self._lent, None
        if space is None:
            return
        if space.engine is self._scripts:
            self._scripts = None
        for key, kept in list(self._files.items()):
            if kept is space:
                del self._files[key]
        space.engine.close()

    def _engine(self) -> Engine:
        return Engine(self._engine_settings, self._watchdog)

    def _file(self, database: Database) -> FileSpace:
        kept = self._files.get(database.key)
        if kept is not None:
            self._files.move_to_end(database.key)
            return kept
        while len(self._files) >= _KEPT_FILES:
            self._files.popitem(last=False)[1].engine.close()
        engine = self._engine()
        space = FileSpace(engine, seconds=self._settings.gold_seconds, max_rows=self._settings.max_rows)
        try:
            space.load(database.path)
        except DataError:
            engine.close()
            raise
        self._files[database.key] = space
        return space
