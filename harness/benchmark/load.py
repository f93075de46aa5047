"""A benchmark's name, folder or file -> its items."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.benchmark.rows import items_of_rows
from harness.benchmark.sources import SUFFIXES, is_data_file, read_hub, read_rows
from harness.benchmark.spider import FILES, items_of_spider
from harness.benchmark.split import Overlap, divided, overlap, split_digest
from harness.config import BenchmarkFile, load_benchmark_file, merged, read_toml
from harness.errors import DataError
from harness.records import Item

SplitName = Literal["train", "test", "all"]
GRETEL_TAGS = ("domain", "sql_complexity", "sql_task_type")
_DEFINITION = "benchmark.toml"


class Benchmark:
    """Questions with golds, read when first asked for; `settings` says how."""

    def __init__(
        self, name: str, settings: BenchmarkFile, folder: Path, asked: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        self.asked: Mapping[str, Any] = asked or {"name": name}
        """What it was loaded by: its name as typed, and the fields that were overridden."""
        self.settings = settings
        self.folder = folder
        self._loaded: dict[str, list[Item]] = {}

    @property
    def dialects(self) -> tuple[str, ...]:
        """Dialects (sqlglot names) the SQL may be in, tried in order after DuckDB's own."""
        return self.settings.dialects

    @property
    def root(self) -> Path:
        """Folder the files lie in."""
        return (self.folder / self.settings.root).resolve() if self.settings.root else self.folder

    def items(self, split: SplitName | None = None) -> list[Item]:
        """Items of a split (by default the one to evaluate on); a DataError names what is wrong and where."""
        name = split or self.settings.evaluate
        if name not in self._loaded:
            self._load(name)
        return self._loaded[name]

    def stream(self, split: SplitName | None = None) -> Iterator[Item]:
        """The items of a split one at a time, read anew where they are not held yet and need not be drawn from all."""
        name = split or self.settings.evaluate
        if name in self._loaded or (self.settings.data and name != "all") or (not self.settings.data and name == "all"):
            yield from self.items(name)
        else:
            yield from self._items(self.settings.data or self._named_source(name))

    def digest(self, split: SplitName | None = None) -> str:
        """Digest of a split's items: equal digests mean the same questions, golds and tables."""
        return split_digest(self.items(split))

    def has_training(self) -> bool:
        """True where there is a training split apart from what is evaluated."""
        return self.settings.evaluate == "test" and bool(self.settings.data or self._source("train"))

    def overlap(self) -> Overlap | None:
        """Test items that stand in the training split; None where there is no training split."""
        if not self.has_training():
            return None
        return overlap(self.items("train"), self.items("test"))

    def _load(self, name: str) -> None:
        if self.settings.data:
            self._loaded["all"] = list(self._items(self.settings.data))
            if name != "all":
                where = f"benchmark {self.name}"
                parts = divided(self._loaded["all"], self.settings.split, where)
                self._loaded["train"], self._loaded["test"] = parts
        elif name == "all":
            self._loaded["all"] = [*self.items("train"), *self.items("test")]
        else:
            self._loaded[name] = list(self._items(self._named_source(name)))

    def _source(self, split: str) -> str:
        named: str = getattr(self.settings, split)
        if named or self.settings.layout != "spider":
            return named
        return next((name for name in FILES[split] if (self.root / name).is_file()), "")

    def _named_source(self, split: str) -> str:
        source = self._source(split)
        if source:
            return source
        if self.settings.layout == "spider":
            raise DataError(
                f"The {split} questions of {self.name} are not in {self.root} (looked for {', '.join(FILES[split])}); "
                f"point benchmark.root at the data set's folder{_from(self.settings.source)}."
            )
        raise DataError(f"The benchmark {self.name} has no {split} split; name its file with benchmark.{split}=FILE.")

    def _items(self, source: str) -> Iterator[Item]:
        if not is_data_file(source) and self.settings.hub:
            rows = read_hub(self.settings.hub, source, self.settings.hub_revision)
            return items_of_rows(rows, self.settings, f"{self.settings.hub} [{source}]")
        path = self.root / source
        if self.settings.layout == "spider":
            return items_of_spider(read_rows(path), self.settings, self.root, str(path))
        return items_of_rows(read_rows(path), self.settings, str(path))


def _from(source: str) -> str:
    return f" (from {source})" if source else ""


def load(name: str, overrides: Mapping[str, Any] | None = None) -> Benchmark:
    """Load by name, folder or data file; overrides are fields of its file, with paths from the working folder."""
    changes = _anchored(overrides or {})
    folder, table = _find(name)
    where = f"{folder / _DEFINITION}" if (folder / _DEFINITION).is_file() and not is_data_file(name) else name
    # a benchmark that is pointed at one file is that file's rows, whatever splits it was written with
    if "data" in changes:
        table = {key: value for key, value in table.items() if key not in ("train", "test")}
    settings = load_benchmark_file(merged(table, changes), where)
    if settings.data and (settings.train or settings.test):
        raise DataError(f"{where} names both data and train or test; one file to split, or one file a split.")
    return Benchmark(settings.name or _plain_name(name), settings, folder, asked={**changes, "name": name})


def _anchored(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides with their paths made absolute, since they were written from the working folder."""
    changes = dict(overrides)
    if changes.get("root"):
        changes["root"] = os.path.abspath(changes["root"])
    for key in ("data", "train", "test"):
        value = changes.get(key)
        if isinstance(value, str) and is_data_file(value) and Path(value).is_file():
            changes[key] = os.path.abspath(value)
    return changes


def _find(name: str) -> tuple[Path, dict[str, Any]]:
    path = Path(name)
    if is_data_file(name):
        if not path.is_file():
            raise DataError(f"{name} does not exist; name a data file or a benchmark that does.")
        return path.resolve().parent, {"data": path.name, "evaluate": "all", "tags": GRETEL_TAGS, "name": path.stem}
    if path.name == _DEFINITION and path.is_file():
        path = path.parent
    for folder in (path, Path("benchmarks") / name, _shipped() / name):
        if (folder / _DEFINITION).is_file():
            return folder.resolve(), read_toml(folder / _DEFINITION)
    if path.is_dir() and any((path / file).is_file() for file in FILES["test"] + FILES["train"]):
        return path.resolve(), {"layout": "spider", "name": path.resolve().name, "dialects": ("sqlite", "mysql")}
    raise DataError(_not_found(name))


def _not_found(name: str) -> str:
    folders = (Path("benchmarks"), _shipped())
    known = sorted({file.parent.name for base in folders for file in base.glob(f"*/{_DEFINITION}")})
    near = difflib.get_close_matches(name, known, n=1)
    suggestion = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known) or 'none here'}."
    return (
        f"No benchmark '{name}': no folder with a {_DEFINITION}, no name under benchmarks/, "
        f"no {'/'.join(SUFFIXES)} file; {suggestion}"
    )


def _shipped() -> Path:
    return Path(__file__).resolve().parents[2] / "benchmarks"


def _plain_name(name: str) -> str:
    return Path(name).resolve().stem if is_data_file(name) else Path(name).resolve().name
