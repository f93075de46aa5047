"""What was measured of evaluations and published, each figure beside what `harness plan` predicts of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from harness.evaluate import plan as planned
from harness.evaluate.plan import GPUS, Fit, Load, Plan, engine_steps, gpu_of, plan
from harness.evaluate.plan_error import between
from harness.throughput.cost import ModelShape, decode_bytes, decode_flops, prefill_flops

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "reports" / "published"
TABLES = {"H100": "2026-11-24-h100-speed/engine.json", "H200": "2026-11-24-h200-speed/engine.json"}
GATE = "2026-11-24-h100-gate"
SPIDER = "2026-11-24-h100-spider/runs/spider-gemma-3-270m-"
QUESTIONS = "2026-11-24-h100-sql-create-context/runs/sql-create-context-gemma-3-270m-"
CPU = "2026-11-24-two-cores/pocket.json"
CORES = "2026-11-24-two-cores/core_seconds.json"
BILLION = ModelShape(hidden=1152, layers=26, heads=4, kv_heads=1, head_dim=256, mlp=6912, vocabulary=262144)
SMALL = ModelShape(hidden=640, layers=18, heads=4, kv_heads=1, head_dim=256, mlp=2048, vocabulary=262144)
_LOADING = ("load", "prepare", "describe", "benchmark", "quantise")
MANY = 64
"""Prompts from which reading them is products rather than launches."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One measured figure beside its prediction."""

    device: str
    what: str
    phase: str
    measured: float
    planned: float
    seen: bool
    """Whether the constants of this prediction were chosen by looking at this figure."""
    key: str = ""
    """The part of a range that the figure bears on, such as `engine decode`; empty: none."""
    other: float | None = None
    """The prediction by the constants of the other machine's table."""
    span: tuple[float, float] | None = None
    """The range that `harness plan` prints, of a whole evaluation."""

    @property
    def error(self) -> float:
        """Of the prediction, over what was measured."""
        return self.planned / self.measured - 1


def compared() -> list[Compared]:
    """Every figure that has been published."""
    return [
        *engine_tables(),
        *eager_rows(),
        *evaluations(),
        *first_loads(),
        *once(),
        *later_models(),
        *core_seconds(),
        *cpu(),
    ]


# -- the engine's tables, one a machine


def engine_tables() -> Iterator[Compared]:
    """Each row of both tables, by the H100's constants and by those fitted to the H200."""
    fits = {name: fitted(name) for name in TABLES}
    for name in TABLES:
        for row in rows(name):
            load = load_of_row(row)
            shipped, other = (
                plan(BILLION, load, GPUS[name], "engine", batch=row["rows"], workers=16, fit=fit)
                for fit in (planned.H100, fits["H200"])
            )
            tokens = load.questions * load.prompt_tokens * planned.TOKENISE
            parts: list[tuple[str, Callable[[Plan], float], float]] = [
                ("decode", lambda p: p.decode, row["decode_seconds"]),
                ("answers", lambda p, t=tokens: p.prefill - t + p.decode, row["seconds"]),  # type: ignore[misc]
            ]
            if row["prompts"] >= MANY:
                parts.insert(0, ("prefill", lambda p, t=tokens: p.prefill - t, row["prefill_seconds"]))  # type: ignore[misc]
            for phase, part, measured in parts:
                key = "" if phase == "answers" else f"engine {phase}"
                yield Compared(name, row["name"], phase, measured, part(shipped), name == "H100", key, part(other))


def rows(name: str) -> list[dict[str, Any]]:
    """The engine's rows of a machine's table."""
    return [row for row in _read(TABLES[name])["rows"] if "prefill_seconds" in row]


def load_of_row(row: Mapping[str, Any]) -> Load:
    """What a row of a table asked for."""
    count = row["prompts"]
    longest = 256.0 if "real" in row["name"] else row["output_tokens"] / count
    return Load(count, row["prompt_tokens"] / count, row["output_tokens"] / count, longest=longest)


def fitted(name: str) -> Fit:
    """The two constants that a machine's table asks for: least squares of the relative errors."""
    gpu = GPUS[name]
    shares, asked, left = [], [], []
    for row in rows(name):
        load = load_of_row(row)
        tokens, written = row["prompt_tokens"], row["output_tokens"]
        if row["prompts"] >= MANY:
            moved = tokens * planned.activation_bytes(BILLION) / (gpu.bytes * planned.BYTES_SHARE)
            products = prefill_flops(BILLION, tokens, load.questions, tokens * load.prompt_tokens) / gpu.flops
            shares.append(products / (row["prefill_seconds"] - moved))
        steps, context = engine_steps(load, row["rows"]), load.prompt_tokens + load.output_tokens / 2
        counted = decode_bytes(BILLION, steps, written, context) / (gpu.bytes * planned.BYTES_SHARE)
        counted += decode_flops(BILLION, steps * row["rows"], context) / (gpu.flops * planned.DECODE_SHARE)
        asked.append(steps * BILLION.layers / row["decode_seconds"])
        left.append(1 - counted / row["decode_seconds"])
    layer = sum(a * b for a, b in zip(asked, left, strict=True)) / sum(a * a for a in asked)
    return Fit(round(mean(shares), 2), round(layer, 6))


# -- transformers' generate() on a GPU


def eager_rows() -> Iterator[Compared]:
    """The 1B shape on both machines (one cold pass each), and Spider's answers."""
    for name in TABLES:
        for row in _read(TABLES[name])["rows"]:
            if "generate()" in row["name"]:
                count = row["rows"]
                found = plan(
                    BILLION, Load(count, 200, 32, longest=32), GPUS[name], "transformers", batch=count, workers=16
                )
                key = "transformers answers" if count >= MANY else ""
                yield Compared(name, row["name"], "answers", row["seconds"], found.prefill + found.decode, False, key)
    facts = _read(f"{SPIDER}final-2a1f94497a/run.json")
    found, speed = _plan_of(facts), facts["timings"]["speed"]
    yield Compared("H100", "Spider, generate()", "prefill", speed["prefill_seconds"], found.prefill, True)
    yield Compared("H100", "Spider, generate()", "decode", speed["decode_seconds"], found.decode, True)
    both = speed["prefill_seconds"] + speed["decode_seconds"]
    yield Compared(
        "H100", "Spider, generate()", "answers", both, found.prefill + found.decode, True, "transformers answers"
    )


# -- whole evaluations


def evaluations() -> Iterator[Compared]:
    """Spider's 1,034 questions by a real model, all of the wall time."""
    for folder in ("engine", "generate"):
        facts = _read(f"{GATE}/{folder}/run.json")
        yield from _evaluation("H100", f"evaluation, {folder}", facts, _plan_of(facts), folder == "engine")


def _evaluation(device: str, what: str, facts: Mapping[str, Any], found: Plan, is_engine: bool) -> Iterator[Compared]:
    phases = facts["timings"]["phases"]
    parts = {
        "start": (("probe",), found.start),
        "load": (_LOADING, found.load),
        "once, prefill": (("compile", "prefill", "tokenise", "generate", "wait"), found.once + found.prefill),
        "decode": (("decode",), found.decode),
        "score": (("score", "duckdb"), found.suites + found.score),
    }
    for phase, (names, value) in parts.items():
        measured = sum(phases.get(name, 0.0) for name in names)
        # start, load, once and scoring were chosen by these runs; so was how long the engine's last answers go on
        seen = phase in ("start", "load", "score") or is_engine
        yield Compared(device, what, phase, measured, value, seen, phase if phase in ("start", "load", "score") else "")
    span = between(found, GPUS[device], "engine" if is_engine else "transformers")
    yield Compared(device, what, "whole", facts["timings"]["wall_seconds"], found.seconds, True, span=span)


def _plan_of(facts: Mapping[str, Any], workers: int = 16) -> Plan:
    """The prediction of a stored run, its tokens given and nothing else."""
    totals, speed = facts["totals"], facts["timings"]["speed"]
    count, name = totals["n"], facts["generator"]["backend"]
    load = Load(
        count,
        totals["prompt_tokens"] / count,
        totals["output_tokens"] / count,
        longest=float(facts["experiment"]["generate"]["max_new_tokens"]),
        padding=0.0 if name == "engine" else speed["padded_tokens"] / totals["prompt_tokens"],
    )
    backend: planned.Backend = "engine" if name == "engine" else "transformers"
    batch = int(facts["generator"]["batch_size"])
    return plan(SMALL, load, gpu_of(facts["machine"]["name"]), backend, batch=batch, workers=workers)


def first_loads() -> Iterator[Compared]:
    """The first model of earlier processes, whose loading began with what is now the start."""
    for what, folder in (
        ("Spider, base", f"{SPIDER}base-bb0477abe3"),
        ("Spider, generate()", f"{SPIDER}final-2a1f94497a"),
        ("sql_create_context, base", f"{QUESTIONS}base-5e94ac0bcc"),
    ):
        facts = _read(f"{folder}/run.json")
        found = _plan_of(facts)
        measured = facts["timings"]["phases"]["load"]
        yield Compared("H100", what, "start, load", measured, found.start + found.load, True, "start")


def once() -> Iterator[Compared]:
    """Building kernels and capturing, with what the first reading of prompts takes longer than planned."""
    pairs = {
        "Spider, an older engine": (f"{SPIDER}base-bb0477abe3", f"{SPIDER}checkpoint-202-7f3918b2ad"),
        "sql_create_context, an older engine": (
            f"{QUESTIONS}base-5e94ac0bcc",
            f"{QUESTIONS}checkpoint-149-2646690032",
        ),
        "evaluation, engine": (f"{GATE}/engine", f"{GATE}/engine"),
    }
    for what, (first, second) in pairs.items():
        cold, captured = _read(f"{first}/run.json"), _read(f"{second}/run.json")
        speed = cold["timings"]["speed"]
        built = captured["timings"]["speed"].get("compile_seconds") or captured["generator"]["capture_seconds"]
        measured = built + speed["prefill_seconds"] - _plan_of(cold).prefill
        yield Compared("H100", what, "once", measured, planned.ENGINE_ONCE, True, "once")


def later_models() -> Iterator[Compared]:
    """Loading and scoring of models that a process had behind the first."""
    for name in ("checkpoint-404-109143165d", "checkpoint-606-53bb817aca", "merged-572401c05b"):
        facts = _read(f"{SPIDER}{name}/run.json")
        phases, found = facts["timings"]["phases"], _plan_of(facts)
        what = f"Spider, {name.rpartition('-')[0]}"
        yield Compared("H100", what, "load", phases["load"], found.load, True, "load")
        yield Compared("H100", what, "score", phases["score"], found.score, True, "score")


def core_seconds() -> Iterator[Compared]:
    """Core seconds an item: making its witness databases, and scoring it."""
    each = {"suites": planned.SUITE_SECONDS, "score": planned.SQL_SECONDS}
    for row in _read(CORES)["rows"]:
        yield Compared("CPU", row["name"], f"{row['part']}, ms", row["ms"], each[row["part"]] * 1000, True, row["part"])


# -- a CPU


def cpu() -> Iterator[Compared]:
    """Pocket's evaluation on two cores, model after model; the constants were chosen by the first."""
    for number, run in enumerate(_read(CPU)["runs"]):
        totals, phases, name = run["totals"], run["phases"], run["name"]
        load = Load(
            totals["n"],
            totals["prompt_tokens"] / totals["n"],
            totals["output_tokens"] / totals["n"],
            suite_seconds=planned.SUITE_SECONDS,
            longest=float(run["longest"]),
        )
        found = plan(ModelShape(**run["shape"]), load, GPUS["CPU"], "transformers", batch=run["batch"], workers=2)
        for phase, names, value in (
            ("start", ("probe",), found.start),
            ("load", _LOADING, found.load),
            ("prefill", ("prefill", "tokenise"), found.prefill),
            ("decode", ("decode",), found.decode),
            ("score", ("score", "duckdb"), found.suites + found.score),
        ):
            if phase != "start" or number == 0:
                measured = sum(phases[part] for part in names)
                is_chosen = number == 0 and phase not in ("load", "score")
                yield Compared(
                    "CPU", name, phase, measured, value, is_chosen, "" if phase == "score" else f"cpu {phase}"
                )
        whole = replace(found, start=0.0) if number else found
        span = between(whole, GPUS["CPU"], "transformers")
        yield Compared("CPU", name, "whole", run["wall_seconds"], whole.seconds, False, span=span)


def _read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PUBLISHED / path).read_text())
    return found
