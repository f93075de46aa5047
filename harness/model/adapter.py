"""LoRA adapters over a base: loaded, held against the base they were trained on, merged, saved for serving stacks."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from harness.errors import DeviceError, ModelError
from harness.model.chat import stop_ids
from harness.model.dtypes import DTYPES, name_of, quiet
from harness.model.files import check_weights, digest, read_json
from harness.model.load import Loaded, is_tied, load_base
from harness.model.memory import is_out_of_memory
from harness.model.nf4 import dequantise
from harness.model.settings import BasePrecision, ModelSettings, Weights
from harness.model.source import locate_base
from harness.scratch import Scratch

RECORD = "harness.json"
_OF_TRAINING = ("data", "data_digest", "rows", "settings_digest", "train", "versions")
"""What a merged model's record keeps of its adapter's."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged model on disk."""

    out: Path
    base_precision: str
    facts: Mapping[str, Any]


def load_adapter(loaded: Loaded, path: Path, weights: Weights = "merged") -> Loaded:
    """Return `loaded` with the adapter in `path`; the base is changed in place, so load it anew for each adapter.

    `merged` adds the adapter into the weights (NF4 ones as the numbers they stand for, one rounding to the compute
    dtype): the fast way to answer. `adapter` keeps it beside them, as it was trained.
    """
    check_adapter(path, loaded)
    model = loaded.model
    if weights == "merged":
        dequantise(model)
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft's advice on tied layers; ties are looked at below
        try:
            wrapped: Any = PeftModel.from_pretrained(model, str(path), is_trainable=False)
            result = wrapped.merge_and_unload() if weights == "merged" else wrapped
        except Exception as error:  # sizes that do not fit: a RuntimeError; layers that are not there: a ValueError
            if is_out_of_memory(error):
                raise DeviceError(
                    f"Memory does not suffice for {path}; set model.device=cpu or take a larger machine."
                ) from error
            raise ModelError(
                f"The adapter {path} does not fit {loaded.settings.base} ({_first_line(error)}); name the base it was "
                f"trained on{_trained_on(path)}."
            ) from error
    result.eval()
    result.generation_config = model.generation_config
    facts = {
        **loaded.facts,
        "adapter": str(path),
        "adapter_digest": digest(path),
        "weights": weights,
        "base_precision": loaded.facts["precision"] if weights == "adapter" else _base_precision(loaded),
        "tied": is_tied(result),
    }
    return dataclasses.replace(loaded, model=result, facts=facts)


def check_adapter(path: Path, loaded: Loaded) -> None:
    """Raise ModelError where `path` holds no whole adapter, or one that was trained on another base."""
    if not path.is_dir():
        raise ModelError(f"There is no adapter folder {path}; check the path, or train first.")
    read_json(path / "adapter_config.json")
    check_weights(path)
    trained = _record(path).get("model", {})
    if trained.get("digest", loaded.facts["digest"]) != loaded.facts["digest"]:
        raise ModelError(
            f"The adapter {path} was trained on another base ({trained.get('source')}, weights "
            f"{trained['digest'][:12]}) than {loaded.settings.base} (weights {loaded.facts['digest'][:12]}); set "
            "model.base to the one it was trained on."
        )


def base_of(adapter: Path) -> ModelSettings:
    """Return the base an adapter was trained on; ModelError where it does not say."""
    known = _record(adapter).get("model_settings")
    if known:
        names = {field.name for field in dataclasses.fields(ModelSettings)}
        return ModelSettings(**{key: value for key, value in known.items() if key in names})
    base = read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not base:
        raise ModelError(f"The adapter {adapter} does not say which base it belongs to; name it with model.base.")
    return ModelSettings(base=str(base))


def merge(
    adapter: Path,
    out: Path,
    base_precision: BasePrecision = "nf4-dequantised",
    max_shard_size: str = "2GB",
    settings: ModelSettings | None = None,
) -> Merged:
    """Write the adapter merged into its base to `out`: safetensors in the base's own dtype, tokenizer, record.

    `nf4-dequantised` is the base the adapter was trained beside; `original` the unquantised one, as the guide merges,
    which shifts answers. `settings` names the base where the adapter's own record should not.
    """
    if out.exists() and any(out.iterdir()):
        raise ModelError(f"{out} is there already; name another folder with --out, or empty it.")
    base = settings or base_of(adapter)
    stored = _stored_dtype(base)
    precision = "nf4" if base_precision == "nf4-dequantised" else stored
    base = dataclasses.replace(base, precision=precision)  # type: ignore[arg-type]
    merged = load_adapter(load_base(base), adapter, "merged")
    merged.model.to(DTYPES[stored])
    # a server ends an answer only where the model's own folder says so
    ends = stop_ids(merged.tokenizer, merged.model.generation_config)
    merged.model.generation_config.eos_token_id = list(ends)
    facts = {**merged.facts, "base_precision": base_precision, "saved_dtype": stored, "adapter": adapter.name}
    facts["training"] = {key: value for key, value in _record(adapter).items() if key in _OF_TRAINING}
    _save(merged, out, facts, max_shard_size)
    return Merged(out, base_precision, facts)


def _save(merged: Loaded, out: Path, facts: Mapping[str, Any], max_shard_size: str) -> None:
    """Write to a temporary folder beside `out` and rename, so that a killed merge leaves nothing half."""
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Scratch(f".{out.name}-", out.parent) as work:
            with quiet():
                merged.model.save_pretrained(str(work), max_shard_size=max_shard_size)
                merged.tokenizer.save_pretrained(str(work))
            (work / RECORD).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            if out.is_dir():
                out.rmdir()
            work.rename(out)
    except OSError as error:
        raise ModelError(f"The merged model cannot be written to {out} ({error}); free some disk.") from error


def _stored_dtype(settings: ModelSettings) -> str:
    """Return the dtype the base is stored in, bf16 where its config names none that is known here."""
    config = read_json(locate_base(settings) / "config.json")
    text = config.get("text_config") or {}
    named = config.get("dtype") or config.get("torch_dtype") or text.get("dtype") or text.get("torch_dtype")
    name = name_of(named)
    return name if name in DTYPES else "bf16"


def _base_precision(loaded: Loaded) -> str:
    return "nf4-dequantised" if loaded.facts["precision"] == "nf4" else "original"


def _record(path: Path) -> dict[str, Any]:
    """Return what training wrote beside an adapter; empty for adapters made elsewhere."""
    if not (path / RECORD).is_file():
        return {}
    record = read_json(path / RECORD)
    return dict(record.get("facts") or record)


def _trained_on(path: Path) -> str:
    base = read_json(path / "adapter_config.json").get("base_model_name_or_path")
    return f" ({base})" if base else ""


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)] if lines else type(error).__name__
