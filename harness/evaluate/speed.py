"""What an evaluation's speed is worth, from the run that gave its accuracy: rates, ceilings, and which of them binds.

Every rate names its tokens: prompt tokens (padding left out) over prefill seconds; output tokens without each answer's
first (which its prefill gives) over decode seconds; answers and right answers over generation seconds. Ceilings are
arithmetic (`harness.throughput.cost`) over the device's peaks, measured and by datasheet; unknown ones are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from harness.records import Generation
from harness.throughput.cost import ModelShape, decode_bytes, decode_flops, prefill_flops
from harness.throughput.peaks import Peaks, datasheet

BINDS_FROM = 0.4
"""Share of a ceiling from which it is said to bind; below, it is something else (the host, waiting, small work)."""
_WEIGHT_BYTES = {"nf4": 0.516, "bf16": 2.0, "fp16": 2.0, "fp32": 4.0}


def rates(speed: Mapping[str, Any], answers: int, accuracy: float | None, wall_seconds: float | None) -> dict[str, Any]:
    """Return rates and costs of `answers` timed answers; None where a part of them was not measured."""
    seconds, joules = speed.get("generate_seconds"), speed.get("energy_joules")
    prompt, output, padded = (speed.get(f"{kind}_tokens") or 0 for kind in ("prompt", "output", "padded"))
    queries = _over(answers, seconds)
    return {
        "prompt_tokens_per_second": _over(prompt, speed.get("prefill_seconds")),
        "decode_tokens_per_second": _over(max(0, output - answers), speed.get("decode_seconds")),
        "output_tokens_per_second": _over(output, seconds),
        "queries_per_second": queries,
        "correct_queries_per_second": None if queries is None or accuracy is None else queries * accuracy,
        "evaluated_per_second": _over(answers, wall_seconds),
        "joules_per_query": _over(joules, answers),
        "joules_per_correct_query": _over(joules, None if accuracy is None else answers * accuracy),
        "joules_per_output_token": _over(joules, output),
        "padding_share": _over(padded, prompt + padded),
    }


def ceilings(
    speed: Mapping[str, Any], made: Iterable[Generation], generator: Mapping[str, Any], measured: Peaks, gpu: str
) -> dict[str, dict[str, Any]]:
    """Return name -> {value, unit, share} of what the device could do at most for these answers.

    `made`: the answers that were timed; `generator`: its facts, with the model's `shape`.
    """
    numbers = generator.get("shape")
    decode, prefill = speed.get("decode_seconds"), speed.get("prefill_seconds")
    if not isinstance(numbers, Mapping) or not decode or not prefill:
        return {}
    shape, lengths = ModelShape(**numbers), [(answer.prompt_tokens, answer.output_tokens) for answer in made]
    tokens = sum(max(0, out - 1) for _, out in lengths)
    read, squared = sum(prompt for prompt, _ in lengths), sum(prompt**2 for prompt, _ in lengths)
    if not tokens or not read:
        return {}
    context = sum(max(0, out - 1) * (prompt + out / 2) for prompt, out in lengths) / tokens
    found: dict[str, dict[str, Any]] = {}
    for peaks, words in ((measured, ""), (datasheet(gpu), " (datasheet)")):
        if peaks.bytes and speed.get("decode_steps"):
            width = _WEIGHT_BYTES.get(_held(generator), 2.0)
            cache = 4.0 if generator.get("compute_dtype") == "fp32" else 2.0
            moved = decode_bytes(shape, speed["decode_steps"], tokens, context, width, cache)
            found[f"decode bandwidth{words}"] = _ceiling(tokens, moved / peaks.bytes, decode)
        if peaks.flops:
            found[f"decode compute{words}"] = _ceiling(
                tokens, decode_flops(shape, tokens, context) / peaks.flops, decode
            )
            needed = prefill_flops(shape, read, len(lengths), squared) / peaks.flops
            found[f"prefill compute{words}"] = _ceiling(read, needed, prefill)
        if peaks.launch_seconds and speed.get("decode_steps") and speed.get("launches_per_step"):
            needed = speed["decode_steps"] * speed["launches_per_step"] * peaks.launch_seconds
            found[f"decode launches{words}"] = _ceiling(tokens, needed, decode)
    return found


def binds(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return for prefill and decode the measured ceiling that was come nearest to; empty where none is near."""
    nearest = {}
    for phase in ("prefill", "decode"):
        shares = {
            name.split(" ", 1)[1]: fact["share"]
            for name, fact in found.items()
            if name.startswith(phase) and not name.endswith("(datasheet)")
        }
        best = max(shares, key=lambda name: shares[name], default="")
        nearest[phase] = best if best and shares[best] >= BINDS_FROM else ""
    return nearest


def peak_facts(measured: Peaks, gpu: str) -> dict[str, dict[str, float | None]]:
    """Return both kinds of peak as run.json keeps them."""
    return {"measured": asdict(measured), "datasheet": asdict(datasheet(gpu))}


def _held(generator: Mapping[str, Any]) -> str:
    """The numbers a step reads the weights in: NF4 stays four bit only where it was neither merged nor dequantised."""
    precision = str(generator.get("precision", ""))
    if precision == "nf4" and (generator.get("base_precision") or generator.get("weights") == "merged"):
        return str(generator.get("compute_dtype", "bf16"))
    return precision


def _ceiling(tokens: float, least_seconds: float, seconds: float) -> dict[str, Any]:
    return {"value": tokens / least_seconds, "unit": "tok/s", "share": least_seconds / seconds}


def _over(count: float | None, base: float | None) -> float | None:
    return count / base if count is not None and base else None
