"""The training ladder as a Markdown table."""

from __future__ import annotations

from typing import Any

COLUMNS = (
    "rung",
    "trained tok/s",
    "step ms (spread)",
    "peak GiB (reserved)",
    "first step s",
    "MFU (datasheet, measured)",
    "kernels a step",
    "device busy",
    "binds",
    "loss, norm: largest difference",
    "training",
)
WILD = 10.0
"""A relative difference of gradient norms that no change of recipe explains: a wrong kernel has been behind one."""
HEAD = "| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|\n"


def table(rows: list[dict[str, Any]]) -> str:
    """Machine, one line a rung, what each changes, and the slowest kernels of the fastest rungs."""
    here = next((row for row in rows if row["rung"] == "machine"), None)
    rungs = [row for row in rows if row["rung"] != "machine"]
    text = "" if here is None else _machine(here)
    text += HEAD + "".join(_line(row) for row in rungs)
    for row in rungs:
        slowest = (row.get("kernels") or {}).get("slowest")
        if slowest:
            parts = ", ".join(f"{name.split('(')[0][:60]} {times}x {ms} ms" for name, times, ms in slowest[:6])
            text += f"\n- {row['rung']}, one micro-step: {parts}"
    return text + "\n"


def _machine(row: dict[str, Any]) -> str:
    measured, sheet = row["measured"], row["datasheet"]
    machine = row["machine"]
    versions = ", ".join(f"{name} {machine['versions'].get(name, '')}" for name in ("torch", "transformers", "trl"))
    return (
        f"{machine['name']}, driver {machine['driver'] or 'none'}, {versions}; "
        f"peaks measured: {measured['flops'] / 1e12:.1f} TFLOP/s, {measured['bytes'] / 1e12:.2f} TB/s, "
        f"{measured['launch_seconds'] * 1e6:.1f} us a launch; datasheet: "
        f"{_of(sheet['flops'], 1e12)} TFLOP/s, {_of(sheet['bytes'], 1e12)} TB/s.\n\n"
    )


def _of(value: float | None, unit: float) -> str:
    return "unknown" if value is None else f"{value / unit:.2f}"


def _line(row: dict[str, Any]) -> str:
    if "tokens_per_second" not in row:
        return f"| {row['rung']} | failed: {row.get('error', '')} {'| ' * 10}|\n"
    memory, kernels = row["memory_bytes"], row.get("kernels") or {}
    difference = row.get("difference")
    cells = [
        row["rung"],
        f"{row['tokens_per_second']:,.0f}",
        f"{row['step_seconds'] * 1e3:.1f} ({_share(row.get('scatter'))}{_slowed(row)})",
        f"{memory['peak'] / 2**30:.2f} ({memory['reserved'] / 2**30:.2f})" if memory else "",
        f"{row['first_step_seconds']:.1f}",
        f"{_share(row['mfu_datasheet'])}, {_share(row['mfu_measured'])}",
        f"{kernels['per_step']:,}" if "per_step" in kernels else "",
        _share(kernels.get("busy_share")),
        kernels.get("binds", ""),
        "" if difference is None else f"{difference['loss']:.1e}, {difference['norm']:.1e}",
        _label(row),
    ]
    return "| " + " | ".join(cells) + " |\n"


def _slowed(row: dict[str, Any]) -> str:
    return f", slowed down: {' '.join(row['throttled'])}" if row.get("throttled") else ""


def _label(row: dict[str, Any]) -> str:
    if row["changed"]:
        wild = (row.get("difference") or {}).get("norm", 0.0) > WILD
        return f"changed: {row['changed']}" + (
            f"; LOOK: gradient norms over {WILD:g} times the guide's" if wild else ""
        )
    return {True: "exact", False: "NOT the same"}.get(row.get("same"), "")


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
