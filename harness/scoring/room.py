"""A space whose empty tables are filled and questioned again and again: the suites' `Executor` inside a scorer."""

from __future__ import annotations

from collections.abc import Sequence

from harness.answer import State, Table
from harness.sandbox.engine import BINDING, PLACES, Failure
from harness.sandbox.script_space import ScriptSpace
from harness.sqltext import split_statements
from harness.suite.execute import StatementError


class Room:
    """Runs statements on witnesses; a `Failure` that may be this process's own fault is let through."""

    def __init__(self, space: ScriptSpace, seconds: float) -> None:
        self.space = space
        self._seconds = seconds
        self._inserts: tuple[str, ...] = ()

    def load(self, inserts: Sequence[str]) -> None:
        """Empty every table, then fill them; StatementError where a constraint is violated."""
        self.space.rewind()
        self._inserts = tuple(inserts)
        try:
            self.space.fill(self._inserts, self._seconds)
        except Failure as failure:
            raise _error(failure) from failure

    def empty(self) -> None:
        """The tables as they were before any witness."""
        self.space.rewind()

    def binds(self, sql: str) -> bool:
        """Whether a reading statement runs on the loaded rows."""
        return self.space.bind(sql, self._seconds) is None

    def query(self, sql: str) -> Table:
        """The rows of a reading statement; StatementError where it fails."""
        try:
            return self.space.query(sql, self._seconds)[0]
        except Failure as failure:
            raise _error(failure) from failure

    def state(self, sql: str) -> State:
        """Every table and view after writing statements, which are then undone; StatementError where one fails."""
        try:
            for statement in split_statements(sql):
                self.space.write(statement, self._seconds)
            state = self.space.state(self._seconds)
        except Failure as failure:
            raise _error(failure) from failure
        self.load(self._inserts)
        return state


def _error(failure: Failure) -> StatementError:
    if failure.kind in PLACES:
        raise failure
    return StatementError("bind" if failure.kind in BINDING else "run", failure.message)
