"""What travels between the pool and a worker: frames over two pipes, and a board in shared memory.

Parent to worker is pickle (the parent is trusted). Worker to parent is JSON and opaque bytes: the parent never
unpickles what a process that runs untrusted SQL has sent. The board is how the parent knows which job runs and until
when without a message per statement.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import struct
from collections.abc import Iterator
from typing import Any

MAX_FRAME_BYTES = 64 * 2**20
"""Largest reply the parent reads; a worker that claims more is killed."""
_HEADER = struct.Struct("<I")
_REPLY = struct.Struct("<qBI")
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
DONE, PARTIAL = 0, 1
"""Kinds of reply: the job's answer, or what was known before its dangerous part."""
IDLE = -1
"""The board's job number where no job runs."""


def pack_jobs(jobs: list[tuple[int, Any]]) -> bytes:
    """One frame of (number, payload) jobs for a worker."""
    body = pickle.dumps(jobs, protocol=pickle.HIGHEST_PROTOCOL)
    return _HEADER.pack(len(body)) + body


def pack_reply(number: int, body: dict[str, Any], blob: bytes = b"", *, kind: int = DONE) -> bytes:
    """One frame with a job's answer: a JSON document, and bytes that the parent keeps without reading them."""
    text = _encode(body).encode()
    frame = _REPLY.pack(number, kind, len(text)) + text + blob
    return _HEADER.pack(len(frame)) + frame


def unpack_reply(frame: bytes) -> tuple[int, int, dict[str, Any], bytes]:
    """The number, kind, document and bytes of a reply frame; ValueError or struct.error where it is none."""
    number, kind, length = _REPLY.unpack_from(frame)
    start = _REPLY.size
    try:
        body = json.loads(frame[start : start + length])
    except RecursionError:
        raise ValueError("a document nested too deep") from None
    if not isinstance(body, dict):
        raise ValueError("a reply without a document")
    return number, kind, body, frame[start + length :]


class FrameReader:
    """Cuts a byte stream into frames; keeps what is not yet whole."""

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now; ValueError where one claims to be larger than allowed."""
        self._buffer += data
        start, size = 0, len(self._buffer)
        while size - start >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer, start)
            if length > self._limit:
                raise ValueError(f"a frame of {length} bytes is over the limit of {self._limit}")
            end = start + _HEADER.size + length
            if end > size:
                break
            yield bytes(self._buffer[start + _HEADER.size : end])
            start = end
        del self._buffer[:start]


def read_frame(descriptor: int) -> bytes | None:
    """One whole frame from a blocking pipe; None at its end."""
    header = _read_exactly(descriptor, _HEADER.size)
    return None if header is None else _read_exactly(descriptor, _HEADER.unpack(header)[0])


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        data = os.read(descriptor, size - len(parts))
        if not data:
            return None
        parts += data
    return bytes(parts)


class Board:
    """Four 8-byte words shared by a worker (writes) and its parent (reads): job number, stage, last moment, job count.

    Moments are seconds of CLOCK_MONOTONIC, which all processes of a machine share; 0 means no deadline is set.
    """

    SIZE = 32

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, self.SIZE)
        self._view = memoryview(self._map)
        self._whole = self._view.cast("q")
        self._real = self._view.cast("d")

    @classmethod
    def create(cls) -> tuple[Board, int]:
        """A new board and the descriptor that a worker inherits."""
        descriptor = os.memfd_create("board", 0)
        os.ftruncate(descriptor, cls.SIZE)
        board = cls(descriptor)
        board.begin(IDLE)
        return board, descriptor

    def begin(self, number: int) -> None:
        """Say which job runs now (`IDLE`: none)."""
        self._real[2] = 0.0
        self._whole[1] = 0
        self._whole[0] = number
        self._whole[3] += 1

    def arm(self, stage: int, until: float) -> None:
        """Say which stage of the job runs and when the parent must kill the worker."""
        self._real[2] = 0.0
        self._whole[1] = stage
        self._real[2] = until

    @property
    def number(self) -> int:
        """The job that runs, or `IDLE`."""
        return int(self._whole[0])

    @property
    def stage(self) -> int:
        """The stage of that job, as its task numbers them."""
        return int(self._whole[1])

    @property
    def until(self) -> float:
        """The last moment of that stage; 0 where none is set."""
        return float(self._real[2])

    def close(self) -> None:
        """Give the shared page back."""
        for view in (self._whole, self._real, self._view):
            view.release()
        self._map.close()
