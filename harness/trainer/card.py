"""The README.md beside an adapter: what it is, how it was trained, what it needs to be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.trainer.result import TrainResult

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


def write_card(folder: Path, result: TrainResult) -> None:
    """Write the card to `folder`; StoreError where the disk does not take it."""
    try:
        (folder / "README.md").write_text(card(result), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{folder / 'README.md'} cannot be written ({error.strerror}); free some disk.") from error


def card(result: TrainResult) -> str:
    """Return the card as Markdown with the hub's front matter."""
    facts = result.facts
    model, settings = facts["model"], facts["train"]
    front = ["---", f"base_model: {model['source']}", "library_name: peft", "tags: [text-to-sql, qlora, trl]", "---"]
    rows = [f"| {words} | {_text(settings[key])} |" for key, words in NAMED]
    return "\n".join(
        [
            *front,
            f"# Text-to-SQL adapter for {model['source']}",
            "",
            f"LoRA adapter trained with harness on a {_precision(model)} base ({model['parameters']:,} parameters, of "
            f"which and beside which {facts['trainable_parameters']:,} trained, in "
            f"{' and '.join(facts['trainable_dtypes'])}).",
            "",
            "## Training",
            "| setting | value |",
            "|---|---|",
            *rows,
            f"| rows | {facts['rows']:,} ({result.over_long['rows']:,} longer than the limit, "
            f"{result.over_long['dropped']:,} of them left out) |",
            "",
            "## Measured",
            "| what | value |",
            "|---|---|",
            *_measured(result),
            "",
            "## Identity",
            f"Settings {facts['settings_digest'][:16]}, data {facts['data_digest'][:16]}, base weights "
            f"{model['digest'][:16]}; the whole record is in `harness.json`.",
            "",
        ]
    )


def _measured(result: TrainResult) -> list[str]:
    rate = result.train_tokens_per_second
    memory = result.peak_memory_bytes
    since = f" (resumed at step {result.resumed_from}; times are of the last session)" if result.resumed_from else ""
    return [
        f"| optimizer steps | {result.steps:,}{since} |",
        f"| training loss at the end | {'' if result.loss is None else f'{result.loss:.4f}'} |",
        f"| wall time | {result.seconds:.1f} s |",
        f"| trained tokens (prompt included, padding left out) a second | {'' if rate is None else f'{rate:,.0f}'} |",
        f"| peak memory | {'' if memory is None else f'{memory / 2**30:.2f} GiB'} |",
    ]


def _precision(model: Any) -> str:
    kind = "NF4, double quantised" if model["precision"] == "nf4" else model["precision"]
    return f"{kind} ({model['compute_dtype']} arithmetic)"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "nothing"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
