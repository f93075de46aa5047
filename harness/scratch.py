"""What is half made, or needed by one process only: it lies apart, held by a lock, and is swept where its maker died.

The kernel lets go of a lock however a process ends, so whoever can take it knows that nobody needs the folder any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from io import BufferedRandom
from pathlib import Path
from types import TracebackType

_LOCK = "lock"
_INSIDE = "inside"
_DRAWN = r"[a-z0-9_]{8}"
"""What `mkdtemp` puts behind a prefix."""


class Scratch:
    """An empty folder for this process, away again when closed, collected or at the interpreter's end.

    `path` may be renamed to another place of the same file system. Making one first sweeps folders of the same prefix
    that killed processes left. OSError where the parent cannot be written.
    """

    def __init__(self, prefix: str, parent: str | Path | None = None) -> None:
        place = Path(tempfile.gettempdir() if parent is None else parent)
        sweep(prefix, place)
        root, lock = _made(prefix, place)
        self.path = root / _INSIDE
        # a forked child that ends must not take its parent's folder away
        self._end = weakref.finalize(self, _end, root, lock, os.getpid())

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the folder away."""
        self._end()


def sweep(prefix: str, parent: Path) -> int:
    """Remove scratch folders whose maker is gone; how many that were.

    Only folders of this user that hold a lock file nobody holds: no link is followed, and what cannot be told (no lock
    file, no locks on this file system) stays.
    """
    name = re.compile(re.escape(prefix) + _DRAWN)
    try:
        with os.scandir(parent) as entries:
            found = [entry.path for entry in entries if name.fullmatch(entry.name)]
    except OSError:
        return 0
    return sum(map(_swept, found))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of these bytes as `whole` does."""
    with whole(path) as file:
        file.write(data)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[BufferedRandom]:
    """A file to write and read back, in its place when the block has ended well, else gone. OSError as the system says.

    What a killed writer left of it is written over. Processes that write the same file do so one after another.
    """
    part = path.with_name(f".{path.name}.part")
    with _held(part) as descriptor:
        try:
            os.ftruncate(descriptor, 0)
            with open(descriptor, "r+b", closefd=False) as file:
                yield file
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _made(prefix: str, parent: Path) -> tuple[Path, int]:
    """A new folder and the lock on it; another one where a sweep elsewhere came between its making and its lock."""
    while True:
        root = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except BaseException:
            root.rmdir()
            raise
        try:
            _take(lock)
            (root / _INSIDE).mkdir()
            if os.fstat(lock).st_nlink:
                return root, lock
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            _end(root, lock, os.getpid())
            raise
        os.close(lock)


def _take(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        # a file system without locks: nobody else gets this one either, so nothing is swept there
        return


def _swept(root: str) -> bool:
    """Remove one folder if it may be removed; whether it was."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as held:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        held.callback(os.close, folder)
        lock = os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        held.callback(os.close, lock)
        owners = {os.fstat(folder).st_uid, os.fstat(lock).st_uid}
        if owners != {os.geteuid()} or not stat.S_ISREG(os.fstat(lock).st_mode):
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # without a name it was swept by somebody else meanwhile
        return bool(os.fstat(lock).st_nlink) and _removed(root, folder)
    return False


def _end(root: Path, lock: int, maker: int) -> None:
    if os.getpid() != maker:
        return
    with contextlib.suppress(OSError):
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        _removed(root, folder)
        os.close(folder)
    os.close(lock)


def _removed(root: str | Path, folder: int) -> bool:
    """Take a held folder away, its lock file last: what a kill leaves half removed can be swept again."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(_INSIDE, dir_fd=folder, follow_symlinks=False).st_mode):
            os.chmod(_INSIDE, 0o700, dir_fd=folder)
        shutil.rmtree(_INSIDE, dir_fd=folder)
    os.unlink(_LOCK, dir_fd=folder)
    os.rmdir(root)
    return True


@contextlib.contextmanager
def _held(part: Path) -> Iterator[int]:
    """The file of this name, made and locked; waits for whoever holds it."""
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # what was waited for may be in place under its own name by now
            if _named(part) == os.fstat(descriptor).st_ino:
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _named(path: Path) -> int:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return -1
