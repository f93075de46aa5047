"""The parent: feeds workers, holds the deadline, kills and replaces, gives the answers back in the order of the jobs.

A job that ends its worker, runs out of time or out of memory is asked once more, alone, in a fresh worker, before
that counts. Memory is bounded by a window of jobs, not by their number.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from harness.errors import SandboxError
from harness.sandbox.backlog import BATCH, Backlog
from harness.sandbox.crew import Crew
from harness.sandbox.jobs import Answer, Job, Slot, bounded_workers
from harness.sandbox.process import WorkerProcess
from harness.sandbox.protocol import IDLE, PARTIAL
from harness.sandbox.worker import READY

MEMORY_BYTES = 2 * 2**30
"""Address space of one worker."""
WINDOW = 1024
"""Jobs taken from the caller ahead of the oldest one without an answer."""


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
        self._memory = memory_bytes
        self._window = window
        self._crew = Crew(task, options, memory_bytes)
        self._slots: OrderedDict[int, Slot] = OrderedDict()
        self._backlog = Backlog()
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
        self._crew.close()

    def pids(self) -> list[int]:
        """Process ids of the workers that run now, for measuring."""
        return [worker.pid for worker in self._crew.running]

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
                    if len(self._crew.running) < self.workers or len(self._slots) % BATCH == 0:
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
        if job.answer is None:
            self._backlog.put(number, job.affinity)

    def _forget(self) -> None:
        """After an unfinished run: workers that still have jobs are replaced, so that the next run starts clean."""
        for worker in list(self._crew.running):
            if worker.inflight:
                self._crew.drop(worker)
        self._slots.clear()
        self._backlog.clear()
        self._retries.clear()
        self._alone = None

    # -- one round: hand out, wait, read, judge the silent

    def _step(self) -> None:
        self._dispatch()
        for worker, replies, alive in self._crew.listen():
            for reply in replies:
                self._hear(worker, *reply)
            if not alive and worker in self._crew.running:
                self._lose(worker)
        for worker in self._crew.overdue():
            self._lose(worker, timeout=worker.ready)

    def _dispatch(self) -> None:
        crew = self._crew
        if self._alone is None and self._retries and not self._backlog and not crew.busy:
            self._alone = self._retries.popleft()
            self._send(crew.running[0] if crew.running else crew.start(), [self._alone])
            return
        if self._alone is not None:
            return
        while len(crew.running) < min(self.workers, len(self._backlog) + crew.busy):
            crew.start()
        for worker in crew.running:
            if len(worker.inflight) <= BATCH // 2:
                others = (other for other in crew.running if other is not worker)
                if numbers := self._backlog.take(worker, others, self.workers):
                    self._send(worker, numbers)

    def _send(self, worker: WorkerProcess, numbers: list[int]) -> None:
        alone = self._alone is not None
        self._crew.send(worker, [(number, self._slots[number].job.payload, alone) for number in numbers])

    # -- what workers say, and what becomes of those that say nothing more

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
            self._backlog.put_back(number, self._slots[number].job.affinity)
        self._crew.drop(worker)
        self.replaced += 1

    def _lose(self, worker: WorkerProcess, *, timeout: bool = False) -> None:
        """A worker has died, or must: its current job is asked again or settled as lost."""
        status = worker.kill()
        replies, _ = worker.receive()
        for number, kind, body, blob in replies:
            if worker in self._crew.running:
                self._hear(worker, number, kind, body, blob)
        if worker not in self._crew.running:
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
