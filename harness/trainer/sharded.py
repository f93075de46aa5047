"""FSDP-QLoRA: base and adapter spread over the ranks. accelerate and torch do it; here is what they leave to be said.

`accelerate launch` tells its ranks by environment variables what its configuration file asks for; FSDP2 then wraps the
decoder layers one by one. NF4 weights are shards of `bnb_4bit_quant_storage`, the dtype of the weights beside them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from harness.errors import ConfigError, StoreError
from harness.trainer.settings import TrainSettings

_ASKED = {
    "FSDP_VERSION": ("2", "fsdp_version: 2"),
    "FSDP_AUTO_WRAP_POLICY": ("transformer_based_wrap", "fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP"),
    "FSDP_STATE_DICT_TYPE": ("full_state_dict", "fsdp_state_dict_type: FULL_STATE_DICT"),
    "FSDP_CPU_RAM_EFFICIENT_LOADING": ("false", "fsdp_cpu_ram_efficient_loading: false"),
    "FSDP_OFFLOAD_PARAMS": ("false", "fsdp_offload_params: false"),
    "FSDP_ACTIVATION_CHECKPOINTING": ("false", "fsdp_activation_checkpointing: false"),
}
"""What accelerate must have been told. Otherwise: the whole base is gathered at once (no wrapping), no adapter is saved
(sharded states), ranks get no base (efficient loading leaves NF4 empty), or recomputed layers draw another dropout than
they had (its checkpointing keeps no state of the random numbers; train.gradient_checkpointing does)."""
_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "sgd")
"""torch's own; bitsandbytes' kernels take no shards."""
_WEIGHTS = "pytorch_model_fsdp.bin"
"""accelerate's file in a checkpoint that was written under FSDP."""


def sharding_asked() -> bool:
    """Whether this process was launched to shard what it trains."""
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def check_sharded(settings: TrainSettings) -> None:
    """Raise ConfigError with every line of accelerate's file and every setting that does not go with FSDP."""
    told = {name: os.environ.get(name, "false").lower() for name in _ASKED}
    faults = [f"{line} in accelerate's file" for name, (wanted, line) in _ASKED.items() if told[name] != wanted]
    if settings.compile_layers:
        faults.append("train.compile_layers=false")
    if settings.lean:
        faults.append("train.device_metrics, fixed_length, cuda_graph and head_kernel left out")
    if settings.optimizer not in _OPTIMIZERS:
        faults.append(f"train.optimizer={_OPTIMIZERS[1]}")
    if faults:
        raise ConfigError(f"FSDP needs {', '.join(faults)}; set it so (examples/accelerate_fsdp_qlora.yaml).")


def check_tied(settings: TrainSettings, tied: bool) -> None:
    """Raise ConfigError where one matrix would be sharded twice."""
    if tied and settings.modules_to_save and not settings.ensure_weight_tying:
        raise ConfigError(
            "FSDP cannot part a head from the embedding it is tied to; set train.ensure_weight_tying=true, or "
            "train.modules_to_save=[]."
        )


def check_checkpoint(folder: Path) -> None:
    """Raise StoreError for a checkpoint that only the other way of training can go on from."""
    sharded = (folder / _WEIGHTS).is_file()
    if sharded != sharding_asked():
        wrote = "under FSDP" if sharded else "without FSDP"
        raise StoreError(
            f"{folder} was written {wrote}; go on as it was started, or remove {folder.parent} to begin anew."
        )


def settle(trainer: Any) -> None:
    """Have the trainer's accelerate shard on CPU too, which it does on accelerators alone, and in DDP's arithmetic."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    if not sharding_asked():
        return
    state = trainer.accelerator.state
    if state.distributed_type == DistributedType.MULTI_CPU:
        state.fsdp_plugin = FullyShardedDataParallelPlugin()
        state.distributed_type = DistributedType.FSDP
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        trainer.is_fsdp_enabled = True
    # FSDP's own casts would round the loss to bf16's three digits, before it is logged and before backward
    state.fsdp_plugin.mixed_precision_policy = None


def wrap_present_layers(plugin: Any, model: Any) -> None:
    """Have each decoder layer sharded by itself, by the kinds of layer that the model has.

    accelerate takes the kinds that the model's class might have, and fails where one (a vision tower's, say) is absent.
    """
    if plugin.transformer_cls_names_to_wrap is None:
        present = {type(module).__name__ for module in model.modules()}
        plugin.transformer_cls_names_to_wrap = sorted(present & set(model._no_split_modules or ()))


def gather_head(model: Any) -> None:
    """Have a sharded model's head gathered before each forward, as FSDP does with layers that are called.

    trl's loss takes the head's matrix without calling the head. From a shard it would gather the matrix itself, and
    the gradient of a head that is trained would then be this rank's alone.
    """
    head = model.get_output_embeddings()

    def gather(*given: Any) -> None:
        head.unshard()

    if isinstance(head, FSDPModule):
        model.register_forward_pre_hook(gather)


def whole_adapter(model: Any) -> dict[str, Any]:
    """Return on the first rank what is trained, whole and in the host's memory; every rank must call it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    return get_model_state_dict(model, options=options)


def parameter_bytes(model: Any) -> int:
    """Return the bytes of the parameters that this rank holds: of a sharded one its own part."""
    held = {id(parameter): parameter for parameter in model.parameters()}
    parts = (one.to_local() if isinstance(one, DTensor) else one for one in held.values())
    return sum(part.numel() * part.element_size() for part in parts)
