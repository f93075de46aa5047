"""The guide's recipe in the words of peft, trl and transformers: settings in, their configuration objects out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from trl.trainer.sft_config import SFTConfig

from harness.errors import ConfigError
from harness.model.dtypes import DTYPES, name_of
from harness.model.load import Loaded, is_tied
from harness.model.nf4 import dequantise
from harness.trainer.attention import use_packed_attention
from harness.trainer.lora_kernel import fuse_lora
from harness.trainer.result import CHECKPOINTS
from harness.trainer.settings import TrainSettings
from harness.trainer.sharded import check_tied, sharding_asked


def lora_config(settings: TrainSettings, tied: bool) -> LoraConfig:
    """Return the guide's LoRA; tied head and embedding are trained as one where both are named."""
    targets = settings.target_modules
    saved = list(settings.modules_to_save)
    return LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        bias="none",
        target_modules="all-linear" if targets == ("all-linear",) else list(targets),
        task_type="CAUSAL_LM",
        modules_to_save=saved or None,
        ensure_weight_tying=bool(settings.ensure_weight_tying and tied and saved),
    )


def sft_config(settings: TrainSettings, loaded: Loaded, out: Path) -> SFTConfig:
    """Return trl's configuration; mixed precision follows the model's dtype (T4: fp16, no bf16)."""
    on_gpu = loaded.device.type == "cuda"
    compute = loaded.facts["compute_dtype"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # gradient_checkpointing is renamed from 5.23 on
        return SFTConfig(
            output_dir=str(out / CHECKPOINTS),
            max_length=settings.max_length,
            packing=settings.packing != "none",
            packing_strategy=settings.packing if settings.packing != "none" else "bfd",
            num_train_epochs=settings.epochs,
            max_steps=settings.max_steps or -1,
            per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.accumulation,
            gradient_checkpointing=settings.gradient_checkpointing,
            train_sampling_strategy="group_by_length" if settings.group_by_length else "random",
            optim=settings.optimizer,
            learning_rate=settings.learning_rate,
            lr_scheduler_type=settings.schedule,
            warmup_steps=settings.warmup,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            bf16=on_gpu and compute == "bf16",
            fp16=on_gpu and compute == "fp16",
            use_cpu=not on_gpu,
            save_strategy="epoch" if settings.save_each_epoch else "no",
            logging_steps=settings.logging_steps,
            logging_nan_inf_filter=False,
            report_to=trackers(settings.report_to),
            seed=settings.seed,
            disable_tqdm=True,
            dataloader_pin_memory=on_gpu,
            accelerator_config={"non_blocking": True} if on_gpu and settings.lean else None,
        )


def trackers(names: Sequence[str]) -> list[str] | str:
    """Return transformers' `report_to`; ConfigError where a tracker is unknown to it, or not installed."""
    for name in names:
        tracker = INTEGRATION_TO_CALLBACK.get(name)
        if tracker is None and name not in ("all", "none"):
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise ConfigError(f"train.report_to names {name!r}, which transformers does not know; it knows {known}.")
        try:
            if tracker is not None:
                tracker()
        except (RuntimeError, ImportError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise ConfigError(f"train.report_to names {name}: {reason}; install it, or leave it out.") from error
    return list(names) or "none"


def prepare_model(loaded: Loaded, settings: TrainSettings) -> Any:
    """Return the base (dequantised if asked) wrapped with a fresh adapter, what trains in its dtype."""
    base = loaded.model
    if settings.dequantize_base:
        if loaded.facts["precision"] != "nf4":
            raise ConfigError("train.dequantize_base needs model.precision=nf4; leave one of them out.")
        dequantise(base)
    if sharding_asked():
        check_tied(settings, is_tied(base))
    base.config.use_cache = False
    torch.manual_seed(settings.seed)  # LoRA's A is random
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an untied head beside modules_to_save is what was asked for
        try:
            model = get_peft_model(base, lora_config(settings, is_tied(base)))
        except ValueError as error:
            raise ConfigError(
                f"The adapter cannot be laid over this model ({error}); see train.target_modules."
            ) from error
    cast_trainable(model, trainable_dtype(settings, loaded))
    if settings.attention == "packed":
        use_packed_attention(model.get_base_model())
    if settings.lora_kernel == "fused":
        fuse_lora(model)
    return model


def trainable_dtype(settings: TrainSettings, loaded: Loaded) -> torch.dtype:
    """Return the dtype of what trains: bf16 beside a bf16 model, else fp32 (fp16's loss scaling needs fp32)."""
    if settings.trainable_dtype != "auto":
        return DTYPES[settings.trainable_dtype]
    return torch.bfloat16 if loaded.facts["compute_dtype"] == "bf16" else torch.float32


def cast_trainable(model: Any, dtype: torch.dtype) -> None:
    """Give every trainable parameter `dtype`, tied ones staying tied."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)


def trainable_facts(model: Any) -> dict[str, Any]:
    """Return for the record how many parameters train, and in which dtypes."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return {
        "trainable_parameters": sum(parameter.numel() for parameter in trained),
        "trainable_dtypes": sorted({name_of(parameter.dtype) for parameter in trained}),
    }
