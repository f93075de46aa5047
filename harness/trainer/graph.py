"""A micro-step, forward and backward, captured once as a CUDA graph and replayed: one launch instead of thousands."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from harness.trainer.lean import Lean

WARMUPS = 2
"""Runs before the capture: kernels are loaded, layers compiled, work spaces taken."""
Run = Callable[[Mapping[str, Any], torch.Tensor], Lean]


@dataclass(frozen=True, slots=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    batch: dict[str, Any]
    items: torch.Tensor
    lean: Lean


class GraphedStep:
    """Calls like `run` and then adds the gradients, one captured graph for each shape of batch.

    Gradients are added to buffers of their own, which are the parameters' `.grad` while the trainer wants gradients;
    `zero_grad(set_to_none=True)` only lets go of them.
    """

    def __init__(self, run: Run, parameters: Iterable[torch.nn.Parameter]) -> None:
        self._run = run
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._grads: list[torch.Tensor] = []
        self._captured: dict[tuple[Any, ...], _Captured] = {}
        self._pool: Any = None

    @property
    def shapes(self) -> int:
        """Graphs captured so far."""
        return len(self._captured)

    def __call__(self, batch: Mapping[str, Any], items: torch.Tensor) -> Lean:
        """Return loss and counts of this batch; the gradients are added to `.grad`."""
        key = tuple((name, _shape(value)) for name, value in sorted(batch.items()))
        step = self._captured.get(key)
        if step is None:
            step = self._captured[key] = self._capture(batch, items)
        for name, value in batch.items():
            if isinstance(value, torch.Tensor):
                step.batch[name].copy_(value, non_blocking=True)
        step.items.copy_(items, non_blocking=True)
        self._lend_grads()
        step.graph.replay()
        return Lean(step.lean.loss.clone(), step.lean.counts.clone())

    def _lend_grads(self) -> None:
        """Give the parameters their buffers, zeroed where the trainer has let go of them."""
        if self._parameters[0].grad is not None:
            return
        torch._foreach_zero_(self._grads)
        for parameter, grad in zip(self._parameters, self._grads, strict=True):
            parameter.grad = grad

    def _capture(self, batch: Mapping[str, Any], items: torch.Tensor) -> _Captured:
        lent = self._parameters[0].grad is not None
        static = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
        count = items.clone()
        random = torch.cuda.get_rng_state()
        for parameter in self._parameters:
            parameter.grad = None
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                self._run(static, count).loss.backward()
                for parameter in self._parameters:
                    parameter.grad = None
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.set_rng_state(random)
        if not self._grads:
            self._grads = [torch.zeros_like(parameter) for parameter in self._parameters]
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()  # the graph takes memory of its own, so what the warm-up held is given back first
        for parameter, grad in zip(self._parameters, self._grads, strict=True):
            parameter.grad = grad
        graph = torch.cuda.CUDAGraph()
        # trl's loader may pin memory from a thread of its own meanwhile
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            lean = self._run(static, count)
            lean.loss.backward()
        self._pool = graph.pool()
        if not lent:
            for parameter in self._parameters:
                parameter.grad = None
        return _Captured(graph, static, count, Lean(lean.loss.detach(), lean.counts))


def _shape(value: Any) -> Any:
    return (tuple(value.shape), value.dtype) if isinstance(value, torch.Tensor) else value
