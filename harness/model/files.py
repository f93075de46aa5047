"""A model folder looked at before anything is loaded: complete, readable, safe to read, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import ModelError

WHOLE_FILE_LIMIT = 64 * 2**20
"""Weight files up to this size are digested whole; of larger ones the header, the size and the last MiB."""
TAIL = 2**20


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object from `path`; ModelError where it is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no {path.name}, so it is no model folder; check the path.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); fetch or save the model again.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} does not hold a JSON object; fetch or save the model again.")
    return value


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model or adapter folder, by name."""
    return sorted(folder.glob("*.safetensors"))


def check_weights(folder: Path, allow_pickle: bool = False) -> None:
    """Raise ModelError where weights are missing, incomplete, truncated, or only there as a pickle."""
    files = weight_files(folder)
    if not files:
        pickles = [p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in sorted(folder.glob(pattern))]
        if not pickles:
            raise ModelError(f"{folder} holds no weights (*.safetensors); check the path or fetch the model again.")
        if not allow_pickle:
            raise ModelError(
                f"{folder} holds only pickled weights ({pickles[0]}), which can run code as they load; convert them "
                "to safetensors, or set model.allow_pickle=true if you trust their source."
            )
        return
    for file in files:
        read_header(file)
    for index in folder.glob("*.safetensors.index.json"):
        shards = set(read_json(index).get("weight_map", {}).values())
        missing = sorted(shards - {file.name for file in files})
        if missing:
            raise ModelError(f"{folder} lacks {', '.join(missing)}, named in {index.name}; fetch the model again.")


def read_header(file: Path) -> dict[str, Any]:
    """Return the header of a safetensors file (name -> dtype, shape, data_offsets); ModelError where it is damaged."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            size = file.stat().st_size
            if not 0 < length <= size - 8:
                raise ValueError("no valid header")
            header = json.loads(stream.read(length))
        tensors = {name: facts for name, facts in header.items() if name != "__metadata__"}
        end = 8 + length + max((facts["data_offsets"][1] for facts in tensors.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is no readable safetensors file ({error}); fetch or save it again.") from error
    if end != size:
        raise ModelError(
            f"{file} is cut short or damaged: {size:,} bytes where {end:,} belong; fetch or save it again."
        )
    return tensors


def digest(folder: Path) -> str:
    """Return a hex digest of the weights and config of a model or adapter folder; alike on every machine.

    Large files count by header, size and last MiB (a full read of a 27B model would take a minute).
    """
    sha = hashlib.sha256()
    for name in ("config.json", "adapter_config.json"):
        file = folder / name
        if file.is_file():
            sha.update(_stable_config(file))
    for file in weight_files(folder) or sorted(folder.glob("*.bin")):
        size = file.stat().st_size
        sha.update(f"{file.name} {size}".encode())
        with file.open("rb") as stream:
            if size > WHOLE_FILE_LIMIT:
                sha.update(stream.read(8 + min(int.from_bytes(stream.read(8), "little"), WHOLE_FILE_LIMIT)))
                stream.seek(-TAIL, 2)
            while block := stream.read(TAIL):
                sha.update(block)
    return sha.hexdigest()


def files_digest(folder: Path, names: Sequence[str]) -> str:
    """Return a hex digest of the named small files of a folder, as far as they are there."""
    sha = hashlib.sha256()
    for name in names:
        sha.update(f"{name} {file_digest(folder / name)}\n".encode())
    return sha.hexdigest()


def file_digest(file: Path) -> str:
    """Return the sha256 of a small file; empty where there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _stable_config(file: Path) -> bytes:
    """Return a config without what says who wrote it, where and with which version."""
    config = read_json(file)
    for key in ("transformers_version", "peft_version", "_name_or_path", "base_model_name_or_path", "revision"):
        config.pop(key, None)
    return json.dumps(config, sort_keys=True).encode()
