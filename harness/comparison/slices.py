"""Accuracy by kind of question: every slice with its count and interval, small ones marked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.comparison.features import COMPLEXITY, STATEMENT, length_classes, schema_size, statement_features
from harness.comparison.loaded import Answers, Score

SMALL = 30
"""A slice of fewer scored items is marked: its interval is wider than most differences one looks for."""

_COMPLEXITY = ("sql_complexity", "complexity", "hardness")
_ORDER = (*_COMPLEXITY, "sql_task_type", "task_type", "sql_domain", "domain")


@dataclass(frozen=True, slots=True)
class Slice:
    """One value of one dimension, for one run."""

    dimension: str
    value: str
    score: Score | None
    items: int
    """Items of the slice, scored or not."""

    @property
    def small(self) -> bool:
        """True where too few items were scored to say much."""
        return self.score is None or self.score.n < SMALL

    def to_json(self) -> dict[str, Any]:
        """The slice as plain data."""
        score = self.score.to_json() if self.score else None
        return {"dimension": self.dimension, "value": self.value, "items": self.items, "small": self.small} | {
            "score": score
        }


def item_slices(answers: Answers) -> dict[str, list[str]]:
    """Dimension -> each item's value: tags, the gold's features, schema size, prompt length, database.

    `discriminating`: do the item's witness databases tell its gold from trivial queries?
    """
    tags = [_tags(value) for value in answers.column("tags")]
    names = {name for tag in tags for name in tag}
    ordered = [name for name in _ORDER if name in names] + sorted(names - set(_ORDER))
    slices = {name: [str(tag.get(name) or "unknown") for tag in tags] for name in ordered}
    features = [statement_features(str(sql or "")) for sql in answers.column("gold_sql")]
    for name in STATEMENT:
        if name == "complexity" and not names.isdisjoint(_COMPLEXITY):
            continue
        slices.setdefault(name, [feature[name] for feature in features])
    told = answers.column("discriminating")
    if any(value is not None for value in told):
        slices["discriminating"] = ["unknown" if value is None else "yes" if value else "no" for value in told]
    slices["schema_size"] = [schema_size(str(context or "")) for context in answers.column("context")]
    slices["prompt_length"] = length_classes(answers.column("prompt_tokens"))
    clusters = answers.clusters
    if len(set(clusters)) < len(clusters):
        slices["database"] = list(clusters)
    # a dimension with one value for all items tells nothing that the headline does not
    return {name: values for name, values in slices.items() if len(set(values)) > 1}


def slice_scores(answers: Answers, slices: Mapping[str, Sequence[str]], rule: str = "default") -> list[Slice]:
    """Score every value of every dimension; values in natural order, so that `2` stands before `10`."""
    verdicts = answers.verdicts(rule)
    scored = []
    for dimension, values in slices.items():
        members: dict[str, list[bool | None]] = {}
        for value, verdict in zip(values, verdicts, strict=True):
            members.setdefault(value, []).append(verdict)
        scored += [
            Slice(dimension, value, Score.of(members[value]), len(members[value]))
            for value in sorted(members, key=_natural)
        ]
    return scored


def _natural(value: str) -> tuple[int, int, str]:
    digits = "".join(char for char in value.split("-")[0] if char.isdigit())
    if value in COMPLEXITY:
        return 1, COMPLEXITY.index(value), value
    rank = {"none": 0, "none shown": 0, "no": 0, "unparsed": 2, "unknown": 2}.get(value, 1)
    return rank, (int(digits) + value.startswith("over ") if digits else 0), value


def _tags(value: Any) -> dict[str, str]:
    """Tags as stored: a JSON text, a struct or a Parquet map (list of pairs)."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError:
            return {}
    if isinstance(value, Mapping):
        return {str(key): str(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return {str(key): str(inner) for key, inner in value if inner is not None}
    return {}
