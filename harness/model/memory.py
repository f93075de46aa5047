"""Memory that does not suffice, as torch says it on a GPU and on a CPU."""

from __future__ import annotations

import torch

_WORDS = ("can't allocate memory", "not enough memory", "bad_alloc")
"""Of torch's CPU allocator on Linux and on Windows, and of C++: all come as a bare RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """True where an allocation failed, and less work at once may go through."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)
