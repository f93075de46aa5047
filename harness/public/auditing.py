"""`harness.audit`: whether a benchmark is fit to score with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import benchmark as benchmarks
from harness import units
from harness.config import load_score_command
from harness.evaluate.judging import score_settings
from harness.public.inputs import Benchmark, benchmark_file, overrides
from harness.public.tables import table
from harness.scoring import FINDINGS, Audit
from harness.scoring import audit as audit_items
from harness.scratch import Scratch

_NAMED = 5


class AuditResult:
    """What an audit found; in a notebook it shows itself as a table."""

    def __init__(self, name: str, found: Audit) -> None:
        self.name = name
        self.found = found

    @property
    def n(self) -> int:
        """Questions."""
        return self.found.n

    @property
    def usable(self) -> int:
        """Questions whose gold can be scored."""
        return self.found.usable

    @property
    def unusable(self) -> Mapping[str, tuple[str, ...]]:
        """Outcome (gold_unloadable, gold_error, gold_unstable) -> ids."""
        return self.found.unusable_ids

    @property
    def reasons(self) -> Mapping[str, str]:
        """Unusable question's id -> why, in one sentence."""
        return self.found.reasons

    @property
    def findings(self) -> Mapping[str, tuple[str, ...]]:
        """What a person should know of questions that are scored: finding -> ids."""
        return self.found.findings

    def __repr__(self) -> str:
        return f"<audit of {self.name}: {self.usable} of {units.plural(self.n, 'gold')} usable>"

    def _repr_html_(self) -> str:
        rows = [
            (f"unusable: {outcome}", str(len(ids)), "; ".join(f"{i}: {self.reasons.get(i, '')}" for i in ids[:_NAMED]))
            for outcome, ids in self.unusable.items()
        ]
        rows += [
            (name, str(len(ids)), f"{FINDINGS.get(name, '')}: {', '.join(ids[:_NAMED])}")
            for name, ids in self.findings.items()
            if ids
        ]
        caption = f"{self.name}: {self.usable} of {units.plural(self.n, 'gold')} usable"
        return table(("finding", "questions", "which, or why"), rows, caption)


def audit(benchmark: Benchmark, *, settings: Mapping[str, Any] | None = None) -> AuditResult:
    """Load, run and question every gold of a benchmark, before anybody is scored; what `harness audit` does.

    >>> import harness
    >>> rows = [
    ...     {"id": "1", "sql_prompt": "How many?", "sql_context": "CREATE TABLE t (a INT);", "sql": "SELECT a FROM t"},
    ...     {"id": "2", "sql_prompt": "Which?", "sql_context": "CREATE TABLE t (a INT);", "sql": "SELECT b FROM t"},
    ... ]
    >>> found = harness.audit(rows)
    >>> found
    <audit of questions: 1 of 2 golds usable>
    >>> found.unusable
    {'gold_error': ('2',)}
    >>> found.findings["empty"]
    ('1',)
    """
    with Scratch("harness-audit-") as folder:
        command = load_score_command(benchmark_file(benchmark, folder), overrides(settings or {}))
        loaded = benchmarks.load(command.benchmark.name, command.benchmark.settings)
        training = loaded.items("train") if loaded.has_training() else None
        found = audit_items(loaded.items(), score_settings(command.score, loaded), training)
    return AuditResult(loaded.name, found)
