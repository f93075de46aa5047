"""One worker as its parent sees it: started with nothing of ours but a pipe, written to and read without waiting."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from harness.sandbox.protocol import Board, FrameReader, pack_jobs, unpack_reply

_ROOT = str(Path(__file__).resolve().parent.parent.parent)
_START = f"import sys; sys.path.insert(0, {_ROOT!r}); from harness.sandbox.worker import main; main()"
_PIPE_BYTES = 2**20
_READ_BYTES = 2**18
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # every arena reserves address space, which is what RLIMIT_AS counts
    "MALLOC_ARENA_MAX": "2",
    # DuckDB's blocks come from the heap, not from a fresh mapping (and its page faults) each time
    "MALLOC_MMAP_THRESHOLD_": str(2**26),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    # binding and planning are thousands of small blocks that live briefly: kept a thread in longer lists than glibc's
    # own 7, they take a sixth of DuckDB's time away
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=1024",
}


class WorkerProcess:
    """A running worker: what it was given, what it has said."""

    def __init__(self, task: str, options: Any, memory_bytes: int, folder: str) -> None:
        self.inflight: dict[int, Any] = {}
        self.recent_keys: list[Hashable] = []
        self.ready = False
        self.held: dict[str, bool] = {}
        self.started = time.monotonic()
        self.spoke = self.started
        self._unsent = bytearray()
        self._frames = FrameReader()
        self.board, descriptor = Board.create()
        try:
            self._process = subprocess.Popen(
                # the task's name is for whoever looks at the list of processes
                [sys.executable, "-P", "-s", "-c", _START, task],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={**_ENVIRONMENT, "HOME": folder, "TMPDIR": folder},
                pass_fds=(descriptor,),
                start_new_session=True,
                bufsize=0,
            )
        finally:
            os.close(descriptor)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.input, self.output, self._errors = self._process.stdin, self._process.stdout, self._process.stderr
        for stream in (self.input, self.output, self._errors):
            os.set_blocking(stream.fileno(), False)
        for stream in (self.input, self.output):
            _widen(stream.fileno())
        hello = pickle.dumps((descriptor, memory_bytes, task, options), protocol=pickle.HIGHEST_PROTOCOL)
        self._unsent += struct.pack("<I", len(hello)) + hello
        self.push()

    @property
    def pid(self) -> int:
        """Process id, for measuring."""
        return self._process.pid

    @property
    def wants_to_write(self) -> bool:
        """Bytes wait for room in the pipe."""
        return bool(self._unsent)

    def send(self, jobs: list[tuple[int, Any, bool]]) -> None:
        """Hand over (number, payload, alone) jobs."""
        if not self.inflight:
            self.spoke = time.monotonic()
        for number, payload, _ in jobs:
            self.inflight[number] = payload
        self._unsent += pack_jobs(jobs)  # type: ignore[arg-type]
        self.push()

    def push(self) -> None:
        """Write what the pipe takes now."""
        try:
            while self._unsent:
                written = os.write(self.input.fileno(), memoryview(self._unsent)[:_READ_BYTES])
                del self._unsent[:written]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent.clear()

    def receive(self) -> tuple[list[tuple[int, int, dict[str, Any], bytes]], bool]:
        """(whole replies that have come in, whether the worker is still there)."""
        replies: list[tuple[int, int, dict[str, Any], bytes]] = []
        try:
            while True:
                data = os.read(self.output.fileno(), _READ_BYTES)
                if not data:
                    return replies, False
                self.spoke = time.monotonic()
                replies += map(unpack_reply, self._frames.feed(data))
                if len(data) < _READ_BYTES:
                    return replies, True
        except BlockingIOError:
            return replies, True
        except (ValueError, struct.error):
            return replies, False

    def kill(self) -> int:
        """End the process with all it started; its exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def close(self) -> None:
        """Kill and free everything."""
        self.kill()
        for stream in (self.input, self.output, self._errors):
            stream.close()
        self.board.close()

    def last_words(self) -> str:
        """What the process wrote to its error stream, the end of it."""
        try:
            return os.read(self._errors.fileno(), 2**16).decode(errors="replace")[-1500:].strip()
        except (BlockingIOError, OSError):
            return ""


def _widen(descriptor: int) -> None:
    # the default size works too, with more wakings
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
