"""Sections of the experiment file -> the settings of the rooms that do the work; none of these imports torch."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from pydantic import BaseModel

from harness.config import Experiment, ModelChoice, TrainChoice
from harness.generate.settings import DecodingSettings, ServerSettings
from harness.model.settings import ModelSettings
from harness.trainer.settings import TrainSettings

Record = TypeVar("Record")


def filled(record: type[Record], choice: BaseModel, **changes: Any) -> Record:
    """A room's settings with every field that the section has too; the others keep the room's default."""
    known = type(choice).model_fields
    names = [field.name for field in dataclasses.fields(record) if field.name in known]  # type: ignore[arg-type]
    return record(**{name: getattr(choice, name) for name in names} | changes)


def model_settings(choice: ModelChoice, **changes: Any) -> ModelSettings:
    """What `harness.model` loads."""
    return filled(ModelSettings, choice, **changes)


def train_settings(choice: TrainChoice) -> TrainSettings:
    """What `harness.trainer` trains by."""
    return filled(TrainSettings, choice)


def decoding_settings(experiment: Experiment) -> DecodingSettings:
    """How `harness.generate` answers."""
    return filled(DecodingSettings, experiment.generate)


def server_settings(experiment: Experiment) -> ServerSettings:
    """The server that answers with `generate.backend = "server"`."""
    return filled(ServerSettings, experiment.generate.server)


def decoding_facts(experiment: Experiment) -> dict[str, Any]:
    """What of the decoding decides an answer: what is decoded together is left out."""
    facts = dataclasses.asdict(decoding_settings(experiment))
    for name in ("batch_size", "block", "cache"):
        facts.pop(name)
    return facts | {"weights": experiment.generate.weights, "backend": experiment.generate.backend}
