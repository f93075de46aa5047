"""Pushes a finished adapter, with its card and record, to the hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import CommitOperationAdd

from harness.errors import HarnessError
from harness.trainer.card import CARD
from harness.trainer.curve import CURVE
from harness.trainer.measured import RESULTS
from harness.trainer.result import RECORD

_ADAPTER_CONFIG = "adapter_config.json"


def push(adapter: Path, repository: str) -> str:
    """Upload the adapter's files (no checkpoints, no merged model) to `repository`, private where it is new.

    Returns the repository's id; HarnessError where the hub does not take it. The key is found where the hub's own
    tools keep it (HF_TOKEN, `hf auth login`).
    """
    files = [file for file in sorted(adapter.iterdir()) if file.is_file() and not file.name.startswith(".")]
    return _commit(
        adapter, files, repository, "Adapter trained with harness", f"The adapter is trained and lies in {adapter}"
    )


def push_card(adapter: Path, repository: str) -> str:
    """Upload the card with its curve and results alone, after an evaluation; as `push` otherwise."""
    files = [file for name in (CARD, CURVE, RESULTS) if (file := adapter / name).is_file()]
    return _commit(adapter, files, repository, "Results of an evaluation", f"The card in {adapter} has the results")


def _commit(adapter: Path, files: Iterable[Path], repository: str, message: str, what_is_safe: str) -> str:
    api = huggingface_hub.HfApi()
    try:
        repository = api.create_repo(repository, private=True, exist_ok=True).repo_id
        added = [CommitOperationAdd(file.name, _published(file)) for file in files]
        api.create_commit(repository, added, commit_message=message)
    except Exception as error:  # no network, no login, no right: many kinds
        raise HarnessError(
            f"{what_is_safe}, but the hub did not take it ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no reason given'}); log in with `hf auth login`, check "
            "train.hub_model_id, or set train.push_to_hub=false."
        ) from error
    return repository


def _published(file: Path) -> Path | bytes:
    """The file, or its content without this machine's folders, which mean nothing elsewhere."""
    if file.name not in (RECORD, _ADAPTER_CONFIG):
        return file
    document = json.loads(file.read_text(encoding="utf-8"))
    return (json.dumps(_placeless(document), indent=1, sort_keys=True) + "\n").encode()


def _placeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _placeless(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placeless(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("/", "~", "./", "../")):
        return value.rstrip("/").rpartition("/")[2]
    return value
