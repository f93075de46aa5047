"""Paragraphs of a model card, from what training and evaluation recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.model.source import is_hub_id
from harness.trainer.curve import accuracy_text
from harness.trainer.measured import Measurement
from harness.units import percent

NAMED = (
    ("epochs", "epochs"),
    ("max_length", "tokens a row"),
    ("packing", "packing"),
    ("loss_on", "loss taken over"),
    ("batch_size", "batch"),
    ("accumulation", "gradient accumulation"),
    ("learning_rate", "learning rate"),
    ("schedule", "schedule"),
    ("optimizer", "optimizer"),
    ("max_grad_norm", "gradient clipping"),
    ("lora_r", "LoRA r"),
    ("lora_alpha", "LoRA alpha"),
    ("lora_dropout", "LoRA dropout"),
    ("target_modules", "LoRA on"),
    ("modules_to_save", "trained whole"),
    ("gradient_checkpointing", "gradient checkpointing"),
    ("dequantize_base", "base held dequantised"),
    ("seed", "seed"),
)


def base_id(model: Mapping[str, Any]) -> str | None:
    """The base's id on the hub; None for a local folder or file, whose path means nothing elsewhere."""
    source = str(model["source"])
    return source if is_hub_id(source) and ":" not in source and not Path(source).exists() else None


def base_name(model: Mapping[str, Any]) -> str:
    """The base as people call it: its id, else the last part of its path."""
    return base_id(model) or str(model["source"]).rstrip("/").rpartition("/")[2]


def made(facts: Mapping[str, Any]) -> str:
    """One sentence: an adapter on which base, with how many parameters."""
    model = facts["model"]
    kind = "NF4, double quantised" if model["precision"] == "nf4" else model["precision"]
    return (
        f"LoRA adapter trained with harness on its base in {kind} ({model['compute_dtype']} arithmetic, "
        f"{model['parameters']:,} parameters, of which and beside which {facts['trainable_parameters']:,} trained, in "
        f"{' and '.join(facts['trainable_dtypes'])})."
    )


def merged_from(record: Mapping[str, Any]) -> str:
    """One sentence: which adapter was added into which weights."""
    base = "its NF4 base, dequantised" if record["base_precision"] == "nf4-dequantised" else "the original base"
    return (
        f"The adapter (digest {record['adapter_digest'][:16]}) added into {base} (weights {record['digest'][:16]}), "
        f"saved in {record['saved_dtype']}. The whole record is in `harness.json`."
    )


def results(measured: Sequence[Measurement]) -> list[str]:
    """The section with one row a model and split; empty where nothing was evaluated."""
    if not measured:
        return []
    suite = any(entry.suite_accuracy is not None for entry in measured)
    rows = [
        f"| {entry.model} | {entry.benchmark}, {entry.split}, {entry.digest[:12]}{_part(entry)} | "
        f"{accuracy_text(entry)} | {percent(entry.exact_match)} |"
        + (f" {percent(entry.suite_accuracy)} |" if suite else "")
        for entry in measured
    ]
    return [
        "",
        "## Results",
        "| model | data set, split, digest | execution accuracy | exact match |" + (" suites |" if suite else ""),
        "|---|---|---|---|" + ("---|" if suite else ""),
        *rows,
        "",
        "Execution accuracy: the same answer as the gold in DuckDB under the default rule, with its 95 % Wilson "
        "interval over the questions whose gold runs (n). Runs: "
        + ", ".join(f"`{entry.run}`" for entry in measured)
        + ".",
        "",
    ]


def _part(entry: Measurement) -> str:
    return f", first {entry.n:,} questions only" if entry.limited else ""


def use(model: Mapping[str, Any], *, adapter: bool) -> list[str]:
    """The section that shows how to load it."""
    if not adapter:
        lines = ["from transformers import AutoModelForCausalLM", 'model = AutoModelForCausalLM.from_pretrained("...")']
    else:
        lines = [
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM",
            f'base = AutoModelForCausalLM.from_pretrained("{base_id(model) or "..."}")'
            + ("" if base_id(model) else f"  # {base_name(model)}"),
            'model = PeftModel.from_pretrained(base, "...")',
        ]
    note = "The chat template is in the tokenizer beside it."
    return ["## Use", "```python", *lines, "```", note, ""]


def recipe(facts: Mapping[str, Any], over_long: Mapping[str, int] | None = None) -> list[str]:
    """The section with every setting that shaped the adapter, and its rows."""
    settings, data = facts["train"], facts.get("data") or {}
    long = ""
    if over_long is not None:
        long = f" ({over_long['rows']:,} longer than the limit, {over_long['dropped']:,} of them left out)"
    named = [f"| data set | {_data(data)} |"] if data else []
    return [
        "## Recipe",
        "| setting | value |",
        "|---|---|",
        *named,
        *(f"| {words} | {_text(settings[key])} |" for key, words in NAMED),
        f"| rows | {facts['rows']:,}{long} |",
        f"| versions | {', '.join(f'{name} {number}' for name, number in facts['versions'].items())} |",
        "",
    ]


def _data(data: Mapping[str, Any]) -> str:
    where = f", {data['hub']}" if data.get("hub") else ""
    revision = f" at {data['revision']}" if data.get("revision") else ""
    return f"{data['benchmark']} (split {data['split']}{where}{revision}, digest {data['digest'][:12]})"


def identity(facts: Mapping[str, Any]) -> list[str]:
    """The section with the digests that tell one training from another."""
    return [
        "## Identity",
        f"Settings {facts['settings_digest'][:16]}, data {facts['data_digest'][:16]}, base weights "
        f"{facts['model']['digest'][:16]}; the whole record is in `harness.json`.",
    ]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "nothing"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
