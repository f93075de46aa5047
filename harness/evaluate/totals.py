"""One pass over verdicts -> the totals of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness import stats
from harness.records import RULES, Generation, Verdict

_TEXT = ("string_match", "exact_match", "structural_match")


class Totals:
    """Counts that grow by one verdict at a time; shares are over the scored items, those whose gold could be run."""

    def __init__(self) -> None:
        self.n = 0
        self.scored = 0
        self._outcomes: Counter[str] = Counter()
        self._roads: Counter[str] = Counter()
        self._gold_roads: Counter[str] = Counter()
        self._rules: Counter[str] = Counter()
        self._text: Counter[str] = Counter()
        self._suite: Counter[bool] = Counter()
        self._told: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._execute_seconds = 0.0
        self.remembered = 0
        """Verdicts taken from an earlier run: a fact of this run's time, not of its answers."""

    def add(self, verdict: Verdict, generation: Generation) -> None:
        """Count one item."""
        self.n += 1
        self._outcomes[str(verdict.outcome)] += 1
        self._roads[verdict.road or "not run"] += 1
        self._gold_roads[verdict.gold_road or "not run"] += 1
        self._tokens["prompt_tokens"] += generation.prompt_tokens
        self._tokens["output_tokens"] += generation.output_tokens
        self._execute_seconds += verdict.execute_seconds
        self.remembered += verdict.remembered
        if verdict.execution_match is None:
            return
        self.scored += 1
        self._rules.update(rule for rule in RULES if verdict.matches.get(rule))
        self._text.update(name for name in _TEXT if getattr(verdict, name))
        if verdict.suite_match is not None:
            self._suite[verdict.suite_match] += 1
            self._told["lucky"] += bool(verdict.execution_match) and not verdict.suite_match
        if verdict.discriminating is not None:
            self._told["known"] += 1
        if verdict.discriminating:
            self._told["n"] += 1
            self._told["execution"] += bool(verdict.execution_match)
            self._told["suite"] += bool(verdict.suite_match)

    @property
    def execute_seconds(self) -> float:
        """Wall seconds of all predictions in DuckDB together."""
        return self._execute_seconds

    def facts(self) -> dict[str, Any]:
        """The totals as `run.json` keeps them; shares are None where nothing was scored."""
        hits = self._rules["default"]
        interval = stats.wilson(hits, self.scored) if self.scored else None
        return {
            "n": self.n,
            "scored": self.scored,
            "unscorable": self.n - self.scored,
            "execution_accuracy": self._share(hits),
            "execution_accuracy_ci": None if interval is None else list(interval),
            **{name: self._share(self._text[name]) for name in _TEXT},
            "rules": {rule: self._share(self._rules[rule]) for rule in RULES},
            "suite": self._suite_facts(),
            "outcomes": dict(sorted(self._outcomes.items())),
            "roads": dict(sorted(self._roads.items())),
            "gold_roads": dict(sorted(self._gold_roads.items())),
            **{name: self._tokens[name] for name in ("prompt_tokens", "output_tokens")},
        }

    def _share(self, hits: int) -> float | None:
        return hits / self.scored if self.scored else None

    def _suite_facts(self) -> Mapping[str, Any] | None:
        judged = self._suite.total()
        if not judged:
            return None
        hits = self._suite[True]
        return {
            "n": judged,
            "accuracy": hits / judged,
            "accuracy_ci": list(stats.wilson(hits, judged)),
            "lucky": self._told["lucky"],
            "discriminating": self._discriminating_facts(),
        }

    def _discriminating_facts(self) -> Mapping[str, Any] | None:
        """Accuracy on the items whose witnesses tell their golds from trivial queries, and their share of all known."""
        known, n = self._told["known"], self._told["n"]
        if not known:
            return None
        right, on_suites = self._told["execution"], self._told["suite"]
        return {
            "n": n,
            "share": n / known,
            "accuracy": right / n if n else None,
            "accuracy_ci": list(stats.wilson(right, n)) if n else None,
            "suite_accuracy": on_suites / n if n else None,
        }
