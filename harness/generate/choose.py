"""Which local backend answers: the engine where it can run the model on a GPU, transformers' generate() elsewhere."""

from __future__ import annotations

from typing import Literal

from harness.errors import ConfigError
from harness.generate.base import Generator
from harness.generate.engine.generator import EngineGenerator
from harness.generate.engine.shape import EngineUnfitError
from harness.generate.local import TransformersGenerator
from harness.generate.settings import DecodingSettings
from harness.model.load import Loaded

Backend = Literal["local", "engine", "transformers"]


def local_generator(
    loaded: Loaded, backend: Backend, decoding: DecodingSettings, previous: Generator | None = None
) -> Generator:
    """Return the generator of a loaded model; `local` falls back to transformers and notes the reason in the run.

    `previous`, the generator of an earlier model, is used again where it is an engine of the same shape: its captured
    steps then serve every checkpoint. ConfigError or EngineUnfitError where `engine` is asked for and cannot be.
    """
    if backend == "transformers" or (backend == "local" and loaded.device.type != "cuda"):
        return TransformersGenerator(loaded)
    try:
        if decoding.temperature > 0:
            raise ConfigError(
                "The engine decodes greedily, and generate.temperature is above 0; set generate.backend=transformers."
            )
        if isinstance(previous, EngineGenerator) and previous.adopt(loaded):
            return previous
        return EngineGenerator(loaded)
    except (ConfigError, EngineUnfitError) as error:
        if backend == "engine":
            raise
        return TransformersGenerator(loaded, f"the engine was not used: {error}")
