"""Model, rows and settings to a trainer that is ready to run, with what its settings of speed ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import torch
from transformers import PrinterCallback, TrainerCallback

from harness.errors import ConfigError, DeviceError
from harness.model.load import Loaded
from harness.trainer.barrier import mend_reductions
from harness.trainer.batches import LeanCollator, packed_shape
from harness.trainer.head import check_head
from harness.trainer.lean import check_lean
from harness.trainer.recipe import sft_config
from harness.trainer.rows import Rows
from harness.trainer.session import CountingTrainer
from harness.trainer.settings import TrainSettings

BACKEND = "inductor"
"""torch.compile's backend."""
RECOMPILES = 64
"""Variants of a layer torch may compile before it gives up and runs it uncompiled."""


def build_trainer(
    model: Any, loaded: Loaded, rows: Rows, settings: TrainSettings, out: Any, callbacks: Sequence[TrainerCallback]
) -> CountingTrainer:
    """Return the trainer of a prepared model; ConfigError or DeviceError where the settings do not go together."""
    check_speed(settings, loaded)
    data = datasets.Dataset.from_dict({"input_ids": rows.input_ids, "labels": rows.labels})
    # trl casts what trains beside a four-bit base to bf16; where fp32 is wanted, its values are put back
    kept = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    trainer = CountingTrainer(
        model=model,
        args=sft_config(settings, loaded, out),
        train_dataset=data,
        processing_class=loaded.tokenizer,
        callbacks=list(callbacks),
        settings=settings,
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is kept for one JSON document
    for name, parameter in model.named_parameters():
        if name in kept and parameter.dtype != kept[name].dtype:
            parameter.data = kept[name]
    if settings.lean:
        if trainer.accelerator.num_processes > 1:
            raise ConfigError(
                "train.device_metrics, fixed_length, cuda_graph and head_kernel work on one process; leave them out."
            )
        check_lean(model.get_base_model())
        if settings.head_kernel == "once":
            check_head()
        trainer.data_collator = _collator(trainer, settings, loaded.tokenizer.pad_token_id)
    if settings.compile_layers:
        compile_layers(model.get_base_model(), settings.max_length)
        model.enable_input_require_grads()  # else the first layer, the only one without, is compiled apart
    return trainer


def check_speed(settings: TrainSettings, loaded: Loaded) -> None:
    """Raise where a setting of speed lacks what it needs."""
    if settings.head_kernel == "once" and loaded.facts["compute_dtype"] == "fp16":
        raise ConfigError("train.head_kernel=once does not go with fp16's loss scaling; set train.head_kernel=trl.")
    if not settings.cuda_graph:
        return
    if loaded.device.type != "cuda":
        raise DeviceError("train.cuda_graph needs an NVIDIA GPU; set train.cuda_graph=false.")
    if settings.gradient_checkpointing or settings.attention != "packed" or not settings.fixed_length:
        raise ConfigError(
            "train.cuda_graph needs train.gradient_checkpointing=false, train.attention=packed and "
            "train.fixed_length=true; set these, or train.cuda_graph=false."
        )
    if loaded.facts["compute_dtype"] == "fp16":
        raise ConfigError("train.cuda_graph does not go with fp16's loss scaling; set train.cuda_graph=false.")


def compile_layers(model: Any, longest: int) -> int:
    """Compile each decoder layer of `model` in place, names unchanged; return how many.

    Layers of one kind share what is compiled. Where no row is longer than the sliding window, sliding layers are told
    so, and become of one kind with the others.
    """
    mend_reductions()
    layers = model.base_model.layers
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, RECOMPILES)
    for layer in layers:
        attention: Any = getattr(layer, "self_attn", None)
        window = getattr(attention, "sliding_window", None)
        if window is not None and longest <= window and model.config._attn_implementation == "harness_packed":
            attention.sliding_window = None
        layer.compile(dynamic=False, backend=BACKEND)
    return len(layers)


def _collator(trainer: CountingTrainer, settings: TrainSettings, pad_id: int) -> LeanCollator:
    shape, row_length = None, 0
    data: Any = trainer.train_dataset
    if settings.fixed_length and trainer.padding_free:
        lengths = data["seq_lengths"] if "seq_lengths" in data.column_names else [[1]]
        shape = packed_shape(lengths, settings.batch_size, settings.max_length)
    elif settings.fixed_length:
        row_length = settings.max_length
    inner: Any = trainer.data_collator
    return LeanCollator(inner, pad_id, shape, row_length, settings.batch_size, portions=settings.cuda_graph)
