"""The parent: feeds workers, holds the deadline, kills and replaces, gives the answers back in the order of the jobs.

A job that ends its worker, runs out of time or out of memory is asked once more, alone, in a fresh worker, before
that counts. Memory is bounded by a window of jobs, not by their number.
"""

from __future__ import annotations

import os
import selectors
import time
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator
from types import TracebackType
from typing import Any

from harness.errors import SandboxError
from harness.sandbox.jobs import Answer, Job, Slot, bounded_workers
from harness.sandbox.process import WorkerProcess
from harness.sandbox.protocol import IDLE, PARTIAL
from harness.sandbox.worker import READY
from harness.scratch import Scratch

MEMORY_BYTES = 2 * 2**30
"""Address space of one worker."""
WINDOW = 1024
"""Jobs taken from the caller ahead of the oldest one without an answer."""
_BATCH = 8
_START_SECONDS = 60.0
_SILENT_SECONDS = 900.0
_KEPT_KEYS = 4
_TICK_SECONDS = 0.05


class Pool:
    """A bounded number of workers for one kind of task; a context manager."""

    def __init__(
        self,
        task: str,
        options: Any = None,
        *,
        workers: int = 0,
        memory_bytes: int = MEMORY_BYTES,
        window: int = WINDOW,
    ) -> None:
        self.workers = workers or bounded_workers(memory_bytes)
        self.confinement: dict[str, bool] = {}
        self.replaced = 0
        """Workers that were lost or retired so far."""
        self._task, self._options, self._memory = task, options, memory_bytes
        self._window = window
        self._scratch = Scratch("harness-sandbox-")
        self._folder = str(self._scratch.path)
        os.chmod(self._folder, 0o500)
        self._selector = selectors.DefaultSelector()
        self._running: list[WorkerProcess] = []
        self._slots: OrderedDict[int, Slot] = OrderedDict()
        self._queues: OrderedDict[Hashable, deque[int]] = OrderedDict()
        self._retries: deque[int] = deque()
        self._alone: int | None = None
        self._failed_starts = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill every worker and take the working folder away."""
        while self._running:
            self._drop(self._running[-1])
        self._selector.close()
        self._scratch.close()

    def pids(self) -> list[int]:
        """Process ids of the workers that run now, for measuring."""
        return [worker.pid for worker in self._running]

    def run(self, jobs: Iterable[Job]) -> Iterator[Answer]:
        """An answer for each job, in the order of the jobs; takes at most `window` jobs ahead."""
        source = enumerate(jobs)
        exhausted = False
        try:
            while True:
                while not exhausted and len(self._slots) < self._window:
                    taken = next(source, None)
                    if taken is None:
                        exhausted = True
                        break
                    self._accept(*taken)
                    if len(self._running) < self.workers or len(self._slots) % _BATCH == 0:
                        self._dispatch()
                while self._slots and next(iter(self._slots.values())).answer is not None:
                    answer = self._slots.popitem(last=False)[1].answer
                    assert answer is not None
                    yield answer
                if exhausted and not self._slots:
                    return
                if exhausted or len(self._slots) >= self._window:
                    self._step()
        finally:
            self._forget()

    def _accept(self, number: int, job: Job) -> None:
        self._slots[number] = Slot(job, job.answer)
        if job.answer is not None:
            return
        self._queues.setdefault(job.affinity, deque()).append(number)

    def _forget(self) -> None:
        """After an unfinished run: workers that still have jobs are replaced, so that the next run starts clean."""
        for worker in list(self._running):
            if worker.inflight:
                self._drop(worker)
        self._slots.clear()
        self._queues.clear()
        self._retries.clear()
        self._alone = None

    # -- one round: hand out, wait, read, judge the silent

    def _step(self) -> None:
        self._dispatch()
        for event, _ in self._selector.select(_TICK_SECONDS):
            worker: WorkerProcess = event.data
            if worker not in self._running:
                continue
            if event.fileobj is worker.input:
                self._push(worker)
                continue
            replies, alive = worker.receive()
            for number, kind, body, blob in replies:
                self._hear(worker, number, kind, body, blob)
            if not alive and worker in self._running:
                self._lose(worker)
        now = time.monotonic()
        for worker in list(self._running):
            if self._overdue(worker, now):
                self._lose(worker, timeout=worker.ready)

    def _overdue(self, worker: WorkerProcess, now: float) -> bool:
        if not worker.ready:
            return now - worker.started > _START_SECONDS
        if not worker.inflight:
            return False
        until = worker.board.until
        return (0 < until < now) or now - worker.spoke > _SILENT_SECONDS

    def _dispatch(self) -> None:
        if self._alone is None and self._retries and not any(self._queues.values()) and not self._busy():
            self._alone = self._retries.popleft()
            worker = self._running[0] if self._running else self._start()
            self._send(worker, [self._alone])
            return
        if self._alone is not None:
            return
        while len(self._running) < self.workers and len(self._running) < self._waiting():
            self._start()
        for worker in self._running:
            if len(worker.inflight) <= _BATCH // 2:
                numbers = self._take(worker)
                if numbers:
                    self._send(worker, numbers)

    def _waiting(self) -> int:
        return sum(map(len, self._queues.values())) + self._busy()

    def _busy(self) -> int:
        return sum(1 for worker in self._running if worker.inflight)

    def _take(self, worker: WorkerProcess) -> list[int]:
        """Jobs for a worker: of the databases it has, else of one that no other worker has, else of any."""
        others = {key for other in self._running if other is not worker for key in other.recent_keys[-1:]}
        mine = [key for key in reversed(worker.recent_keys) if self._queues.get(key)]
        free = (key for key in self._queues if key is None or key not in others)
        key = mine[0] if mine else next(free, next(iter(self._queues), None))
        queue = self._queues.get(key)
        if not queue:
            return []
        share = max(1, min(_BATCH, -(-len(queue) // (2 * self.workers)))) if key is None else _BATCH
        numbers = [queue.popleft() for _ in range(min(share, len(queue)))]
        if not queue:
            del self._queues[key]
        if key is not None:
            others_kept = [known for known in worker.recent_keys if known != key]
            worker.recent_keys = [*others_kept[-_KEPT_KEYS + 1 :], key]
        return numbers

    # -- workers

    def _start(self) -> WorkerProcess:
        worker = WorkerProcess(self._task, self._options, self._memory, self._folder)
        self._running.append(worker)
        self._selector.register(worker.output, selectors.EVENT_READ, worker)
        if worker.wants_to_write:
            self._selector.register(worker.input, selectors.EVENT_WRITE, worker)
        return worker

    def _send(self, worker: WorkerProcess, numbers: list[int]) -> None:
        alone = self._alone is not None
        worker.send([(number, self._slots[number].job.payload, alone) for number in numbers])
        if worker.wants_to_write and worker.input not in self._selector.get_map():
            self._selector.register(worker.input, selectors.EVENT_WRITE, worker)

    def _push(self, worker: WorkerProcess) -> None:
        worker.push()
        if not worker.wants_to_write:
            self._selector.unregister(worker.input)

    def _drop(self, worker: WorkerProcess) -> None:
        self._running.remove(worker)
        for stream in (worker.output, worker.input):
            if stream in self._selector.get_map():
                self._selector.unregister(stream)
        worker.close()

    def _hear(self, worker: WorkerProcess, number: int, kind: int, body: dict[str, Any], blob: bytes) -> None:
        if number == READY:
            worker.ready, worker.held = True, body["held"]
            self.confinement = body["held"]
            self._failed_starts = 0
            return
        slot = self._slots.get(number)
        if slot is None or number not in worker.inflight:
            return
        if kind == PARTIAL:
            slot.partial = body
            return
        del worker.inflight[number]
        if body.get("doubt") and not slot.retried:
            self._ask_again(number)
        else:
            self._settle(number, Answer(body, blob, retried=slot.retried))
        if body.get("retire"):
            self._replace(worker)

    def _settle(self, number: int, answer: Answer) -> None:
        self._slots[number].answer = answer
        if self._alone == number:
            self._alone = None

    def _ask_again(self, number: int) -> None:
        self._slots[number].retried = True
        self._retries.append(number)

    def _replace(self, worker: WorkerProcess) -> None:
        """Jobs the worker did not come to go back to the front of their queues."""
        for number in reversed(list(worker.inflight)):
            key = self._slots[number].job.affinity
            self._queues.setdefault(key, deque()).appendleft(number)
        self._drop(worker)
        self.replaced += 1

    def _lose(self, worker: WorkerProcess, *, timeout: bool = False) -> None:
        """A worker has died, or must: its current job is asked again or settled as lost."""
        status = worker.kill()
        replies, _ = worker.receive()
        for number, kind, body, blob in replies:
            if worker in self._running:
                self._hear(worker, number, kind, body, blob)
        if worker not in self._running:
            return
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts > 3:
                words = worker.last_words() or f"exit status {status}"
                raise SandboxError(
                    f"The scoring workers do not start ({words}): check that duckdb and sqlglot import in this "
                    f"Python, and that a process may have {self._memory / 2**30:.1f} GiB of address space."
                )
        number, stage = worker.board.number, worker.board.stage
        if number != IDLE and number in worker.inflight:
            del worker.inflight[number]
            slot = self._slots[number]
            if slot.retried:
                lost = "timeout" if timeout or status == -14 else "crash"
                self._settle(number, Answer(slot.partial, lost=lost, stage=stage, retried=True))
            else:
                self._ask_again(number)
        self._replace(worker)
