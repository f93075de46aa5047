"""How predictions are scored: everything that a verdict may depend on, and how many processes do it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from harness.sandbox.engine import CLOCK
from harness.sandbox.pool import MEMORY_BYTES


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """Settings of one scoring; `workers`, `cache_dir` and `reuse_verdicts` change no verdict."""

    dialects: tuple[str, ...] = ("duckdb",)
    """How the benchmark's SQL may be spelt, the first one saying what it means."""
    tolerance: float = 1e-6
    """Relative difference up to which two numbers are one."""
    floor_seconds: float = 2.0
    """What every prediction gets at least ..."""
    gold_factor: float = 20.0
    """... and this many times what its gold took on top of it."""
    gold_seconds: float = 60.0
    """What a gold statement, or the statements of a schema, may take."""
    max_rows: int = 200_000
    """Rows of one result; more is `too_many_rows`."""
    memory_bytes: int = MEMORY_BYTES
    """Address space of one worker process."""
    clock: str = CLOCK
    """The moment (UTC) that now(), current_date and the like return."""
    suite: bool = True
    """Also ask each item's witness databases, made where the cache has none (`suite_match`)."""
    suite_databases: int = 8
    """Witness databases an item has at most."""
    suite_seed: int = 0
    workers: int = 0
    """Worker processes; 0 = one a core, as far as memory goes."""
    cache_dir: str = ""
    """Folder of the caches of golds and verdicts; empty = none."""
    reuse_verdicts: bool = True
    """Judge the same prediction on the same item once, runs before this one included (with a `cache_dir`)."""

    def verdict_facts(self) -> dict[str, object]:
        """The settings that a gold's answer depends on, for cache keys and run records."""
        left_out = (
            "workers",
            "cache_dir",
            "reuse_verdicts",
            "floor_seconds",
            "gold_factor",
            "tolerance",
            "suite",
            "suite_databases",
            "suite_seed",
        )
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in left_out}

    def seconds(self, gold_seconds: float) -> float:
        """The deadline of a prediction whose gold took so long."""
        return self.floor_seconds + self.gold_factor * gold_seconds
