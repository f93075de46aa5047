"""Several answers a question: pass@k and the majority by execution result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness import stats
from harness.comparison.loaded import Answers, Score


@dataclass(frozen=True, slots=True)
class Sampling:
    """What several samples an item buy, for one run."""

    n: int
    """Scored items."""
    samples: int
    """Samples an item (the fewest any item has)."""
    pass_at: tuple[tuple[int, float, float, float], ...]
    """(k, mean pass@k, low, high), k in powers of two up to `samples`; bootstrap by database."""
    majority: Score | None
    """Share of items whose most frequent execution result is right; None where results were not kept."""

    def to_json(self) -> dict[str, Any]:
        """The sampling as plain data."""
        passes = [{"k": k, "mean": mean, "ci_low": low, "ci_high": high} for k, mean, low, high in self.pass_at]
        return {
            "n": self.n,
            "samples": self.samples,
            "pass_at": passes,
            "majority": self.majority.to_json() if self.majority else None,
        }


def sampling(answers: Answers, seed: int = 0) -> Sampling | None:
    """pass@k and majority of a run with more than one sample an item; None where there is one."""
    clusters = dict(zip(answers.ids, answers.clusters, strict=True))
    verdicts = {id_: [sample["execution_match"] for sample in samples] for id_, samples in answers.samples.items()}
    scored = {id_: [bool(v) for v in found] for id_, found in verdicts.items() if None not in found}
    if not scored:
        return None
    fewest = min(len(found) for found in scored.values())
    passes = []
    for k in (1 << power for power in range(fewest.bit_length())):
        values = [stats.pass_at_k(len(found), sum(found), k) for found in scored.values()]
        names = [clusters[id_] for id_ in scored]
        mean = sum(values) / len(values)
        if len(values) > 1:
            # one database only: its questions are resampled, as in the paired interval
            low, high = stats.bootstrap_mean(values, names if len(set(names)) > 1 else None, rng=seed)
        else:
            low, high = 0.0, 1.0
        passes.append((k, mean, low, high))
    return Sampling(len(scored), fewest, tuple(passes), _majority(answers, scored))


def _majority(answers: Answers, scored: dict[str, list[bool]]) -> Score | None:
    elected: list[bool | None] = []
    for id_, found in scored.items():
        digests = [sample.get("answer_digest") or None for sample in answers.samples[id_]]
        if not any(digests) and any(found):
            return None
        winner, _ = stats.majority(digests)
        elected.append(winner is not None and found[digests.index(winner)])
    return Score.of(elected)
