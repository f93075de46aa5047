"""What a pool is given and what it gives back, and how many workers a machine has room for."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to be answered."""

    payload: Any
    """Picklable; what the task's `answer` gets."""
    affinity: Hashable = None
    """Jobs that share it share a worker where that costs no waiting (a database that is materialised once)."""
    answer: Answer | None = None
    """What is known already: the job keeps its place among the others, and no worker is asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a job."""

    body: dict[str, Any]
    """The task's document; where the worker was lost, what it had said before (else empty)."""
    blob: bytes = b""
    lost: str = ""
    """`timeout`, `memory` or `crash` where no worker lived to answer; else empty."""
    stage: int = 0
    """Where a lost worker was, as the task numbers it."""
    retried: bool = False


@dataclass(slots=True)
class Slot:
    """A job in its place, and how far it is."""

    job: Job
    answer: Answer | None = None
    partial: dict[str, Any] = field(default_factory=dict)
    retried: bool = False


def bounded_workers(memory_bytes: int, wanted: int = 0) -> int:
    """As many workers as cores, but no more than the machine's free memory holds at their limit; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return max(1, min(wanted or cores, cores))
    return max(1, min(wanted or cores, int(free * 0.9) // memory_bytes))
