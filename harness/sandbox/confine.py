"""What a worker gives up before it reads its first job: memory, files, processes, privileges, the network.

Every step is asked of the kernel and reported: `confine` returns what holds, so that a missing one is seen, not
assumed. Linux only; elsewhere a worker runs with DuckDB's own locks and its parent's deadline.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_OPEN_FILES = 64


def confine(memory_bytes: int) -> dict[str, bool]:
    """Apply every limit to this process, for good; name of the limit -> whether it holds."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    held = {
        "network": _leave_network(),
        "memory": _limit(resource.RLIMIT_AS, memory_bytes),
        "files": _limit(resource.RLIMIT_FSIZE, 0),
        "descriptors": _limit(resource.RLIMIT_NOFILE, _OPEN_FILES),
        "core": _limit(resource.RLIMIT_CORE, 0),
    }
    held["privileges"] = _prctl(_PR_SET_NO_NEW_PRIVS, 1) and _prctl(_PR_SET_DUMPABLE, 0)
    return held


def _limit(kind: int, value: int) -> bool:
    """Lower one resource limit, soft and hard; False where the system refuses."""
    try:
        _, hard = resource.getrlimit(kind)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (ceiling, ceiling))
    except (OSError, ValueError):
        return False
    return True


def _leave_network() -> bool:
    """Move into an empty network namespace (no loopback that is up either); False where the kernel refuses."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None, use_errno=True)
    # an ordinary user may make a network namespace only inside a user namespace of their own
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(library.unshare(flags) == 0)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)
