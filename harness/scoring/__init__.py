"""Predictions scored against golds: every rule, exact match and outcome from one run in confined workers.

    for verdict in score(items, {item.id: "SELECT ..."}, ScoreSettings(dialects=("sqlite",), cache_dir=".cache")): ...
    audit(items, settings)          # the benchmark before anybody is scored

The names are loaded when they are asked for: a worker imports its own module of this package and nothing of the
parent's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.scoring.audit_items import FINDINGS, Audit, audit
    from harness.scoring.audit_strength import SuiteAudit, audit_suites
    from harness.scoring.score_items import score, score_with
    from harness.scoring.settings import ScoreSettings
    from harness.scoring.verdicts import verdict_of

__all__ = [
    "FINDINGS",
    "Audit",
    "ScoreSettings",
    "SuiteAudit",
    "audit",
    "audit_suites",
    "score",
    "score_with",
    "verdict_of",
]

_HOMES = {
    "FINDINGS": "audit_items",
    "Audit": "audit_items",
    "audit": "audit_items",
    "SuiteAudit": "audit_strength",
    "audit_suites": "audit_strength",
    "score": "score_items",
    "score_with": "score_items",
    "verdict_of": "verdicts",
    "ScoreSettings": "settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
