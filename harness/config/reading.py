"""TOML and `KEY=VALUE` -> a validated, frozen model; every fault told at once, with the nearest valid key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.config.benchmark_file import BenchmarkFile
from harness.config.sections import BenchmarkChoice, Experiment, ScoreChoice, Section
from harness.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Table = dict[str, Any]


class ScoreCommand(Section):
    """What `harness score` and `harness audit` may override: fields of the benchmark file and of `[score]`."""

    benchmark: BenchmarkChoice
    score: ScoreChoice = ScoreChoice()


def read_toml(path: Path) -> Table:
    """The table in a TOML file; a ConfigError where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; name an experiment or benchmark file that does.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None


def parse_overrides(pairs: Sequence[str]) -> Table:
    """`["train.epochs=1", ...]` -> nested table; values stay text unless they are written as TOML lists or tables."""
    table: Table = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(f"'{pair}' is not KEY=VALUE; write an override like train.epochs=1.")
        node = table
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"'{pair}' contradicts another override of {part}; give each key once.")
        node[parts[-1]] = _value(text.strip(), pair)
    return table


def _value(text: str, pair: str) -> Any:
    if text[:1] not in ("[", "{", '"'):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The value in '{pair}' is not valid TOML: {error}.") from None


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """`base` with the leaves of `over` put in its place; neither is changed."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment in a TOML file with overrides applied; a ConfigError names every fault."""
    file = Path(path)
    table = merged(read_toml(file), parse_overrides(overrides))
    table.setdefault("name", file.stem)
    return validated(Experiment, table, str(file))


def restored(
    model: type[Model], stored: Mapping[str, Any], where: str, overrides: Mapping[str, Any] | None = None
) -> Model:
    """A section or experiment as a run keeps it (`model_dump`), with overrides; a ConfigError names every fault."""
    table = dict(stored)
    if isinstance(table.get("benchmark"), Mapping):
        chosen = table["benchmark"]
        table["benchmark"] = {**chosen.get("settings", {}), "name": chosen["name"]}
    return validated(model, merged(table, overrides or {}), where)


def load_score_command(benchmark: str, overrides: Sequence[str] = ()) -> ScoreCommand:
    """Benchmark and scoring settings from a name and overrides alone."""
    table = merged({"benchmark": {"name": benchmark}}, parse_overrides(overrides))
    return validated(ScoreCommand, table, "the overrides")


def load_benchmark_file(table: Mapping[str, Any], where: str) -> BenchmarkFile:
    """A validated `benchmark.toml`, overrides already merged in."""
    return validated(BenchmarkFile, dict(table), where)


def validated(model: type[Model], table: Table, where: str) -> Model:
    """`table` as a `model`; all faults in one ConfigError."""
    faults: list[str] = []
    prepared, nested = _split_benchmark(model, table)
    if nested:
        faults += _faults(BenchmarkFile, nested, "benchmark.", model)
    try:
        result = model.model_validate(prepared)
    except ValidationError as error:
        faults = [_sentence(fault, model, "") for fault in error.errors()] + faults
        result = None
    if result is None or faults:
        raise ConfigError(_one_message(where, faults))
    return result


def _split_benchmark(model: type[BaseModel], table: Table) -> tuple[Table, Table]:
    """Move the fields of `benchmark.toml` out of the `[benchmark]` table, where they are overrides."""
    chosen = table.get("benchmark")
    if "benchmark" not in model.model_fields or not isinstance(chosen, Mapping):
        return table, {}
    settings = {key: value for key, value in chosen.items() if key not in ("name", "path")}
    name = chosen.get("name", chosen.get("path"))
    choice = {"settings": settings} | ({} if name is None else {"name": name})
    return {**table, "benchmark": choice}, settings


def _faults(model: type[BaseModel], table: Table, prefix: str, root: type[BaseModel]) -> list[str]:
    try:
        model.model_validate(table)
    except ValidationError as error:
        return [_sentence(fault, model, prefix, root) for fault in error.errors()]
    return []


def _sentence(fault: Any, model: type[BaseModel], prefix: str, root: type[BaseModel] | None = None) -> str:
    parts = [str(part) for part in fault["loc"]]
    key = prefix + ".".join(parts)
    if fault["type"] == "missing":
        return f"{key} is missing"
    if fault["type"] == "extra_forbidden":
        known = [prefix + name for name in keys(model)] + ([] if root is None else list(keys(root)))
        return f"{key} is not a setting{_nearest(key, known)}"
    shown = repr(fault["input"]) if not isinstance(fault["input"], Mapping) else "a table"
    message = str(fault["msg"]).replace("Input should be", "must be")
    return f"{key} = {shown}: {message[0].lower()}{message[1:]}"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key a model accepts."""
    for name, field in model.model_fields.items():
        shown = field.alias or name
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind is BenchmarkChoice:
                yield from keys(BenchmarkFile, f"{prefix}{shown}.")
            else:
                yield f"{prefix}{shown}"
                yield from keys(kind, f"{prefix}{shown}.")
        else:
            yield f"{prefix}{shown}"


def _nearest(key: str, known: Sequence[str]) -> str:
    leaf = key.rpartition(".")[2]
    same_leaf = [name for name in known if name.rpartition(".")[2] == leaf]
    near = same_leaf or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not near:
        leaves = {name.rpartition(".")[2]: name for name in known}
        near = [leaves[name] for name in difflib.get_close_matches(leaf, list(leaves), n=1, cutoff=0.6)]
    return f"; did you mean {near[0]}?" if near else ""


def _one_message(where: str, faults: Sequence[str]) -> str:
    if len(faults) == 1:
        return f"{where}: {faults[0].rstrip('.')}{'' if faults[0].endswith('?') else '.'}"
    listed = "\n".join(f"  - {fault}" for fault in faults)
    return f"{where} has {len(faults)} faults:\n{listed}"
