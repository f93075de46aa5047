"""trl's SFTTrainer with its clock, its counters and its voice: what is trained stays trl's."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_trainer import SFTTrainer

from harness.errors import HarnessError
from harness.ranks import ALONE, Ranks
from harness.throughput import clock
from harness.trainer.gradcheck import check_gradients
from harness.trainer.graph import GraphedStep
from harness.trainer.lean import Lean, lean_loss
from harness.trainer.plain import other_ways
from harness.trainer.result import write_record
from harness.trainer.settings import TrainSettings
from harness.trainer.sharded import (
    gather_head,
    parameter_bytes,
    settle,
    sharding_asked,
    whole_adapter,
    wrap_present_layers,
)

Progress = Callable[[int, int, str], None]
"""Called with (optimizer steps done, steps in all, a few words)."""
LOGGED = ("loss", "grad_norm", "learning_rate", "mean_token_accuracy", "epoch")


class DivergedError(HarnessError):
    """The loss is no number any more."""


class CountingTrainer(SFTTrainer):
    """SFTTrainer that counts tokens on the device and times what it writes; lean where its settings say so."""

    def __init__(self, *args: Any, settings: TrainSettings | None = None, **kwargs: Any) -> None:
        self.settings = settings or TrainSettings()
        self.saving_seconds = 0.0
        self.say: Callable[[str], None] | None = None
        self.gradient_check: dict[str, Any] = {}
        self.checked = not other_ways(self.settings)
        self._loss_tokens: list[torch.Tensor | int] = []
        self._positions = 0
        self._counts: list[torch.Tensor] = []
        self._real: list[torch.Tensor] = []
        self._flops_a_token: float | None = None
        super().__init__(*args, **kwargs)
        model: Any = self.model
        if sharding_asked():
            wrap_present_layers(self.accelerator.state.fsdp_plugin, model)
        self.base: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.graph = GraphedStep(self.run, model.parameters()) if self.settings.cuda_graph else None

    def create_accelerator_and_postprocess(self) -> None:
        """Make accelerate's accelerator, which shards where the launcher asked for it."""
        super().create_accelerator_and_postprocess()
        settle(self)

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:
        """Return what the loss is computed in: of a sharded model, what accelerate wraps every other one in."""
        if sharding_asked():
            return self.accelerator.autocast()
        return super().autocast_smart_context_manager(cache_enabled)

    @property
    def parameter_bytes(self) -> list[int]:
        """Bytes of the parameters that each rank holds."""
        held = torch.tensor([parameter_bytes(self.model)], device=self.args.device)
        return [int(count) for count in self.accelerator.gather(held)]

    @property
    def trained_tokens(self) -> int:
        """Input tokens that went through the model, padding left out (trl's `num_tokens`)."""
        self._flush()
        return int(self._total_train_tokens)

    @property
    def loss_tokens(self) -> int:
        """Tokens the loss was taken over."""
        return sum(int(count) for count in self._loss_tokens)

    @property
    def padded_tokens(self) -> int:
        """Positions of padding that went through the model."""
        positions = torch.tensor(self._positions, device=self.args.device)
        return int(self.accelerator.reduce(positions, "sum")) - self.trained_tokens

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Count the tokens of the loss as transformers does, without waiting for the device."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        if items is not None:
            self._loss_tokens.append(items)
        self._positions += sum(batch["input_ids"].numel() for batch in batches)
        return batches, items

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return trl's loss; where lean, the same without waiting for the device."""
        if not self.settings.lean or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        lean = self.run(inputs, num_items_in_batch)
        self._note(lean, inputs)
        return lean.loss

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Replay the captured step where there is to be one; the first batch's gradients are checked before."""
        if not self.checked:
            self.checked = True
            model.train()
            inputs = self._prepare_inputs(inputs)
            self.gradient_check |= check_gradients(self, model, inputs, num_items_in_batch)
            if self.say is not None and "fell_back" in self.gradient_check:
                self.say(self.gradient_check["fell_back"])
        if self.graph is None:
            return super().training_step(model, inputs, num_items_in_batch)
        inputs = self._prepare_inputs(inputs)
        lean = self.replay(inputs, num_items_in_batch)
        self._note(lean, inputs)
        return lean.loss

    def floating_point_ops(self, inputs: Any) -> int:
        """Return transformers' count, without walking over the model at each step."""
        tokens = inputs["input_ids"].numel()
        if self._flops_a_token is None:
            self._flops_a_token = super().floating_point_ops(inputs) / tokens
        return int(self._flops_a_token * tokens)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Fetch what stayed on the device, then log as trl does."""
        self._flush()
        super().log(logs, start_time)

    def run(self, batch: Mapping[str, Any], items: Any) -> Lean:
        """Return the lean loss of a batch by the settings' way; nothing is counted."""
        mask = self.settings.attention == "model"
        with self.accelerator.autocast():
            return lean_loss(self.base, batch, items, self.settings.head_kernel, mask=mask)

    def replay(self, batch: Mapping[str, Any], items: Any) -> Lean:
        """Return the lean loss of a batch and add its gradients, by the captured step; nothing is counted."""
        assert self.graph is not None
        taken = {name: value for name, value in batch.items() if name not in ("labels", "real_tokens")}
        return self.graph(taken, torch.as_tensor(items, device=self.args.device))

    def _note(self, lean: Lean, inputs: Mapping[str, Any]) -> None:
        self._counts.append(lean.counts)
        self._real.append(inputs["real_tokens"])

    def _flush(self) -> None:
        """Turn counts that are on the device into trl's metrics: a mean over micro-steps of each one's share."""
        if not self._counts:
            return
        metrics = self._metrics["train"]
        for tokens, entropy, right in torch.stack(self._counts).tolist():
            metrics["entropy"].append(entropy / tokens if tokens else 0.0)
            metrics["mean_token_accuracy"].append(right / tokens if tokens else 0.0)
        self._total_train_tokens += int(torch.cat(self._real).sum())
        metrics["num_tokens"] = [self._total_train_tokens]
        self._counts, self._real = [], []

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the adapter; of a sharded model nothing else is gathered."""
        if not sharding_asked():
            super().save_model(output_dir, _internal_call)
            return
        state = whole_adapter(self.model)
        if self.args.should_save:
            self._save(output_dir, state_dict=state)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        start = clock(self.args.device)
        super()._save_checkpoint(*args, **kwargs)
        self.saving_seconds += clock(self.args.device) - start

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Leave trl's card out: the house writes its own, with what was measured."""


class Watch(TrainerCallback):
    """Saves, logs, reports progress, marks whole checkpoints, and stops on Ctrl-C or a loss that is no number."""

    def __init__(
        self, settings: TrainSettings, base: dict[str, Any], progress: Progress | None, ranks: Ranks = ALONE
    ) -> None:
        self.settings = settings
        self.ranks = ranks
        self.base = base
        self.progress = progress
        self.interrupted = False
        self.losses: list[dict[str, float]] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take over what a resumed training had logged; the model is sharded by now, where it is to be."""
        if sharding_asked():
            gather_head(kwargs["model"])
        self.losses = [_entry(logs) for logs in state.log_history if "loss" in logs]
        self._tell(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for the step's checkpoint, for the last step's loss, for the end after Ctrl-C."""
        every = self.settings.save_every_steps
        if every and state.global_step % every == 0:
            # a logged stretch ends with each checkpoint, so that a resumed training logs the same means
            control.should_log = control.should_save = True
        if state.global_step >= state.max_steps:
            control.should_log = control.should_save = True
        # a signal comes to one rank a step before it comes to another, and what follows is done together
        self.interrupted = self.ranks.any(self.interrupted)
        if self.interrupted:
            control.should_log = control.should_save = control.should_training_stop = True
        self._tell(state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Log at each epoch's end, so that its checkpoint has a loss."""
        control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the loss; stop where it is no number."""
        if not logs or "loss" not in logs:
            return
        self.losses.append(_entry({"step": state.global_step, **logs}))
        if not math.isfinite(float(logs["loss"])):
            raise DivergedError(
                f"Training diverged: the loss was {logs['loss']} at step {state.global_step}; lower "
                f"train.learning_rate (it is {self.settings.learning_rate:g}). The last checkpoint is untouched."
            )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Mark the checkpoint as whole: its record is the last file written, of those of the other ranks too."""
        self.ranks.wait()
        if not state.is_world_process_zero:
            return
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        loss = self.losses[-1]["loss"] if self.losses else None
        progress = {"step": state.global_step, "epoch": state.epoch, "loss": loss, "interrupted": self.interrupted}
        write_record(folder, {"status": "checkpoint", **self.base, **progress})

    def _tell(self, state: TrainerState) -> None:
        if self.progress is not None and state.is_world_process_zero:
            words = f"loss {self.losses[-1]['loss']:.3f}" if self.losses else "training"
            self.progress(state.global_step, state.max_steps, words)


class InterruptAfterStep:
    """Lets the first Ctrl-C finish the step and write a checkpoint; the second stops at once."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.before: Any = None

    def __enter__(self) -> InterruptAfterStep:
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.watch.interrupted:
            raise KeyboardInterrupt
        self.watch.interrupted = True


def _entry(logs: dict[str, Any]) -> dict[str, float]:
    entry = {key: float(logs[key]) for key in LOGGED if key in logs}
    return {"step": int(logs.get("step", 0)), **entry}
