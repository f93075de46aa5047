"""The worker processes that run now: started, fed, listened to, taken away."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterator
from typing import Any

from harness.sandbox.process import WorkerProcess
from harness.scratch import Scratch

_START_SECONDS = 60.0
_SILENT_SECONDS = 900.0
_TICK_SECONDS = 0.05
Replies = list[tuple[int, int, dict[str, Any], bytes]]


class Crew:
    """Workers for one kind of task, in an empty folder that they cannot write; `running` are those alive."""

    def __init__(self, task: str, options: Any, memory_bytes: int) -> None:
        self.running: list[WorkerProcess] = []
        self._task, self._options, self._memory = task, options, memory_bytes
        self._scratch = Scratch("harness-sandbox-")
        self._folder = str(self._scratch.path)
        os.chmod(self._folder, 0o500)
        self._selector = selectors.DefaultSelector()

    def close(self) -> None:
        """Kill every worker and take the working folder away."""
        while self.running:
            self.drop(self.running[-1])
        self._selector.close()
        self._scratch.close()

    @property
    def busy(self) -> int:
        """How many have jobs."""
        return sum(1 for worker in self.running if worker.inflight)

    def start(self) -> WorkerProcess:
        """Start one more."""
        worker = WorkerProcess(self._task, self._options, self._memory, self._folder)
        self.running.append(worker)
        self._selector.register(worker.output, selectors.EVENT_READ, worker)
        self._watch_input(worker)
        return worker

    def send(self, worker: WorkerProcess, jobs: list[tuple[int, Any, bool]]) -> None:
        """Hand over (number, payload, alone) jobs."""
        worker.send(jobs)
        self._watch_input(worker)

    def drop(self, worker: WorkerProcess) -> None:
        """Kill one and let go of it."""
        self.running.remove(worker)
        for stream in (worker.output, worker.input):
            if stream in self._selector.get_map():
                self._selector.unregister(stream)
        worker.close()

    def listen(self) -> Iterator[tuple[WorkerProcess, Replies, bool]]:
        """Wait a moment: each worker that said something, what it said, and whether it is still there.

        What waits for room in a worker's pipe is written meanwhile; workers dropped by the caller are passed over.
        """
        for event, _ in self._selector.select(_TICK_SECONDS):
            worker: WorkerProcess = event.data
            if worker not in self.running:
                continue
            if event.fileobj is not worker.input:
                yield worker, *worker.receive()
                continue
            worker.push()
            if not worker.wants_to_write:
                self._selector.unregister(worker.input)

    def overdue(self) -> list[WorkerProcess]:
        """Those that are past their job's deadline, silent for too long, or do not come up."""
        now = time.monotonic()
        return [worker for worker in self.running if _overdue(worker, now)]

    def _watch_input(self, worker: WorkerProcess) -> None:
        if worker.wants_to_write and worker.input not in self._selector.get_map():
            self._selector.register(worker.input, selectors.EVENT_WRITE, worker)


def _overdue(worker: WorkerProcess, now: float) -> bool:
    if not worker.ready:
        return now - worker.started > _START_SECONDS
    if not worker.inflight:
        return False
    until = worker.board.until
    return (0 < until < now) or now - worker.spoke > _SILENT_SECONDS
