"""The tables of a report's speed: time by phase, speed by machine, ceilings."""

from __future__ import annotations

from typing import Any

from harness import units
from harness.comparison import facts
from harness.report.data import ReportData, RunRow
from harness.report.tables import Cell, Table, number


def time_budget(data: ReportData) -> Table:
    """Wall seconds by phase, and their sum."""
    names = list(dict.fromkeys(name for row in data.rows for name in facts.phases(row.run)))
    rows = []
    for row in data.rows:
        spent = facts.phases(row.run)
        if spent:
            cells = [number(units.duration(spent.get(name))) for name in names]
            rows.append((Cell(row.label, kind="name"), *cells, number(units.duration(sum(spent.values())))))
    return Table(("model", *(name.replace("_", " ") for name in names), "all"), tuple(rows))


def hardware(data: ReportData) -> Table:
    """Speed by machine, never averaged over machines; every rate beside its memory and energy."""
    columns = (
        "machine",
        "model",
        "output",
        "prompt + output",
        "padding",
        "peak memory",
        "energy an answer",
        "training",
    )
    rows = []
    for row in sorted(data.rows, key=lambda row: facts.machine(row.run)):
        speed = facts.speed(row.run)
        trained = facts.section(row.run, "training")
        if not (speed or trained) and not facts.machine(row.run):
            continue
        rows.append(
            (
                Cell(facts.machine(row.run) or units.NONE, kind="name"),
                Cell(row.label, kind="note"),
                number(units.rate(facts.output_rate(row.run))),
                number(units.rate(_all_rate(speed))),
                number(units.percent(_padding(speed))),
                number(units.size(speed.get("peak_memory_bytes"))),
                number(units.quantity(_each(speed.get("energy_joules"), row.n), "J")),
                number(units.rate(trained.get("train_tokens_per_second"))),
            )
        )
    return Table(columns, tuple(rows))


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
        (Cell(key[0], kind="name"), *(Cell(text or units.NONE, kind="note") for text in (*key[1:], ", ".join(labels))))
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


def ceilings(data: ReportData) -> Table:
    """Each run's share of what its hardware could do, where ceilings were recorded with it."""
    rows = []
    for row in data.rows:
        for name, fact in sorted(facts.ceilings(row.run).items()):
            value, unit = fact.get("value"), str(fact.get("unit") or "")
            cells = (
                number(units.rate(value, unit) if value is not None else units.NONE),
                number(units.percent(fact.get("share"))),
            )
            rows.append((Cell(row.label, kind="name"), Cell(name.replace("_", " "), kind="note"), *cells))
    return Table(("model", "ceiling", "at most", "reached"), tuple(rows))


def _all_rate(speed: Any) -> float | None:
    tokens = (speed.get("prompt_tokens") or 0) + (speed.get("output_tokens") or 0)
    seconds = speed.get("generate_seconds")
    return tokens / seconds if tokens and seconds else None


def _padding(speed: Any) -> float | None:
    padded, prompt = speed.get("padded_tokens"), speed.get("prompt_tokens")
    return padded / (padded + prompt) if padded is not None and prompt else None


def _each(total: float | None, n: int) -> float | None:
    return total / n if total and n else None
