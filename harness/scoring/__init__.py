"""Predictions scored against golds: every rule, exact match and outcome from one run in confined workers.

    for verdict in score(items, {item.id: "SELECT ..."}, ScoreSettings(dialects=("sqlite",), cache_dir=".cache")): ...
    audit(items, settings)          # the benchmark before anybody is scored
"""

from harness.scoring.audit import FINDINGS, Audit, audit
from harness.scoring.score import score, score_with, verdict_of
from harness.scoring.settings import ScoreSettings

__all__ = ["FINDINGS", "Audit", "ScoreSettings", "audit", "score", "score_with", "verdict_of"]
