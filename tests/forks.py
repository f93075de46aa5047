"""Harness commands as processes of their own that need not import torch and its friends again.

A nursery imports them once and forks: each command has a process id, an environment, a folder and files of its own, and
can be killed like any other, but starts in milliseconds. What a cold start is like is shown by tests that start Python.

    done = forks.run(["train", "toy.toml"], cwd=place)        # as subprocess.run(..., capture_output=True, text=True)
    running = forks.start(["train", "toy.toml"], cwd=place)   # .pid, .poll(), .kill(), .wait()
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Running:
    """One command under way, or done."""

    pid: int
    folder: Path
    args: list[str]

    def poll(self) -> int | None:
        """The exit status as subprocess gives it; None while it runs."""
        return _nursery().status(self.pid, 0.0)

    def wait(self, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Its end, with what it wrote; TimeoutExpired where there is none in time."""
        code = _nursery().status(self.pid, timeout)
        if code is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        out, err = ((self.folder / name).read_text(errors="replace") for name in ("out", "err"))
        return subprocess.CompletedProcess(self.args, code, out, err)

    def kill(self) -> None:
        """End it without a word, unless it has ended; what it wrote stays readable."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            _nursery().status(self.pid, 60.0)


def start(args: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> Running:
    """Start `harness ARGS` in a folder; `env` is laid over this process's environment."""
    folder = Path(tempfile.mkdtemp(prefix="forks-", dir=_scratch()))
    order = {"args": list(args), "cwd": str(cwd), "env": {**os.environ, **(env or {})}, "folder": str(folder)}
    return Running(_nursery().born(order), folder, list(args))


def run(args: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 240):
    """`harness ARGS` to its end."""
    return start(args, cwd, env).wait(timeout)


@cache
def _scratch() -> str:
    folder = tempfile.TemporaryDirectory(prefix="forks-")
    atexit.register(folder.cleanup)
    return folder.name


@cache
def _nursery() -> _Nursery:
    return _Nursery()


class _Nursery:
    """This side of the process that forks."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        # its own messages (a failed import) are wanted; what its children say goes to their files
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._pending = b""
        self._ended: dict[int, int] = {}
        atexit.register(self._close)

    def born(self, order: dict[str, object]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        while True:
            news = self._news(120.0)
            assert news is not None, "the nursery does not answer"
            if "born" in news:
                return news["born"]

    def status(self, pid: int, timeout: float) -> int | None:
        end = time.monotonic() + timeout
        while pid not in self._ended:
            if self._news(max(0.0, end - time.monotonic())) is None and time.monotonic() >= end:
                return self._ended.get(pid)
        return self._ended[pid]

    def _news(self, timeout: float) -> dict[str, int] | None:
        """One line of the nursery, or None where none comes in time."""
        assert self._process.stdout is not None
        end = time.monotonic() + timeout
        while b"\n" not in self._pending:
            left = max(0.0, end - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                return None
            found = os.read(self._process.stdout.fileno(), 65536)
            assert found, "the nursery has ended"
            self._pending += found
        line, _, self._pending = self._pending.partition(b"\n")
        news = json.loads(line)
        if "ended" in news:
            self._ended[news["ended"]] = news["code"]
        return news

    def _close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


# -- the nursery's own side


def _serve() -> None:
    """Fork for every line of stdin; tell births and ends on stdout."""
    _grow_up()
    answers = os.dup(1)
    os.dup2(2, 1)
    living: set[int] = set()
    pending, open_ = b"", True
    while open_ or living:
        ready = select.select([0] if open_ else [], [], [], 0.01 if living else None)[0]
        if ready:
            found = os.read(0, 65536)
            open_ = bool(found)
            pending += found
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            pid = os.fork()
            if pid == 0:
                os.close(answers)
                _live(json.loads(line))
            living.add(pid)
            os.write(answers, json.dumps({"born": pid}).encode() + b"\n")
        for pid in list(living):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                living.discard(pid)
                code = os.waitstatus_to_exitcode(status)
                os.write(answers, json.dumps({"ended": pid, "code": code}).encode() + b"\n")
        if not open_:
            for pid in living:
                os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _grow_up() -> None:
    """Import what training and evaluation need, and do nothing with it."""
    import bitsandbytes  # noqa: F401
    import datasets  # noqa: F401
    import torch
    import torch._dynamo
    import torch.utils.tensorboard
    import transformers  # noqa: F401
    from peft import LoraConfig, get_peft_model  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3ForCausalLM, Trainer  # noqa: F401
    from transformers.integrations import TensorBoardCallback  # noqa: F401
    from trl import SFTConfig, SFTTrainer  # noqa: F401

    import harness.cli
    import harness.evaluate
    import harness.trainer  # noqa: F401

    # threads cost more than they give on a tiny model, and a fork could not take them along
    torch.set_num_threads(1)
    # the collector would write to, and so copy, every page that parent and child share
    gc.freeze()


def _live(order: dict) -> None:
    """Be a harness command; never comes back."""
    os.setsid()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(order["folder"]) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    from harness.cli import status

    sys.argv = ["harness", *order["args"]]
    code = 1
    try:
        code = status(order["args"])
    except SystemExit as gone:
        code = gone.code if isinstance(gone.code, int) else 1
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # taking down a whole interpreter full of torch would cost as much as the command
    os._exit(code)


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    _serve()
