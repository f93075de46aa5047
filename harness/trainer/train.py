"""QLoRA from examples to an adapter: reuses a finished one, resumes a killed one, explains what went wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.model.dtypes import quiet
from harness.model.files import digest, file_digest
from harness.model.load import Loaded, load_base, pick_device
from harness.model.settings import ModelSettings
from harness.model.source import is_hub_id, locate_base
from harness.ranks import ALONE, Ranks
from harness.store.lock import held
from harness.throughput import timed
from harness.throughput.budget import Phases
from harness.throughput.peaks import Peaks, measured
from harness.trainer.assemble import build_trainer
from harness.trainer.auto import resolve
from harness.trainer.card import write_card, write_checkpoint_card
from harness.trainer.faults import explained, hushed
from harness.trainer.hub import push
from harness.trainer.norms import wild_steps
from harness.trainer.recipe import prepare_model, trainable_facts
from harness.trainer.result import (
    CHECKPOINTS,
    TrainResult,
    find_checkpoints,
    find_result,
    read_record,
    record_of,
    write_record,
)
from harness.trainer.rows import Rows, data_digest, encode_rows
from harness.trainer.session import CountingTrainer, InterruptAfterStep, Progress, Watch
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.sharded import check_checkpoint, check_sharded, sharding_asked
from harness.trainer.speed import throughput_facts

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
NOT_TRAINED = ("report_to", "push_to_hub", "hub_model_id", "logging_steps", "save_every_steps", "save_each_epoch")
"""Settings that do not change the adapter, so they do not make a finished one stale."""
SPEED = (
    "rungs",
    "attention",
    "device_metrics",
    "fixed_length",
    "compile_layers",
    "cuda_graph",
    "lora_kernel",
    "head_kernel",
)
"""Settings of speed: the same adapter up to rounding."""


def train(
    examples: Sequence[Example],
    model: ModelSettings,
    settings: TrainSettings,
    out: Path,
    *,
    data: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    ranks: Ranks = ALONE,
) -> TrainResult:
    """Train an adapter into `out` and return what came of it; `data` says on its card where the examples are from.

    The same settings, data and base: a finished adapter is returned as it is, an unfinished one resumes from its last
    whole checkpoint. Another training found in `out` is set aside under a name with its digest. Ctrl-C ends after the
    step with a checkpoint, then raises KeyboardInterrupt.

    Of several `ranks` each trains on its own rows of a step, so `batch_size` counts per rank, and the first one writes.
    Where accelerate was told to, they share the model's parameters too (FSDP).
    """
    if sharding_asked():
        check_sharded(settings)
    with held(out, "trained") if ranks.first else nullcontext():
        return _train_held(examples, model, settings, out, data, progress, say, ranks)


def _train_held(
    examples: Sequence[Example],
    model: ModelSettings,
    settings: TrainSettings,
    out: Path,
    data: Mapping[str, Any] | None,
    progress: Progress | None,
    say: Callable[[str], None] | None,
    ranks: Ranks,
) -> TrainResult:
    identity = _identity(examples, model, settings, ranks.count)
    if ranks.first:
        _make_room(out, identity["settings_digest"])
    done = ranks.agree(find_result(out) if ranks.first else None)
    if done is not None:
        return done
    if ranks.first:
        write_record(out, {"status": "running", **identity})
        _drop_torn_checkpoints(out)
    ranks.wait()
    with explained(settings, out), quiet(), hushed():
        phases = Phases()
        with phases("probe"):
            peaks = measured(pick_device(model.device).type)
        with phases("load"):
            loaded = load_base(model)
        with phases("tokenise"):
            rows = encode_rows(examples, loaded.tokenizer, settings)
        passes = settings.max_steps * settings.batch_size * settings.accumulation * settings.max_length
        chosen = ""
        if ranks.count == 1 and not sharding_asked():
            settings, chosen = resolve(settings, loaded, passes or rows.tokens * settings.epochs)
        if chosen and say is not None:
            say(chosen)
        identity = {**identity, "data": dict(data or {}), "rungs": chosen or "written"}
        trainer, result = _train(rows, loaded, settings, out, identity, progress, say, phases, peaks, ranks)
        return _finish(trainer, result, settings, ranks)


def _train(
    rows: Rows,
    loaded: Loaded,
    settings: TrainSettings,
    out: Path,
    identity: Mapping[str, Any],
    progress: Progress | None,
    say: Callable[[str], None] | None,
    phases: Phases,
    peaks: Peaks,
    ranks: Ranks,
) -> tuple[CountingTrainer, TrainResult]:
    facts = {**identity, "model": dict(loaded.facts), "rows": len(rows.input_ids), "row_tokens": rows.tokens}
    facts["versions"] = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl", "peft")}
    with phases("prepare"):
        model = prepare_model(loaded, settings)
        facts.update(trainable_facts(model))
        facts = json.loads(json.dumps(facts))  # what is read back later is then equal to it
        watch = Watch(settings, facts, progress, ranks)
        trainer = build_trainer(model, loaded, rows, settings, out, [watch])
        trainer.say = say
        if not trainer.checked:
            facts["gradient_check"] = trainer.gradient_check  # filled at the first step
        last = next(reversed(find_checkpoints(out)), None)
        if last is not None:
            check_checkpoint(last.path)
    with InterruptAfterStep(watch), phases("train"), timed(loaded.device) as region:
        trainer.train(resume_from_checkpoint=str(last.path) if last else None)
    if watch.interrupted:
        raise KeyboardInterrupt
    aside = {"save": trainer.saving_seconds, "check": trainer.gradient_check.get("seconds", 0.0)}
    phases.split("train", aside)
    if wild := wild_steps(watch.losses, scaled=loaded.facts["compute_dtype"] == "fp16"):
        facts["wild_gradient_norms"] = wild
    counted: dict[str, Any] = {
        "trained_tokens": trainer.trained_tokens,
        "padded_tokens": trainer.padded_tokens,
        "step_seconds": region.seconds - sum(aside.values()),
        "peak_memory_bytes": region.peak_memory_bytes,
    }
    speed = throughput_facts(loaded, rows, settings, peaks, counted, region.joules, phases.seconds)
    result = TrainResult(
        adapter=out,
        checkpoints=(),
        loss=watch.losses[-1]["loss"] if watch.losses else None,
        losses=tuple(watch.losses),
        steps=trainer.state.global_step,
        seconds=region.seconds,
        step_seconds=counted["step_seconds"],
        trained_tokens=counted["trained_tokens"],
        loss_tokens=trainer.loss_tokens,
        peak_memory_bytes=region.peak_memory_bytes,
        resumed_from=last.step if last else 0,
        over_long={"rows": rows.over_long, "dropped": rows.dropped, "truncated": rows.over_long - rows.dropped},
        facts={
            **facts,
            "parameter_bytes": trainer.parameter_bytes,
            "padded_tokens": counted["padded_tokens"],
            "throughput": speed,
        },
    )
    return trainer, result


def _finish(trainer: CountingTrainer, result: TrainResult, settings: TrainSettings, ranks: Ranks) -> TrainResult:
    """Save adapter, tokenizer, card; the record comes last and marks the adapter as finished."""
    trainer.save_model(str(result.adapter))  # where the weights are spread over the ranks, all of them give theirs
    if ranks.first:
        result = _recorded(result, settings)
    ranks.wait()
    return result


def _recorded(result: TrainResult, settings: TrainSettings) -> TrainResult:
    """What stands beside the weights."""
    out = result.adapter
    for checkpoint in find_checkpoints(out):
        if (read_record(checkpoint.path) or {}).get("interrupted"):
            shutil.rmtree(checkpoint.path)
    (out / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing needs
    base = result.facts["model"]["source"]
    if is_hub_id(base) and not Path(base).exists():
        for folder in (out, *(checkpoint.path for checkpoint in find_checkpoints(out))):
            _name_base(folder, base)
    result = dataclasses.replace(result, checkpoints=find_checkpoints(out))
    for checkpoint in result.checkpoints:
        write_checkpoint_card(checkpoint.path, read_record(checkpoint.path) or {})
    write_card(out, result)
    write_record(out, {"status": "finished", **record_of(result)})
    if settings.push_to_hub:
        push(out, settings.hub_model_id or out.name)
    return result


def _name_base(folder: Path, base: str) -> None:
    """Let a hub model be found by its id, not by the cache folder it was read from."""
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def _identity(
    examples: Sequence[Example], model: ModelSettings, settings: TrainSettings, processes: int
) -> dict[str, Any]:
    """Return settings and digests; `settings_digest` is equal where the adapter would be the same."""
    asked = {key: value for key, value in dataclasses.asdict(settings).items() if key not in NOT_TRAINED + SPEED}
    base = locate_base(model)
    tokenizer = Path(model.tokenizer_from).expanduser() if model.tokenizer_from else base
    template = Path(model.chat_template_from).expanduser()
    what: dict[str, Any] = {
        "base_digest": digest(base),
        "tokenizer_digests": {name: file_digest(tokenizer / name) for name in TOKENIZER_FILES},
        "template_digest": file_digest(template),
        "data_digest": data_digest(examples),
        "train": asked,
        "model": {
            "precision": model.precision,
            "compute_dtype": model.compute_dtype,
            "tokenizer_from": model.tokenizer_from,
            "chat_template_from": model.chat_template_from,
        },
    }
    if processes > 1:
        what["processes"] = processes  # a step is then larger
    digested = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return {
        "settings_digest": digested,
        "data_digest": what["data_digest"],
        "train": dataclasses.asdict(settings),
        "model_settings": dataclasses.asdict(model),
    }


def _make_room(out: Path, settings_digest: str) -> None:
    """Set another training in `out` aside; StoreError where `out` holds something else."""
    record = read_record(out)
    if record is None:
        if out.is_dir() and any(out.iterdir()):
            raise StoreError(f"{out} is not empty and holds no training; name another folder or empty it.")
        return
    # a finished record keeps its facts one level down
    old = record.get("settings_digest") or record.get("facts", {}).get("settings_digest", "unknown")
    if old == settings_digest:
        return
    aside = out.with_name(f"{out.name}-{old[:8]}")
    number = 1
    while aside.exists():
        number += 1
        aside = out.with_name(f"{out.name}-{old[:8]}-{number}")
    out.rename(aside)


def _drop_torn_checkpoints(out: Path) -> None:
    """Remove checkpoints that were cut off while written, for trl would take them."""
    whole = {checkpoint.path for checkpoint in find_checkpoints(out)}
    for folder in (out / CHECKPOINTS).glob("checkpoint-*"):
        if folder not in whole:
            shutil.rmtree(folder)
