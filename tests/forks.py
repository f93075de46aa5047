"""Harness commands as processes of their own that need not import torch and its friends again.

A nursery imports them once and forks: each command has a process id, an environment, a folder and files of its own, and
can be killed like any other, but starts in milliseconds. What a cold start is like is shown by tests that start Python.

    done = forks.run(["train", "toy.toml"], cwd=place)        # as subprocess.run(..., capture_output=True, text=True)
    running = forks.start(["train", "toy.toml"], cwd=place)   # .pid, .poll(), .kill(), .wait()

As a program it stands for Python where others start `python -m harness ...` (torchrun asks PYTHON_EXEC): it has the
command forked, hands its files and environment on, and ends as the command does; if it is killed, so is the command.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "HARNESS_TEST_NURSERY"
"""Environment variable: where the nursery listens."""


class Running:
    """One command under way, or done."""

    def __init__(self, args: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, module: str = "") -> None:
        self.args = list(args)
        self._out, self._err = (tempfile.TemporaryFile("w+", errors="replace") for _ in range(2))  # noqa: SIM115
        nothing = os.open(os.devnull, os.O_RDONLY)
        environment = {**os.environ, **(env or {}), "PYTHONPATH": str(ROOT), ADDRESS: nursery()}
        files = (nothing, self._out.fileno(), self._err.fileno())
        self._line = _ask(nursery(), self.args, str(cwd), environment, files, module)
        os.close(nothing)
        self.pid = int(_told(self._line))
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit status as subprocess gives it; None while it runs."""
        self._line.settimeout(0.001)
        return self._await()

    def wait(self, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Its end, with what it wrote; TimeoutExpired where there is none in time."""
        self._line.settimeout(timeout)
        if self._await() is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        assert self._code is not None
        return subprocess.CompletedProcess(self.args, self._code, _read(self._out), _read(self._err))

    def kill(self) -> None:
        """End it without a word, unless it has ended; what it wrote stays readable."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self._line.settimeout(60)
            self._await()

    def _await(self) -> int | None:
        if self._code is None:
            try:
                self._code = int(_told(self._line))
            except TimeoutError:
                return None
        return self._code


def start(args: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, module: str = "") -> Running:
    """Start `harness ARGS` (or a module's `main`) in a folder; `env` is laid over this process's environment."""
    return Running(args, cwd, env, module)


def run(
    args: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """`harness ARGS` to its end."""
    return start(args, cwd, env).wait(timeout)


_nursery: list[tuple[subprocess.Popen[bytes], str]] = []


def nursery() -> str:
    """The address of this process's nursery, which is started where there is none yet and ends with this process."""
    if not _nursery:
        folder = tempfile.mkdtemp(prefix="forks-")
        address = f"{folder}/socket"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        # it lives as long as its stdin is open
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", address], stdin=subprocess.PIPE, env=environment
        )
        end = time.monotonic() + 280
        while not os.path.exists(address):
            assert process.poll() is None, "the nursery has ended"
            assert time.monotonic() < end, "the nursery does not answer"
            time.sleep(0.01)
        _nursery.append((process, address))
    return _nursery[0][1]


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


# -- both sides


def _ask(
    address: str, args: list[str], cwd: str, env: dict[str, str], files: tuple[int, ...], module: str
) -> socket.socket:
    """Have a command forked; a line on which its process id and then its exit status are told."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)
    order = json.dumps({"args": args, "cwd": cwd, "env": env, "module": module}).encode()
    socket.send_fds(line, [len(order).to_bytes(4, "little")], list(files))
    line.sendall(order)
    return line


def _told(line: socket.socket) -> bytes:
    """One line, which never comes in pieces; TimeoutError where none comes in time."""
    found = b""
    while not found.endswith(b"\n"):
        data = line.recv(1)
        assert data, "the nursery has ended"
        found += data
    return found


def _stand_in(words: list[str]) -> None:
    """Be `python [-u] -m harness ARGS` for somebody who starts Python."""
    args = words[words.index("harness") + 1 :]
    line = _ask(os.environ[ADDRESS], args, os.getcwd(), dict(os.environ), (0, 1, 2), "")
    pid = int(_told(line))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    code = int(_told(line))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        sys.path[:0] = [str(ROOT)]
        import nursing

        nursing.serve(sys.argv[2])
    else:
        _stand_in(sys.argv[1:])
