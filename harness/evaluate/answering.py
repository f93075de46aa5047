"""The generator that answers for a subject; torch is imported when a local model is opened, not before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.config import Experiment
from harness.evaluate.cards import card_of_merged
from harness.evaluate.settings import decoding_settings, model_settings, server_settings
from harness.evaluate.subjects import Subject, final
from harness.generate.base import Generator
from harness.model.files import digest, read_json
from harness.model.settings import ModelSettings
from harness.model.source import locate_base, reading_digest
from harness.records import Machine

if TYPE_CHECKING:
    from harness.model.load import Loaded


def model_facts(experiment: Experiment, subject: Subject) -> dict[str, Any]:
    """What tells one model's answers from another's: digests of base and adapter, and how the weights are held."""
    if experiment.generate.backend == "server":
        return {"server": experiment.generate.server.url, "model": subject.name}
    choice = experiment.model
    facts: dict[str, Any] = {"precision": choice.precision, "compute_dtype": choice.compute_dtype}
    facts |= {"tokenizer_from": choice.tokenizer_from, "chat_template_from": choice.chat_template_from}
    if subject.kind == "whole" and subject.folder is not None:
        own = model_settings(choice, tokenizer_from="")
        facts |= {"model": digest(subject.folder), "adapter": ""}
        return facts | {"tokenizer": reading_digest(own, subject.folder)}
    adapter = digest(subject.folder) if subject.folder is not None else ""
    settings = model_settings(choice)
    base = locate_base(settings)
    return facts | {"model": digest(base), "adapter": adapter, "tokenizer": reading_digest(settings, base)}


def open_generator(experiment: Experiment, subject: Subject, previous: Generator | None = None) -> Generator:
    """The subject ready to answer, by `previous`'s captured steps where these fit; ModelError or DeviceError else."""
    if experiment.generate.backend == "server":
        from harness.generate.server import ServerGenerator

        return ServerGenerator(dataclasses.replace(server_settings(experiment), model=subject.name))
    from harness.generate.choose import local_generator

    loaded = load_subject(experiment, subject)
    return local_generator(loaded, experiment.generate.backend, decoding_settings(experiment), previous)


def answering_machine(experiment: Experiment, here: Machine) -> str:
    """What speeds are grouped by: this machine's name; a server's address, since its hardware cannot be seen."""
    if experiment.generate.backend == "server":
        return f"server {urlsplit(experiment.generate.server.url).netloc}"
    return here.name


def load_subject(experiment: Experiment, subject: Subject) -> Loaded:
    """The subject's weights in memory."""
    from harness.model.adapter import load_adapter
    from harness.model.load import load_base

    settings = model_settings(experiment.model)
    if subject.kind == "whole":
        return load_base(_whole(settings, subject.folder))
    loaded = load_base(settings)
    if subject.kind == "adapter" and subject.folder is not None:
        loaded = load_adapter(loaded, subject.folder, experiment.generate.weights)
    return loaded


def _whole(settings: ModelSettings, folder: Path | None) -> ModelSettings:
    """A model folder of its own is not quantised again: it is loaded in the dtype the base computes in."""
    from harness.model.dtypes import name_of
    from harness.model.load import pick_device, pick_dtype

    dtype = pick_dtype(settings, pick_device(settings.device))
    precision: Any = name_of(dtype)
    return dataclasses.replace(settings, base=str(folder), revision="", tokenizer_from="", precision=precision)


def ensure_merged(experiment: Experiment, subject: Subject) -> None:
    """Write the merged model of the finished adapter where it is not there yet, or is that of another adapter."""
    from harness.model.adapter import merge

    folder = subject.folder
    adapter = final(experiment).folder
    if folder is None or adapter is None:
        return
    if (folder / "harness.json").is_file():
        known: Mapping[str, Any] = read_json(folder / "harness.json")
        if known.get("adapter_digest") == digest(adapter):
            return
        folder.rename(_aside(folder))
    merge(adapter, folder, "nf4-dequantised", settings=model_settings(experiment.model))
    card_of_merged(folder)


def _aside(folder: Path) -> Path:
    number = 1
    while (path := folder.with_name(f"{folder.name}-old-{number}")).exists():
        number += 1
    return path
