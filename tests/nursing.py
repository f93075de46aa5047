"""The nursery of `forks`: a process that has imported everything, does nothing, and forks when asked."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def serve(address: str) -> None:
    """Fork for every order; tell births and ends; go when stdin is closed."""
    grow_up()
    door = socket.socket(socket.AF_UNIX)
    door.bind(f"{address}.new")
    door.listen(16)
    os.rename(f"{address}.new", address)
    living: dict[int, socket.socket] = {}
    while True:
        # no signal is needed to learn of an end: looking a hundred times a second costs nothing
        ready = select.select([0, door, *living.values()], [], [], 0.01 if living else None)[0]
        if 0 in ready:
            break
        if door in ready:
            line = door.accept()[0]
            pid = _fork(line, door)
            living[pid] = line
            line.sendall(b"%d\n" % pid)
        for pid, line in list(living.items()):
            if line in ready:
                # nothing is ever said on it: whoever asked is gone
                os.kill(pid, signal.SIGKILL)
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                with contextlib.suppress(OSError):
                    line.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
                living.pop(pid).close()
    for pid in living:
        os.kill(pid, signal.SIGKILL)
    os.unlink(address)
    os.rmdir(os.path.dirname(address))
    os._exit(0)


def grow_up() -> None:
    """Import what training and evaluation need, and do nothing with it."""
    import bitsandbytes  # noqa: F401
    import datasets  # noqa: F401
    import torch
    import torch._dynamo
    import torch.utils.tensorboard
    import transformers  # noqa: F401
    from accelerate.commands import launch  # noqa: F401
    from peft import LoraConfig, get_peft_model  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3ForCausalLM, Trainer  # noqa: F401
    from transformers.integrations import TensorBoardCallback  # noqa: F401
    from trl import SFTConfig, SFTTrainer  # noqa: F401

    for file in sorted((ROOT / "harness").rglob("*.py")):
        # the engine's kernels need a GPU's compiler; __main__ would run
        if "engine" not in file.parts and file.stem != "__main__":
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            importlib.import_module(name)
    # threads cost more than they give on a tiny model, and a fork could not take them along
    torch.set_num_threads(1)
    # the collector would write to, and so copy, every page that parent and child share
    gc.freeze()


def _fork(line: socket.socket, door: socket.socket) -> int:
    head, files, _, _ = socket.recv_fds(line, 4, 3)
    size, order = int.from_bytes(head, "little"), b""
    while len(order) < size:
        order += line.recv(size - len(order))
    pid = os.fork()
    if pid == 0:
        door.close()
        line.close()
        _live(json.loads(order), files)
    for number in files:
        os.close(number)
    return pid


def _live(order: dict[str, object], files: list[int]) -> None:
    """Be a command; never comes back."""
    code = 1
    try:
        os.setsid()
        os.chdir(str(order["cwd"]))
        os.environ.clear()
        os.environ.update(order["env"])  # type: ignore[call-overload]
        for number, given in enumerate(files):
            os.dup2(given, number)
        # what sits in the streams' buffers is the nursery's
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.argv = ["harness", *order["args"]]  # type: ignore[misc]
        module = importlib.import_module(str(order["module"] or "harness.cli"))
        module.main()
        code = 0
    except SystemExit as gone:
        code = gone.code if isinstance(gone.code, int) else int(gone.code is not None)
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # taking down a whole interpreter full of torch would cost as much as the command
    os._exit(code)
