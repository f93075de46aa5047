"""The child process: confines itself, builds one task, answers jobs one after another until its input ends.

Started as a new interpreter (never forked from the parent: no memory, threads or GPU handles come along) with a
scrubbed environment and an empty working folder.

Covered: memory (RLIMIT_AS), time (interrupt, kill by the parent, SIGALRM), files (RLIMIT_FSIZE = 0, DuckDB without
external access, extensions or secrets on disk), the network where the kernel grants a network namespace, new
privileges, state left for the next job (each task resets or replaces its database), statements that end the process
(one job is lost, a fresh worker goes on).

NOT covered: a flaw in DuckDB, sqlglot or CPython that gives an attacker machine code inside the worker. Such code
could read files that this user may read, signal this user's processes, and lie about the jobs and gold answers of its
own worker; there is no system-call filter and no separate user. The parent never unpickles what a worker sends.
Against people rather than models, score in a container or a virtual machine without secrets. Caches and branch timing
are not covered either; CPU time is shared fairly by the kernel alone. Where the kernel refuses a network namespace
(`Pool.confinement` says so), DuckDB's own lock on external access is the only barrier to the network. On systems
other than Linux only DuckDB's locks and the deadline hold.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from harness.sandbox.confine import confine
from harness.sandbox.protocol import PARTIAL, Board, pack_reply, read_frame
from harness.sandbox.watchdog import Watchdog

_FLUSH_REPLIES = 16
_FLUSH_SECONDS = 0.02
_JOBS_A_LIFE = 20_000
"""Then a fresh worker takes over: DuckDB and the parse caches keep about two kilobytes a job."""
READY = -2
"""Number of the reply that says the worker is ready."""


class Reply(Protocol):
    """What a task may send before it is done: what is already known of a job."""

    def __call__(self, body: dict[str, Any]) -> None:
        """Send it."""


class Task(Protocol):
    """What a worker does; built once from the options that its parent gave.

    It may have a method `prepare(payload)` too: called for every job that came at once before the first of them is
    answered, for work that costs less done on end.
    """

    def answer(self, payload: Any, partial: Reply | None) -> tuple[dict[str, Any], bytes]:
        """A job's document and bytes. `partial` is given when the job is asked a second time, alone.

        The document's `doubt` says that the process rather than the job may be to blame, `retire` that this process
        should not go on.
        """


Build = Callable[[Any, Watchdog], Task]


class _Output:
    """Replies gathered into few writes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._frames: list[bytes] = []
        self._since = time.monotonic()

    def add(self, frame: bytes, *, now: bool = False) -> None:
        self._frames.append(frame)
        if now or len(self._frames) >= _FLUSH_REPLIES or time.monotonic() - self._since > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        data = memoryview(b"".join(self._frames))
        self._frames.clear()
        while data:
            data = data[os.write(self._descriptor, data) :]
        self._since = time.monotonic()


class _Absent:
    """Keeps pandas out: DuckDB and pyarrow import it when it is there (0.4 s a worker) and never need it here."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuses pandas, knows nothing of anything else."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def serve(task: Task, watchdog: Watchdog, incoming: int, output: _Output) -> None:
    """Answer jobs until the input ends or one leaves the process unfit to go on."""
    answered = 0
    prepare: Callable[[Any], None] | None = getattr(task, "prepare", None)
    while True:
        output.flush()
        frame = read_frame(incoming)
        if frame is None:
            return
        jobs = pickle.loads(frame)
        for number, payload, alone in jobs:
            if prepare is not None and not alone:
                watchdog.begin(number)
                prepare(payload)
        for number, payload, alone in jobs:
            watchdog.begin(number)

            def partial(body: dict[str, Any], number: int = number) -> None:
                output.add(pack_reply(number, body, kind=PARTIAL), now=True)

            body, blob = task.answer(payload, partial if alone else None)
            watchdog.end()
            answered += 1
            if answered >= _JOBS_A_LIFE:
                body["retire"] = True
            retire = bool(body.get("retire"))
            output.add(pack_reply(number, body, blob), now=retire)
            if retire:
                return


def main() -> None:
    """Entry: `descriptors, memory, task name, options` come as the first frame on standard input."""
    incoming, outgoing = os.dup(0), os.dup(1)
    # nothing a library prints may end up among the replies
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    hello = read_frame(incoming)
    if hello is None:
        return
    board_descriptor, memory_bytes, name, options = pickle.loads(hello)
    held = confine(memory_bytes)
    sys.meta_path.insert(0, _Absent())
    module, _, attribute = name.partition(":")
    build: Build = getattr(importlib.import_module(module), attribute)
    sys.setrecursionlimit(3000)
    watchdog = Watchdog(Board(board_descriptor))
    output = _Output(outgoing)
    task = build(options, watchdog)
    # parse trees are many small objects and die young: looking through the imported modules each time costs a tenth
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    output.add(pack_reply(READY, {"held": held}), now=True)
    serve(task, watchdog, incoming, output)


if __name__ == "__main__":
    main()
