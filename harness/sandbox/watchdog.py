"""The deadline inside a worker: a thread that interrupts DuckDB, and two harder ends behind it.

DuckDB's interrupt is asked for first; some statements ignore it (`len(range(5e8))`). The parent reads the same moment
from the board and kills the worker a little later; should the parent be gone, the kernel's timer ends the process.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Protocol

from harness.sandbox.protocol import Board

_TICK_SECONDS = 0.02
GRACE_SECONDS = 0.5
"""What an interrupted statement gets to give up before its worker is killed."""
PYTHON_SECONDS = 20.0
"""What the worker's own work between two statements may take: reading SQL, comparing tables."""
_ORPHAN_SECONDS = 10.0
"""How long past a deadline the process lives where its parent is gone."""


class Interruptible(Protocol):
    """A DuckDB connection, as far as the deadline needs it."""

    def interrupt(self) -> None:
        """Stop what runs."""


class Watchdog:
    """Holds the deadline of what this process runs; one a worker."""

    def __init__(self, board: Board) -> None:
        self.stage = 0
        self.fired = False
        self._board = board
        self._target: Interruptible | None = None
        self._until = 0.0
        self._alarm = 0.0
        self._parent = os.getppid()
        # SIGALRM's default is death: no Python code has to run for it
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def start(self, target: Interruptible, seconds: float) -> None:
        """A statement begins that may take so many seconds."""
        now = time.monotonic()
        self.fired = False
        self._until = now + seconds
        self._target = target
        self._arm(now + seconds + GRACE_SECONDS)

    def stop(self) -> None:
        """The statement is over; the worker's own work goes on under its own limit."""
        self._target = None
        self._arm(time.monotonic() + PYTHON_SECONDS)

    def begin(self, number: int) -> None:
        """A job begins."""
        self._board.begin(number)
        self._arm(time.monotonic() + PYTHON_SECONDS)

    def end(self) -> None:
        """No job runs: wait for the parent as long as it takes."""
        self._board.begin(-1)
        self._alarm = 0.0
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _arm(self, until: float) -> None:
        self._board.arm(self.stage, until)
        # the kernel's timer is for a worker without a parent: within one job it is only ever put off
        if until > self._alarm:
            self._alarm = until + _ORPHAN_SECONDS
            signal.setitimer(signal.ITIMER_REAL, max(self._alarm - time.monotonic(), 0.001))

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            target = self._target
            if target is not None and time.monotonic() > self._until:
                self.fired = True
                target.interrupt()
            elif os.getppid() != self._parent:
                os._exit(1)
