"""A barrier that torch.compile's looped reductions lack, without which gradients were silently wrong.

Inductor fuses a norm's backward into one kernel of several loops over a row: one loop stores a sum, a later one reads
it back. Nothing makes the later loop wait for the other warps' stores, and which thread reads what another stored
depends on the tiles autotuning picks, so one training in a few had gradient norms of 60,000 in place of 2 (widths above
1,024, where a row takes more than one turn; torch 2.11, H100 and H200; pytorch/pytorch pull request 190519).
"""

from __future__ import annotations

import re
from functools import wraps
from itertools import pairwise
from typing import Any

import torch

BARRIER = "tl.debug_barrier()"
_STORE = re.compile(r"tl\.store\((\w+)")
_LOAD = re.compile(r"tl\.load\((\w+)")
_LOOP = re.compile(r"\s*for r\d+_offset in ")
_TAG = "harness-barrier"


def with_barriers(code: str) -> str:
    """Return a kernel's source with a barrier before each loop that reads what was stored before it."""
    lines = code.split("\n")
    starts = [at for at, line in enumerate(lines) if _LOOP.match(line)]
    wanted: set[int] = set()
    for start, end in pairwise([*starts, len(lines)]):
        stored = set(_STORE.findall("\n".join(lines[:start])))
        if stored & set(_LOAD.findall("\n".join(lines[start:end]))):
            wanted.add(start)
    out: list[str] = []
    for at, line in enumerate(lines):
        if at in wanted:
            out.append(line[: len(line) - len(line.lstrip())] + BARRIER)
        out.append(line)
    return "\n".join(out)


def mend_reductions() -> None:
    """Let Inductor's Triton kernels have these barriers from now on; kernels cached without them are not used."""
    from torch._inductor.codegen.triton import TritonKernel

    write: Any = TritonKernel.codegen_kernel
    if getattr(write, "has_barriers", False):
        return

    @wraps(write)
    def written(self: Any, *args: Any, **kwargs: Any) -> str:
        return with_barriers(write(self, *args, **kwargs))

    written.has_barriers = True  # type: ignore[attr-defined]
    kernel: Any = TritonKernel
    kernel.codegen_kernel = written
    torch.compiler.config.cache_key_tag = _TAG
