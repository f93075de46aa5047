"""How the adapter is trained: the `train` section as frozen records. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Example:
    """One training row: what the model is shown and what it must answer."""

    messages: tuple[Mapping[str, str], ...]
    """Chat messages with `role` and `content`, ending with the user's."""
    completion: str
    """The assistant's answer."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Google's QLoRA guide on trl 1.x; defaults are the guide's where it names one."""

    epochs: float = 3.0
    max_steps: int = 0
    """Optimizer steps after which training ends whatever the epochs; 0 = by epochs."""
    max_length: int = 512
    """Tokens of a row (of a pack, where packing is on)."""
    packing: Literal["bfd", "wrapped", "none"] = "bfd"
    """`bfd` packs whole rows, blind to each other; `wrapped` joins and cuts (trl 0.x: packing=True); `none` pads."""
    loss_on: Literal["completion", "all"] = "completion"
    """Tokens the loss is taken over; `all` is the guide as first written (prompt included)."""
    over_long: Literal["truncate", "drop"] = "truncate"
    """What happens to a row longer than max_length (counted either way); `wrapped` splits it instead."""
    batch_size: int = 1
    """Rows (packs) a device and micro-step."""
    accumulation: int = 4
    """Micro-steps an optimizer step."""
    gradient_checkpointing: bool = True
    """Recompute activations: less memory, about 40 % more work."""
    group_by_length: bool = False
    """Batch rows of like length together (packing none): less padding, order no longer purely random."""
    optimizer: str = "adamw_torch_fused"
    learning_rate: float = 2e-4
    schedule: str = "constant"
    """lr_scheduler_type; `constant` ignores warmup, as it does in the guide."""
    warmup: float = 0.03
    """Below 1: share of all steps; else steps."""
    weight_decay: float = 0.0
    max_grad_norm: float = 0.3
    lora_r: int = 16
    lora_alpha: int = 16
    lora_dropout: float = 0.05
    target_modules: tuple[str, ...] = ("all-linear",)
    """Names of the layers that get LoRA; `all-linear` alone is every linear layer but the head."""
    modules_to_save: tuple[str, ...] = ("lm_head", "embed_tokens")
    """Layers trained whole beside LoRA; empty trains LoRA only."""
    ensure_weight_tying: bool = True
    """Tied head and embedding stay one matrix when trained."""
    dequantize_base: bool = False
    """Hold the NF4 base dequantised: the same values and gradients (exact), faster, more memory."""
    trainable_dtype: Literal["auto", "bf16", "fp32"] = "auto"
    """Dtype of what trains; auto: bf16 beside a bf16 base (as trl does), else fp32 (fp16 scaling needs it)."""
    rungs: Literal["written", "auto"] = "written"
    """`auto` replaces batch_size, accumulation and the settings below by the fastest exact ones that fit the memory."""
    attention: Literal["model", "packed"] = "model"
    """`packed`: documents of a pack attend to themselves by their lengths, without a dense mask (exact)."""
    device_metrics: bool = False
    """Entropy, accuracy and counts stay on the device until they are logged (exact)."""
    fixed_length: bool = False
    """Pad each micro-step to batch_size x max_length, so that every one has the same shape (exact)."""
    compile_layers: bool = False
    """Compile the decoder layers one by one (exact to rounding); worth it with fixed_length."""
    cuda_graph: bool = False
    """Replay each micro-step, forward and backward, as one captured CUDA graph (exact)."""
    lora_kernel: Literal["peft", "fused"] = "peft"
    """`fused` adds LoRA's product inside a matrix product instead of in a pass of its own (exact to rounding)."""
    head_kernel: Literal["trl", "once"] = "trl"
    """`once` computes each token's logits once instead of twice (exact to rounding); holds 2 GiB of them at most."""
    save_each_epoch: bool = True
    save_every_steps: int = 0
    """Further checkpoints every so many optimizer steps; 0 none. A killed run resumes from the newest."""
    logging_steps: int = 10
    report_to: tuple[str, ...] = ("tensorboard",)
    """Trackers; empty writes none."""
    push_to_hub: bool = False
    hub_model_id: str = ""
    seed: int = 42

    @property
    def lean(self) -> bool:
        """Whether harness computes the loss itself (trl's head, counts on the device) instead of trl's compute_loss."""
        return self.device_metrics or self.fixed_length or self.cuda_graph or self.head_kernel == "once"
