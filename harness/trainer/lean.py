"""The loss of a micro-step without one wait for the device: trl's fused head on places that the host has counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from trl.kernels.chunked_logprob import ChunkedLogProbFunction
from trl.trainer import utils as trl_utils

from harness.errors import ConfigError
from harness.trainer.batches import LEAN_KEYS
from harness.trainer.head import OnceLogits

OUTPUTS = ("log_probs", "entropy", "is_top1")
"""What trl's SFTTrainer asks of its fused head."""
_SCALES = ("logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


@dataclass(frozen=True, slots=True)
class Lean:
    """Loss of one micro-step and what is logged beside it, all on the device."""

    loss: torch.Tensor
    """Sum of the places' losses over the tokens of the whole optimiser step; [] float32."""
    counts: torch.Tensor
    """Loss tokens, entropy summed, tokens predicted rightly; [3] float32."""


def check_lean(model: Any) -> None:
    """Raise ConfigError for a model whose head does more than a product and a soft cap."""
    config = model.config.get_text_config()
    scaled = [name for name in _SCALES if getattr(config, name, None) not in (None, 1, 1.0)]
    if scaled:
        raise ConfigError(f"This model scales its logits ({scaled[0]}); set train.device_metrics=false.")


def lean_loss(
    model: Any, batch: Mapping[str, Any], items: torch.Tensor | int | None, kernel: str = "trl", mask: bool = True
) -> Lean:
    """Return loss and counts of `batch` (from LeanCollator) for a causal language model, adapter and all.

    `items`: loss tokens of the optimiser step (None: of this batch); `kernel`: the head's, `trl` or `once`;
    `mask`: whether the attention wants the batch's padding mask.
    """
    left_out = {"labels", *LEAN_KEYS} | (set() if mask else {"attention_mask"})
    inputs = {name: value for name, value in batch.items() if name not in left_out}
    hidden = model.base_model(**inputs, use_cache=False).last_hidden_state
    head = model.get_output_embeddings()
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    hidden = hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch["loss_index"])
    targets, weight = batch["loss_targets"], batch["loss_weight"]
    counted = weight.sum()
    total = counted if items is None else torch.as_tensor(items, device=weight.device)
    factors = -weight / total.clamp(min=1)
    if kernel == "once" and head.bias is None:
        loss, entropy, right = OnceLogits.apply(hidden, head.weight, targets, factors, softcap)
    else:
        columns = trl_utils._CHUNKED_LOGPROB_CHUNK_SIZE
        logprobs, entropy, _, _, right = ChunkedLogProbFunction.apply(
            hidden, head.weight, head.bias, targets, 1.0, columns, softcap, 1.0, OUTPUTS
        )
        loss = (logprobs * factors).sum()
    counts = torch.stack([counted, (entropy.detach() * weight).sum(), (right * weight).sum()])
    return Lean(loss, counts)
