"""Load a base model and its tokenizer as an experiment asks, and say for the record what was loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from harness.errors import DeviceError, ModelError
from harness.model import chat
from harness.model.dtypes import DTYPES, name_of, quiet
from harness.model.files import digest, read_json
from harness.model.memory import is_out_of_memory
from harness.model.nf4 import counted_quantisation, nf4_config, one_arithmetic, quantisation
from harness.model.settings import ModelSettings
from harness.model.source import locate_base, locate_folder
from harness.throughput.cost import shape_of

TOKENIZER_FILES = ("*.json", "*.model", "*.jinja", "*.txt")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to train or to answer."""

    model: Any
    tokenizer: Any
    facts: Mapping[str, Any]
    """For `run.json`: source, digest, precision, dtypes, quantisation, parameters, chat template."""
    settings: ModelSettings
    folder: Path
    """The local folder the base was read from."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.model.device)

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        return chat.stop_ids(self.tokenizer, self.model.generation_config)

    def encode(self, messages: Iterable[Mapping[str, str]]) -> list[int]:
        """Return the ids the model is asked with."""
        return chat.encode_prompt(self.tokenizer, messages)


def load_base(settings: ModelSettings) -> Loaded:
    """Load what `settings` names; ModelError or DeviceError, one sentence with a remedy, where that cannot be."""
    device = pick_device(settings.device)
    dtype = pick_dtype(settings, device)
    folder = locate_base(settings)
    tokenizer, template = load_tokenizer(settings, folder)
    model = _load_model(settings, folder, device, dtype)
    _check_vocabulary(model, tokenizer)
    shape = shape_of(model.config)
    facts = {
        "source": settings.base,
        "revision": settings.revision,
        "digest": digest(folder),
        "architecture": type(model).__name__,
        "precision": settings.precision,
        "compute_dtype": name_of(dtype),
        "device": device.type,
        "attention": settings.attention,
        "parameters": count_parameters(model),
        "quantisation": quantisation(model),
        "chat_template": template,
        "tied": is_tied(model),
        "shape": None if shape is None else asdict(shape),
    }
    return Loaded(model, tokenizer, facts, settings, folder)


def pick_device(wanted: str) -> torch.device:
    """Return the device of `wanted` (auto, cuda, cpu); DeviceError where a GPU is asked for and none is usable."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "model.device = cuda, but torch sees no GPU; check the driver and the torch build, or set model.device=cpu."
        )
    return (
        torch.device("cuda", torch.cuda.current_device())
        if wanted != "cpu" and torch.cuda.is_available()
        else torch.device("cpu")
    )


def pick_dtype(settings: ModelSettings, device: torch.device) -> torch.dtype:
    """Return the dtype of the weights (of the arithmetic, for NF4): bf16 from capability 8.0, else fp16; CPU fp32."""
    if settings.precision != "nf4":
        return DTYPES[settings.precision]
    if settings.compute_dtype != "auto":
        return DTYPES[settings.compute_dtype]
    if device.type == "cpu":
        return torch.float32  # what every CPU computes fast; bf16 needs AVX512-BF16 or AMX
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16


def load_tokenizer(settings: ModelSettings, folder: Path) -> tuple[Any, str]:
    """Return (tokenizer, where its chat template came from), padding on the left, a pad token set."""
    source = folder
    if settings.tokenizer_from:
        source = locate_folder(settings.tokenizer_from, "", "model.tokenizer_from", TOKENIZER_FILES)
    if not any(
        (source / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
    ):
        raise ModelError(f"{source} has no tokenizer (tokenizer.json); set model.tokenizer_from to a folder or hub id.")
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            str(source), trust_remote_code=settings.trust_remote_code
        )
    except Exception as error:  # whatever a damaged file leads the reader to
        raise ModelError(f"The tokenizer in {source} cannot be read ({error}); fetch or save it again.") from error
    template = chat.set_template(tokenizer, settings.chat_template_from)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, template


def auto_class(config: Mapping[str, Any], folder: Path, trust_remote_code: bool) -> Any:
    """Return the transformers auto class for the config's `architectures`: text alone, or text with images."""
    names = config.get("architectures") or []
    if any(name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values() for name in names):
        return transformers.AutoModelForImageTextToText
    if any(name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for name in names):
        return transformers.AutoModelForCausalLM
    if config.get("auto_map"):
        if trust_remote_code:
            return transformers.AutoModelForCausalLM
        raise ModelError(
            f"{folder} needs Python code that comes with it; set model.trust_remote_code=true if you trust its source."
        )
    raise ModelError(
        f"{folder} is no language model known to transformers {transformers.__version__} (architectures: "
        f"{', '.join(names) or 'none named'}); check model.base."
    )


def _load_model(settings: ModelSettings, folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    config = read_json(folder / "config.json")
    how: dict[str, Any] = {
        "dtype": dtype,
        "attn_implementation": settings.attention,
        "trust_remote_code": settings.trust_remote_code,
        "device_map": {"": device},
        "output_loading_info": True,
    }
    if not settings.allow_pickle:
        how["use_safetensors"] = True
    if settings.precision == "nf4":
        how["quantization_config"] = nf4_config(dtype)
    loader = auto_class(config, folder, settings.trust_remote_code)
    try:
        with quiet(), counted_quantisation() if settings.precision == "nf4" else nullcontext():
            model, info = loader.from_pretrained(str(folder), **how)
    except Exception as error:  # version, shape and format faults come as many kinds
        if is_out_of_memory(error):
            raise DeviceError(
                f"Memory does not suffice to load {settings.base} in {settings.precision}; set model.precision=nf4, or "
                "take a smaller model."
            ) from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise ModelError(
            f"{settings.base} cannot be loaded ({type(error).__name__}: {reason}); check model.*."
        ) from error
    missing = sorted(info.get("missing_keys") or [])
    if missing:
        raise ModelError(f"{settings.base} lacks weights ({missing[0]} and {len(missing) - 1} more); fetch it again.")
    one_arithmetic(model)
    model.eval()
    model.config.use_cache = True
    return model


def count_parameters(model: Any) -> int:
    """Return the number of weights, four-bit ones counted as what they stand for, tied ones once."""
    total = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        total += state.shape.numel() if state is not None else parameter.numel()
    return total


def is_tied(model: Any) -> bool:
    """True where the output head is the input embedding."""
    head = model.get_output_embeddings()
    return head is not None and head.weight is model.get_input_embeddings().weight


def _check_vocabulary(model: Any, tokenizer: Any) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"The tokenizer knows {len(tokenizer):,} tokens, the model {rows:,}: they do not belong together; check "
            "model.base and model.tokenizer_from."
        )
