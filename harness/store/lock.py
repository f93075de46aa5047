"""A folder held by one process: the kernel lets go of it however that process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import StoreError


@contextlib.contextmanager
def held(folder: Path, what: str) -> Iterator[None]:
    """Hold `folder` by a lock file beside it; a StoreError where another process does."""
    path = folder.with_name(f".{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+", encoding="ascii")
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror}); name another folder.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            told = f"{folder} is {what} by another process (id {owner}); wait for it, or stop it first."
            raise StoreError(told) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
