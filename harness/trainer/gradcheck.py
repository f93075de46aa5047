"""Gradients of a training's first batch held against the guide's way, before anything is updated.

A faulty kernel shows in no loss: torch.compile's race (see `barrier`) left the losses right and made gradients 30,000
times too long. So where settings of speed lead another way than the guide's, the first batch goes both ways.

By how much honest ways differ (length of the difference over the reference's length, the worst decoder layer): in fp32
under 1e-4; in bf16 on a CPU 1.7 %; in bf16 on an H100, compiled, fused and replayed, 3.2 % for gemma-3-1b's shape (26
layers, random weights) and 5.4 % for the trained pocket base. Dropout is drawn anew on each way: 0.05 makes that 34 %,
along the reference 6 %, so what it does to the guide's own gradients is measured and allowed for.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from harness.errors import HarnessError
from harness.throughput import clock
from harness.trainer.plain import PLAIN, other_ways, plain_loss, recomputed, switch, with_only, without_dropout
from harness.trainer.settings import TrainSettings

BOUND, BOUND_HALF = 0.02, 0.2
"""Largest difference of a decoder layer's gradients, as a share of their length: in fp32; in bf16 and fp16."""
STIR = 0.01
"""Standard deviation given meanwhile to what is still zero (LoRA's B), for else nothing would reach LoRA's A."""
_PIECE = 2**22
_LAYER = re.compile(r"\.layers\.(\d+)\.")
_HARMLESS = ("device_metrics", "fixed_length")
"""Ways that cannot be left once batches are made for them; they have no kernels of their own."""
Gradients = Mapping[str, torch.Tensor]


class GradientError(HarnessError):
    """The gradients of a training's own way are not those of the guide's."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the gradients of one group are from their reference's."""

    group: str
    """`layer 3`, or `embedding and head`."""
    share: float
    """Length of the difference over the reference's length."""
    scale: float
    """How long they are along the reference: 1 where equal."""


def differences(model: Any, reference: Gradients) -> list[Difference]:
    """Compare the model's gradients by decoder layer, the worst first; what has no gradient at all is left out."""
    sums: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        if name not in reference:
            continue
        layer = _LAYER.search(name)
        group = f"layer {layer[1]}" if layer else "embedding and head"
        ours = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for a, b in zip(ours.flatten().split(_PIECE), reference[name].flatten().split(_PIECE), strict=True):
            a, b = a.double(), b.to(a.device).double()
            found = torch.stack([(a - b).square().sum(), a @ b, b @ b])
            sums[group] = sums[group] + found if group in sums else found
    compared = [
        Difference(group, math.sqrt(apart / length), along / length)
        for group, (apart, along, length) in ((group, found.tolist()) for group, found in sums.items())
        if length > 0
    ]
    return sorted(compared, key=lambda found: found.share if math.isfinite(found.share) else math.inf, reverse=True)


def beyond(found: Sequence[Difference], dropout: Mapping[str, float], bound: float) -> list[Difference]:
    """Those whose difference neither rounding nor dropout (`share` that it makes, by group) accounts for."""
    return [
        one
        for one in found
        if not (
            one.share <= bound + 2 * dropout.get(one.group, 0.0)
            and abs(one.scale - 1) <= bound + dropout.get(one.group, 0.0) / 2
        )
    ]


class GradientCheck:
    """Compares a trainer's gradients with the guide's for one micro-step, and leaves nothing of it behind."""

    def __init__(self, trainer: Any, model: Any, batch: Mapping[str, Any], items: Any, bound: float) -> None:
        """`trainer`: a CountingTrainer; `batch` on its device; `items`: loss tokens of the optimiser step."""
        self.trainer = trainer
        self.model = model
        self.batch = batch
        self.items = items
        self.bound = bound
        self.dropout: dict[str, float] = {}
        self.reference: Gradients = {}

    def look(self) -> str:
        """Find the guide's gradients, and what dropout does to them; return why there is nothing to compare with."""
        plain = with_only(self.trainer.settings)
        try:
            with recomputed(self.trainer.base):
                with without_dropout(self.model) as dropped:
                    self._travel(plain)
                self.reference = _taken(self.model)
                length = sum(
                    float(torch.linalg.vector_norm(part, dtype=torch.float32)) for part in self.reference.values()
                )
                if not 0 < length < math.inf:
                    return f"the guide's own gradients are {length:g} long"
                if dropped:
                    _let_go(self.model)
                    self._travel(plain)
                    self.dropout = {one.group: one.share for one in differences(self.model, self.reference)}
        except torch.OutOfMemoryError:
            return "the memory does not suffice for the guide's way"
        finally:
            _let_go(self.model)
        return ""

    def compare(self, settings: TrainSettings) -> list[Difference]:
        """Return how far the gradients by `settings` are from the guide's, the worst first."""
        try:
            self._travel(settings)
            return differences(self.model, self.reference)
        finally:
            _let_go(self.model)

    def blamed(self, ways: Sequence[str]) -> list[str]:
        """Return which of these settings alone give wrong gradients; where none does the graph, else all."""
        found = []
        for name in ways:
            only = with_only(self.trainer.settings, [name])
            if name != "cuda_graph" and beyond(self.compare(only), self.dropout, self.bound):
                found.append(name)
        return found or [name for name in ways if name == "cuda_graph"] or list(ways)

    def _travel(self, settings: TrainSettings) -> None:
        """Forward and backward by `settings`; the gradients are left on the parameters."""
        trainer, before = self.trainer, self.trainer.settings
        if settings.cuda_graph and trainer.graph is not None:
            trainer.replay(self.batch, self.items)
            return
        with switch(trainer.base, before, settings):
            trainer.settings = settings
            try:
                with trainer.compute_loss_context_manager():
                    if settings.lean:
                        loss = trainer.run(self.batch, self.items).loss
                    else:
                        loss = plain_loss(self.model, self.batch, self.items)
                trainer.accelerator.backward(loss)
            finally:
                trainer.settings = before


def check_gradients(trainer: Any, model: Any, batch: Mapping[str, Any], items: Any) -> dict[str, Any]:
    """Compare the gradients of `batch` with the guide's; return what is recorded of it.

    Weights, random state and gradients are afterwards as they were. GradientError where they differ beyond rounding,
    with the setting to change; with `rungs` auto the trainer takes the guide's way instead.
    """
    settings: TrainSettings = trainer.settings
    ways = other_ways(settings)
    if trainer.accelerator.num_processes > 1:
        return {"left_out": "several processes train"}
    half = trainer.args.bf16 or trainer.args.fp16 or trainer.base.dtype != torch.float32
    bound = BOUND_HALF if half else BOUND
    check = GradientCheck(trainer, model, batch, items, bound)
    start = clock(trainer.args.device)
    with _untouched(model, trainer.args.device):
        missing = check.look()
        spent = clock(trainer.args.device) - start
        if missing:
            _free()
            return {"left_out": missing, "seconds": round(spent, 3)}
        found = check.compare(settings)
        if not settings.compile_layers and not settings.cuda_graph:
            spent = clock(trainer.args.device) - start  # else the training's own compiling, no more than done early
        record = {"compared": list(ways), "bound": bound, "seconds": round(spent, 3), **_words(found, check.dropout)}
        if not (wrong := beyond(found, check.dropout, bound)):
            return record
        trainer.graph = None
        _free()
        if settings.rungs != "auto":
            raise GradientError(_sentence(wrong[0], check, check.blamed(ways)))
        trainer.settings = dataclasses.replace(with_only(settings, _HARMLESS), device_metrics=settings.lean)
        switch(trainer.base, settings, trainer.settings)
        if again := beyond(check.compare(trainer.settings), check.dropout, bound):
            raise GradientError(_sentence(again[0], check, ()))
        left = ", ".join(_setting(name) for name in ways if name not in _HARMLESS)
        return record | {"fell_back": f"{_difference(wrong[0], check)}, so training goes on with {left}."}


def _setting(name: str) -> str:
    return f"train.{name}={str(PLAIN[name]).lower()}"


def _difference(worst: Difference, check: GradientCheck) -> str:
    if not math.isfinite(worst.share):
        return f"The first batch's gradients are no numbers in {worst.group}, while those of the guide's way are"
    share = f"{worst.share:.0%}" if worst.share < 100 else f"{worst.share:,.0f} times their length"
    return (
        f"The first batch's gradients differ from those of the guide's way by {share} in {worst.group} "
        f"(rounding accounts for {check.bound:.0%} at most)"
    )


def _sentence(worst: Difference, check: GradientCheck, names: Sequence[str]) -> str:
    remedy = " and ".join(map(_setting, names)) or "train.rungs=written"
    return f"{_difference(worst, check)}; set {remedy}, then run again."


def _words(found: Sequence[Difference], dropout: Mapping[str, float]) -> dict[str, Any]:
    """The worst difference for the record; numbers that are none as text, for JSON has none."""
    worst = found[0]
    said: dict[str, Any] = {"worst": worst.group, "share": _number(worst.share)}
    said["scale"] = _number(max((one.scale for one in found), key=lambda scale: abs(scale - 1)))
    if dropout:
        said["dropout_share"] = _number(max(dropout.values()))
    return said


def _number(value: float) -> float | str:
    return float(f"{value:.4g}") if math.isfinite(value) else str(value)


@contextmanager
def _untouched(model: Any, device: torch.device) -> Iterator[None]:
    """Stir what is zero in the block; give weights, gradients and random state back as they were."""
    kept = [(part, part.detach().clone()) for part in model.parameters() if part.requires_grad and not part.any()]
    source = torch.Generator(device).manual_seed(0)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            with torch.no_grad():
                for part, _ in kept:
                    part.normal_(0.0, STIR, generator=source)
            yield
        finally:
            with torch.no_grad():
                for part, zero in kept:
                    part.copy_(zero)
            _let_go(model)


def _taken(model: Any) -> Gradients:
    """The gradients of the trained parameters, off to the CPU."""
    return {name: part.grad.to("cpu", copy=True) for name, part in model.named_parameters() if part.grad is not None}


def _let_go(model: Any) -> None:
    for part in model.parameters():
        part.grad = None


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
