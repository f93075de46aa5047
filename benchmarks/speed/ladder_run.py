"""Runs one rung of the training ladder with harness' own trainer, and measures it."""

from __future__ import annotations

import dataclasses
import gc
import tempfile
import time
import traceback
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import random_base
import torch
from train_rungs import GUIDE, MOST_STEPS, RUNGS, SETTLING, TRACED
from transformers import TrainerCallback

from harness.bench.figures import spread
from harness.machine import energy_joules, machine, throttle_reasons
from harness.model.load import load_base
from harness.model.settings import ModelSettings
from harness.throughput import SHORTEST_ENERGY_SECONDS, clock
from harness.throughput.cost import shape_of, train_flops
from harness.throughput.peaks import datasheet, probe
from harness.trainer.assemble import build_trainer
from harness.trainer.recipe import prepare_model, trainable_facts
from harness.trainer.rows import Rows
from harness.trainer.settings import TrainSettings


class Watcher(TrainerCallback):
    """Notes the first losses and gradient norms, then lets nothing be logged and times the rest."""

    def __init__(self, device: torch.device, last: int) -> None:
        self.device = device
        self.last = last
        self.trace: list[list[float]] = []
        self.begun = self.first = self.start = self.end = 0.0
        self.joules: float | None = None
        self._marks: list[Any] = []

    @property
    def steps(self) -> list[float]:
        """Seconds of each timed step, between marks set on the device, which nothing waits for."""
        pairs = list(pairwise(self._marks))
        if self.device.type == "cuda":
            return [before.elapsed_time(after) / 1e3 for before, after in pairs]
        return [after - before for before, after in pairs]

    def _mark(self) -> None:
        if self.device.type != "cuda":
            self._marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append(event)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock of the first step."""
        self.begun = clock(self.device)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Keep the trace."""
        if logs and "grad_norm" in logs and len(self.trace) < TRACED:
            self.trace.append([float(logs["loss"]), float(logs["grad_norm"])])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the times."""
        step = state.global_step
        if step == 1:
            self.first = clock(self.device)
        if step == TRACED:
            state.logging_steps = 10**9
        if step == TRACED + SETTLING:
            self.start, self.joules = clock(self.device), energy_joules()
        if step >= TRACED + SETTLING:
            self._mark()
        if step == self.last:
            self.end = clock(self.device)
            after = energy_joules()
            self.joules = after - self.joules if self.joules is not None and after is not None else None


class Ladder:
    """A random base on disk, and rungs run on it one after the other."""

    def __init__(self, shape: str, work: Path, precision: str, profile: bool) -> None:
        self.device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
        self.small = shape == "tiny"
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # at this size threads cost more than they give
        self.base = random_base.build(shape, work / "base", self.device)
        self.model = ModelSettings(str(self.base), precision=precision)  # type: ignore[arg-type]
        self.gpu = machine().gpu
        self.peaks = probe(self.device, 2.0 if self.device.type == "cuda" else 0.2)
        self.profile = profile

    def machine(self) -> dict[str, Any]:
        """The machine, its peaks by datasheet and as measured."""
        here = machine()
        return {
            "machine": dataclasses.asdict(here) | {"name": here.name},
            "datasheet": dataclasses.asdict(datasheet(here.gpu)),
            "measured": dataclasses.asdict(self.peaks),
        }

    def run(self, name: str) -> dict[str, Any]:
        """Everything about one rung; `error` where it failed."""
        begun = time.monotonic()
        row: dict[str, Any] = {"rung": name, "changed": RUNGS[name].get("changed", "")}
        row["train"] = {key: list(v) if isinstance(v, tuple) else v for key, v in RUNGS[name]["train"].items()}
        try:
            row |= self._run(name)
        except Exception as error:  # the next rung may work
            row["error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:400]
            row["traceback"] = traceback.format_exc()[-3000:]
        self._clear()
        return row | {"wall_seconds": round(time.monotonic() - begun, 1)}

    def _clear(self) -> None:
        gc.collect()
        torch._dynamo.reset()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()

    def _run(self, name: str) -> dict[str, Any]:
        timed = min(RUNGS[name]["steps"], 3) if self.small else RUNGS[name]["steps"]
        last = TRACED + SETTLING + timed
        settings = TrainSettings(**GUIDE | RUNGS[name]["train"], max_steps=last)
        if self.small:
            settings = dataclasses.replace(settings, max_length=64, batch_size=min(settings.batch_size, 8))
        loaded = load_base(self.model)
        if settings.dequantize_base and self.model.precision != "nf4":
            settings = dataclasses.replace(settings, dequantize_base=False)
        rows = _rows(loaded.model.config.vocab_size, settings)
        model = prepare_model(loaded, settings)
        watcher = Watcher(self.device, last)
        cuda = self.device.type == "cuda"
        with tempfile.TemporaryDirectory() as out:
            trainer = build_trainer(model, loaded, rows, settings, Path(out), [watcher])
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            trainer.train()
        memory = (
            {"peak": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()} if cuda else {}
        )
        shape = shape_of(loaded.model.config)
        assert shape is not None
        seconds = median(watcher.steps)
        slowed = throttle_reasons()
        tokens = settings.batch_size * settings.accumulation * settings.max_length
        flops = train_flops(shape, (settings.max_length + 1) / 2, settings.lora_r, bool(settings.modules_to_save))
        window = watcher.end - watcher.start
        found = {
            "tokens_per_second": tokens / seconds,
            "step_seconds": seconds,
            "trained_tokens_per_step": tokens,
            "padded_tokens": trainer.padded_tokens,
            "timed_steps": timed,
            "mean_step_seconds": (watcher.end - watcher.start) / timed,
            "scatter": spread(watcher.steps),
            "throttled": list(slowed),
            "first_step_seconds": watcher.first - watcher.begun,
            "joules_per_token": watcher.joules / (tokens * timed)
            if watcher.joules is not None and window >= SHORTEST_ENERGY_SECONDS
            else None,
            "memory_bytes": memory,
            "flops_per_token": flops,
            "trace": watcher.trace,
            **trainable_facts(model),
        }
        found |= self._shares(flops * tokens / seconds)
        if self.profile:
            found["kernels"] = self._kernels(trainer, settings, seconds)
        return found

    def _shares(self, rate: float) -> dict[str, Any]:
        sheet = datasheet(self.gpu).flops
        return {
            "flops_per_second": rate,
            "mfu_datasheet": rate / sheet if sheet else None,
            "mfu_measured": rate / self.peaks.flops if self.peaks.flops else None,
        }

    def _kernels(self, trainer: Any, settings: TrainSettings, seconds: float) -> dict[str, Any]:
        """What one optimiser step starts on the device and how long the device is busy with it; and what binds."""
        try:
            batch = next(iter(trainer.get_train_dataloader()))
            items = torch.tensor(batch["labels"].numel(), device=self.device)
            micro = _profiled(lambda: trainer.training_step(trainer.model, batch, items), self.device)
            update = _profiled(lambda: _update(trainer), self.device)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"[:300]}
        times = settings.accumulation
        count, busy = (micro[key] * times + update[key] for key in ("count", "busy_seconds"))
        launch = self.peaks.launch_seconds or 0.0
        return {
            "per_step": count,
            "launch_seconds": launch,
            "launch_ceiling_seconds": (micro["starts"] * times + update["starts"]) * launch,
            "busy_seconds": busy,
            "busy_share": busy / seconds,
            "binds": "launches" if busy < 0.75 * seconds else "device",
            "slowest": micro["slowest"],
            "slowest_of_update": update["slowest"][:4],
        }


_STARTS = ("cudaLaunch", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync", "cuLaunch")
"""Calls of the host that start something on the device."""


def _update(trainer: Any) -> None:
    trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
    trainer.optimizer.step()
    trainer.model.zero_grad()


def _profiled(work: Any, device: torch.device) -> dict[str, Any]:
    """Kernels, their seconds and the slowest of them, by torch's profiler; starts are the host's calls."""
    from torch.profiler import ProfilerActivity, profile

    if device.type != "cuda":
        raise RuntimeError("kernels are counted on a GPU only")
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    names: dict[str, list[float]] = {}
    starts = 0
    for event in profiler.profiler.kineto_results.events():  # type: ignore[union-attr]
        if "cuda" in str(event.device_type()).lower():
            entry = names.setdefault(event.name(), [0, 0.0])
            entry[0] += 1
            entry[1] += event.duration_ns() / 1e9
        elif event.name().startswith(_STARTS):
            starts += 1
    slowest = sorted(names.items(), key=lambda item: -item[1][1])[:12]
    return {
        "count": sum(entry[0] for entry in names.values()),
        "starts": starts,
        "busy_seconds": sum(entry[1] for entry in names.values()),
        "slowest": [[name[:90], int(times), round(spent * 1e3, 3)] for name, (times, spent) in slowest],
    }


def _rows(vocabulary: int, settings: TrainSettings) -> Rows:
    """Random rows of full length, more than any rung uses: their order depends on how many there are."""
    count = settings.batch_size * settings.accumulation * (TRACED + SETTLING + MOST_STEPS + 1)
    ids = torch.randint(10, vocabulary, (count, settings.max_length), generator=torch.Generator().manual_seed(0))
    rows = ids.tolist()
    return Rows(rows, rows, 0, 0)
