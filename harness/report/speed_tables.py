"""The tables of a report's speed: time by phase, speed by machine, ceilings, latency, machines. Unknown is blank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import units
from harness.comparison import facts
from harness.report.data import ReportData, RunRow
from harness.report.tables import Cell, Table, number


def time_budget(data: ReportData) -> Table:
    """Wall seconds of each evaluation by phase, and their sum."""
    return _phases([(row.label, facts.phases(row.run)) for row in data.rows])


def training_budget(data: ReportData) -> Table:
    """Wall seconds of each training by phase; one line a training, though several runs came of it."""
    return _phases(trainings(data))


def trainings(data: ReportData) -> list[tuple[str, dict[str, float]]]:
    """(name, phases) of every training behind the runs, each once."""
    found = {facts.training(row.run): row for row in data.rows if facts.training_phases(row.run)}
    return [(facts.experiment(row.run) or row.label, facts.training_phases(row.run)) for row in found.values()]


def _phases(lines: list[tuple[str, dict[str, float]]]) -> Table:
    names = list(dict.fromkeys(name for _, spent in lines for name in spent))
    names.sort(key=facts.phase_order)
    rows = [
        (
            Cell(label, kind="name"),
            number(units.duration(sum(spent.values()))),
            *(number(units.duration(spent.get(name))) for name in names),
        )
        for label, spent in lines
        if spent
    ]
    return Table(("model", "all", *(name.replace("_", " ") for name in names)), tuple(rows))


def hardware(data: ReportData) -> Table:
    """Speed by machine, never averaged over machines; every rate beside its memory and energy."""
    columns = ("machine", "model", "output", "padding", "queries", "correct queries", "a query")
    rows = []
    for row in sorted(data.rows, key=lambda row: facts.machine(row.run)):
        speed, trained = facts.speed(row.run), facts.section(row.run, "training")
        if not (speed or trained) and not facts.machine(row.run):
            continue
        rates = _rates(row)
        rows.append(
            (
                Cell(facts.machine(row.run) or units.NONE, kind="name"),
                Cell(row.label, kind="note"),
                number(units.rate(rates.get("output_tokens_per_second"))),
                number(units.percent(_padding(speed))),
                number(units.rate(rates.get("queries_per_second"), "/s")),
                number(units.rate(rates.get("correct_queries_per_second"), "/s")),
                number(units.quantity(rates.get("joules_per_query"), "J")),
                number(units.quantity(rates.get("joules_per_correct_query"), "J")),
                number(units.size(speed.get("peak_memory_bytes"))),
                number(units.rate(trained.get("train_tokens_per_second"))),
            )
        )
    note = (
        "Rates over the seconds of generation. Joules: the GPU's own counter over generation. Training: trained tokens."
    )
    return Table((*columns, "a correct query", "peak memory", "training"), tuple(rows), note)


def ceilings(data: ReportData) -> Table:
    """Each run's share of what its hardware could do, and what binds it; only runs that recorded ceilings."""
    columns = ("model", "decode", "MBU", "MFU", "launches", "decode is bound by")
    rows = []
    for row in data.rows:
        found, rates = facts.ceilings(row.run), _rates(row)
        trained = facts.section(row.run, "training", "throughput")
        shares = [trained.get(f"mfu_{peak}") for peak in ("measured", "datasheet")]
        if not found and shares == [None, None]:
            continue
        rows.append(
            (
                Cell(row.label, kind="name"),
                number(units.rate(rates.get("decode_tokens_per_second"))),
                *(number(_ceiling(found, f"decode {name}")) for name in ("bandwidth", "compute", "launches")),
                Cell((facts.binds(row.run, "decode") or "none") if found else units.NONE, kind="note"),
                number(units.rate(rates.get("prompt_tokens_per_second"))),
                number(_ceiling(found, "prefill compute")),
                number(units.rate(trained.get("tokens_per_second"))),
                number(_two(*shares)),
            )
        )
    note = (
        "MBU: share of memory bandwidth; MFU: share of arithmetic; launches: share of what the host can start. Each "
        "with its ceiling in tokens a second, by what this machine did at best in a short probe; in brackets by its "
        "datasheet. Useful work only: padding and recomputation do not count. Bound by: the ceiling most nearly "
        "reached, none where none is reached to 40 % (then the host binds, or there is too little work)."
    )
    return Table((*columns, "prefill", "prefill MFU", "training", "training MFU"), tuple(rows), note)


def latency(data: ReportData) -> Table:
    """Seconds to the first token and between two, where the generator measured them."""
    rows = []
    for row in data.rows:
        speed = facts.speed(row.run)
        spans = [facts.section(row.run, "timings", "speed", name) for name in ("first_token_seconds", "token_seconds")]
        if not any(spans):
            continue
        cells = [number(units.duration(span.get(part))) for span in spans for part in ("p50", "p90", "p99")]
        launches = number(units.number(speed.get("launches_per_step")))
        rows.append((Cell(row.label, kind="name"), *cells, number(units.count(speed.get("decode_steps"))), launches))
    first, between = ([f"{name} {part}" for part in ("p50", "p90", "p99")] for name in ("first token", "next token"))
    return Table(("model", *first, *between, "decode steps", "launches a step"), tuple(rows))


def machines(data: ReportData) -> Table:
    """What the machines are, one line each, and which runs each of them answered or only scored."""
    columns = ("machine", "GPU memory", "power limit", "driver", "CUDA", "CPU", "memory", "python", "torch", "runs")
    runs: dict[tuple[str, ...], list[str]] = {}
    for row in data.rows:
        name = facts.machine_name(row.run)
        if name:
            label = row.label if facts.machine(row.run) else f"{row.label} (scored only)"
            runs.setdefault((name, *_machine_facts(row)), []).append(label)
    rows = tuple(
        (
            Cell(key[0], kind="name"),
            *(Cell(text or units.NONE, kind="note") for text in key[1:]),
            Cell(", ".join(labels), kind="note long"),
        )
        for key, labels in sorted(runs.items())
    )
    slowed = sorted({reason for row in data.rows for reason in facts.throttled(row.run)})
    note = f"Clocks were held down on some of these runs: {', '.join(slowed)}." if slowed else ""
    return Table(columns, rows, note)


def _machine_facts(row: RunRow) -> tuple[str, ...]:
    found = facts.section(row.run, "machine")
    count, memory = found.get("gpu_count") or 0, found.get("gpu_memory_bytes")
    gpu_memory = units.size(memory) if count < 2 else f"{count} x {units.size(memory)}"
    cpu = f"{found.get('cpu') or 'CPU'}, {units.plural(found['cpu_count'], 'core')}" if found.get("cpu_count") else ""
    return (
        gpu_memory,
        units.quantity(found.get("power_limit_watts"), "W"),
        str(found.get("driver") or ""),
        str(found.get("cuda") or ""),
        cpu,
        units.size(found.get("memory_bytes")),
        str(found.get("python") or ""),
        str(facts.section(row.run, "machine", "versions").get("torch") or ""),
    )


def _rates(row: RunRow) -> Mapping[str, float]:
    return facts.rates(row.run, row.headline.hits if row.headline else None)


def _ceiling(found: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """`41.2 % of 8 100 (36.0 %)`: the share by measured peaks, its ceiling, the share by the datasheet."""
    measured, sheet = found.get(name, {}), found.get(f"{name} (datasheet)", {})
    text = _two(measured.get("share"), sheet.get("share"))
    most = measured.get("value") if measured.get("share") is not None else sheet.get("value")
    share, bracket, rest = text.partition(" (")
    return f"{share} of {units.count(most)}{bracket}{rest}" if most is not None and text != units.NONE else text


def _two(measured: float | None, sheet: float | None) -> str:
    if measured is None:
        return units.NONE if sheet is None else f"({units.percent(sheet)})"
    return units.percent(measured) if sheet is None else f"{units.percent(measured)} ({units.percent(sheet)})"


def _padding(speed: Mapping[str, Any]) -> float | None:
    padded, prompt = speed.get("padded_tokens"), speed.get("prompt_tokens")
    return padded / (padded + prompt) if padded is not None and prompt else None
