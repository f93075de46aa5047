"""Jobs that wait for a worker, in queues by what they share."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable

from harness.sandbox.process import WorkerProcess

BATCH = 8
"""Jobs handed over at once."""
_KEPT_KEYS = 4


class Backlog:
    """Numbers of jobs by affinity, oldest first; those of none are anybody's."""

    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, deque[int]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def put(self, number: int, key: Hashable) -> None:
        """Add a job behind the others of its affinity."""
        self._queues.setdefault(key, deque()).append(number)

    def put_back(self, number: int, key: Hashable) -> None:
        """Add a job before the others of its affinity: it was taken and not come to."""
        self._queues.setdefault(key, deque()).appendleft(number)

    def clear(self) -> None:
        """Forget every job."""
        self._queues.clear()

    def take(self, worker: WorkerProcess, others: Iterable[WorkerProcess], shares: int) -> list[int]:
        """Jobs for a worker: of the databases it has, else of one that no other worker has, else of any.

        `shares`: between how many workers jobs of no affinity are divided; the worker's keys are brought up to date.
        """
        held = {key for other in others for key in other.recent_keys[-1:]}
        mine = [key for key in reversed(worker.recent_keys) if self._queues.get(key)]
        free = (key for key in self._queues if key is None or key not in held)
        key = mine[0] if mine else next(free, next(iter(self._queues), None))
        queue = self._queues.get(key)
        if not queue:
            return []
        share = max(1, min(BATCH, -(-len(queue) // (2 * shares)))) if key is None else BATCH
        numbers = [queue.popleft() for _ in range(min(share, len(queue)))]
        if not queue:
            del self._queues[key]
        if key is not None:
            kept = [known for known in worker.recent_keys if known != key]
            worker.recent_keys = [*kept[-_KEPT_KEYS + 1 :], key]
        return numbers
