"""Which models an experiment evaluates: the base, its checkpoints, the merged model, or folders named by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.config import Experiment
from harness.errors import ModelError
from harness.evaluate.settings import server_settings
from harness.records import RunKind
from harness.trainer.result import Checkpoint, find_checkpoints, find_result

MERGED = "merged"
"""Folder of the merged model inside the adapter's."""
_OURS = ("base", "checkpoints", "final", MERGED)


@dataclass(frozen=True, slots=True)
class Subject:
    """One model to evaluate."""

    name: str
    """What people call it: `base`, `checkpoint-120`, `final`, `merged` ..."""
    kind: RunKind
    """`adapter`: LoRA over the experiment's base; `whole`: a model folder of its own; `served`: a server's, by name."""
    folder: Path | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    """Of an adapter: digest of the training, step, epoch, tokens a second, peak memory, the training's `throughput`."""


def subjects(experiment: Experiment) -> list[Subject]:
    """The models of `eval.models`, the base first; a ModelError names what is not there.

    Where a server answers, they are its models: `generate.server.model`, else those of `eval.models` that are no names
    of ours, else the only one that it serves.
    """
    if experiment.generate.backend == "server":
        return [Subject(name, "served") for name in _served(experiment)]
    found: dict[str, Subject] = {}
    for name in experiment.eval.models:
        for subject in _named(name, experiment):
            found.setdefault(subject.name, subject)
    if not found:
        raise ModelError("eval.models names no model; name base, checkpoints, final, merged or a folder.")
    return sorted(found.values(), key=lambda subject: subject.kind != "base")


def _served(experiment: Experiment) -> list[str]:
    server = experiment.generate.server
    if server.model:
        return [server.model]
    named = [name for name in experiment.eval.models if name not in _OURS]
    # deferred: only a server that was told no name is asked for one
    from harness.generate.server import served_model

    return list(dict.fromkeys(named)) or [served_model(server_settings(experiment))]


def _named(name: str, experiment: Experiment) -> Iterator[Subject]:
    out = Path(experiment.adapter_folder)
    if name == "base":
        yield Subject("base", "base")
    elif name == "checkpoints":
        checkpoints = find_checkpoints(out)
        if not checkpoints:
            raise _no_adapter(out)
        yield from (_of_checkpoint(checkpoint, out) for checkpoint in checkpoints)
    elif name == "final":
        yield final(experiment)
    elif name == MERGED:
        adapter = final(experiment)
        yield Subject(MERGED, "whole", out / MERGED, adapter.training)
    else:
        yield _checkpoint_or_folder(name, out)


def final(experiment: Experiment) -> Subject:
    """The finished adapter of an experiment."""
    out = Path(experiment.adapter_folder)
    result = find_result(out)
    if result is None:
        raise _no_adapter(out)
    return Subject("final", "adapter", out, _training(out) | {"step": result.steps})


def _checkpoint_or_folder(name: str, out: Path) -> Subject:
    checkpoints = {checkpoint.name: checkpoint for checkpoint in find_checkpoints(out)}
    if name in checkpoints:
        return _of_checkpoint(checkpoints[name], out)
    folder = Path(name)
    if (folder / "adapter_config.json").is_file():
        return Subject(folder.resolve().name, "adapter", folder)
    if (folder / "config.json").is_file():
        return Subject(folder.resolve().name, "whole", folder)
    known = ", ".join(["base", *checkpoints]) + (", final, merged" if find_result(out) else "")
    advice = "" if checkpoints else "; checkpoints come with `harness train`"
    raise ModelError(
        f"'{name}' is no model of this experiment ({known}) and no folder with an adapter or model{advice}."
    )


def _of_checkpoint(checkpoint: Checkpoint, out: Path) -> Subject:
    facts = _training(out) | {"step": checkpoint.step, "epoch": checkpoint.epoch, "loss": checkpoint.loss}
    return Subject(checkpoint.name, "adapter", checkpoint.path, facts)


def _training(out: Path) -> dict[str, Any]:
    result = find_result(out)
    if result is None:
        return {"name": out.name}
    return {
        "name": out.name,
        "digest": result.facts.get("settings_digest", ""),
        "train_tokens_per_second": result.train_tokens_per_second,
        "peak_memory_bytes": result.peak_memory_bytes,
        "seconds": result.seconds,
        "steps": result.steps,
        "throughput": dict(result.facts.get("throughput") or {}),
    }


def _no_adapter(out: Path) -> ModelError:
    return ModelError(
        f"No finished adapter or checkpoint lies in {out}; run `harness train` with the same experiment first, "
        "or evaluate the base alone with --model base."
    )
