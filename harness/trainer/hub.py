"""Pushes a finished adapter, with its card and record, to the hub."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub

from harness.errors import HarnessError
from harness.trainer.result import CHECKPOINTS


def push(adapter: Path, repository: str) -> None:
    """Upload the folder (checkpoints left out) to `repository`; HarnessError where the hub does not take it."""
    api = huggingface_hub.HfApi()
    try:
        repository = api.create_repo(repository, private=True, exist_ok=True).repo_id
        api.upload_folder(repo_id=repository, folder_path=str(adapter), ignore_patterns=[f"{CHECKPOINTS}/**"])
    except Exception as error:  # no network, no login, no right: many kinds
        raise HarnessError(
            f"The adapter is trained and lies in {adapter}, but the hub did not take it ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no reason given'}); log in with `hf auth login`, check "
            "train.hub_model_id, or set train.push_to_hub=false."
        ) from error
