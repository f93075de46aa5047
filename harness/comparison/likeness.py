"""May two runs be compared? Only where the same questions were asked and judged the same way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.comparison.facts import benchmark_digest, section
from harness.comparison.loaded import Answers
from harness.records import Run

CHECKED = ("benchmark", "prompt", "decoding", "score")
"""What must agree, in the order differences are told."""

IRRELEVANT = frozenset(
    {
        "batch_size",
        "batch",
        "block",
        "workers",
        "processes",
        "threads",
        "cores",
        "cache",
        "concurrency",
        "progress",
        "root",
        "path",
    }
    | {"seconds", "audit", "memory_limit_bytes", "keep_rows"}
)
"""Settings that say how fast or where from, not what was asked or how it was judged."""

_DIGEST = re.compile(r"[0-9a-f]{40,64}")
_BENCHMARK = ("split", "dialects", "semantics")


def differing_fields(a: Run, b: Run, rule: str = "default") -> list[str]:
    """What makes two runs unlike under a rule, a phrase a field: `decoding.max_new_tokens is 128 in A and 256 in B`."""
    left, right = _checked(a, rule), _checked(b, rule)
    return [
        f"{field} is {_shown(left.get(field))} in {a.id} and {_shown(right.get(field))} in {b.id}"
        for field in sorted(left.keys() | right.keys(), key=lambda name: (CHECKED.index(name.split(".")[0]), name))
        if left.get(field) != right.get(field)
    ]


def like_groups(runs: Sequence[Answers]) -> list[list[Answers]]:
    """Runs that may be compared with each other, in the order given; each run in exactly one group."""
    groups: dict[tuple[tuple[str, str], ...], list[Answers]] = {}
    for run in runs:
        key = tuple(sorted((field, repr(value)) for field, value in _checked(run.run).items()))
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _checked(run: Run, rule: str = "default") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    _flatten("benchmark", {key: section(run, "benchmark").get(key) for key in _BENCHMARK}, fields)
    # equal digests are equal items, whatever the copy of the benchmark was called
    fields["benchmark.digest"] = benchmark_digest(run) or section(run, "benchmark").get("name")
    fields["prompt.digest"] = section(run, "digests").get("prompt") or section(run, "prompt").get("digest")
    fields["score.judges"] = section(run, "digests").get("judges")
    for name in ("decoding", "score"):
        _flatten(name, section(run, name), fields)
    # witness databases decide the suite's verdict and no other
    return {name: value for name, value in fields.items() if rule == "suite" or not name.startswith("score.suite")}


def _flatten(prefix: str, value: Any, fields: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in IRRELEVANT:
                _flatten(f"{prefix}.{key}", inner, fields)
    else:
        fields[prefix] = tuple(value) if isinstance(value, list) else value


def _shown(value: Any) -> str:
    text = "not recorded" if value is None else str(value)
    if _DIGEST.fullmatch(text):
        return text[:12]
    return text if len(text) <= 60 else text[:57] + "..."
