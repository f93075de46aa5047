"""Two or more runs, paired by item id: differences with their doubt, and the items that flipped."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from harness import stats
from harness.comparison.likeness import differing_fields
from harness.comparison.loaded import JUDGEMENTS, Answers, load_answers
from harness.errors import CompareError
from harness.records import Run

ALPHA = 0.05
"""Chance of any false alarm among the pairs shown together."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Run b measured against run a on the items both answered and the benchmark could score."""

    a: str
    b: str
    a_model: str
    b_model: str
    n: int
    """Paired items: in both runs, with a scorable gold in both."""
    difference: float
    """Accuracy of b minus accuracy of a, as a share."""
    ci_low: float
    ci_high: float
    p_value: float
    """Exact McNemar, two-sided."""
    p_holm: float
    """`p_value` after Holm's correction over all pairs shown together."""
    p_clustered: float | None
    """Exact sign-flip test over whole databases; None where no database has two questions."""
    p_clustered_holm: float | None
    """`p_clustered` after Holm's correction; None too where so few databases cannot reach 5 % over this many pairs."""
    both: int
    only_a: int
    only_b: int
    neither: int
    minimum_detectable: float | None
    """Smallest true difference found with 80 % power at this n, this much disagreement and these clusters."""
    clusters: int
    unscored: int
    """Shared items left out because their gold could not be scored."""
    unpaired: int
    """Items that only one of the two runs has."""
    flipped_to_right: tuple[str, ...]
    """Ids that b got right and a did not."""
    flipped_to_wrong: tuple[str, ...]
    """Ids that a got right and b did not."""
    unlike: tuple[str, ...] = ()
    """Fields in which the runs differ, where they were compared anyway."""

    @property
    def distinguishable(self) -> bool:
        """True where the difference survives Holm's correction and its (clustered) interval leaves out zero.

        Questions to one database are no independent evidence: McNemar's test alone raises a false alarm in 22 % of
        simulated experiments with 20 databases. So the test over whole databases is asked as well, where it can answer.
        """
        if self.p_clustered_holm is not None and self.p_clustered_holm >= ALPHA:
            return False
        return self.p_holm < ALPHA and not self.ci_low <= 0 <= self.ci_high

    def to_json(self) -> dict[str, Any]:
        """The pair as the commands print it."""
        facts = {name: getattr(self, name) for name in self.__slots__}
        lists = {name: list(facts[name]) for name in ("flipped_to_right", "flipped_to_wrong", "unlike")}
        return facts | lists | {"distinguishable": self.distinguishable}


@dataclass(frozen=True, slots=True)
class Comparison:
    """All pairs of the runs given, first against second, first against third, and so on."""

    rule: str
    pairs: tuple[Pair, ...]

    def to_json(self) -> dict[str, Any]:
        """The document `harness compare` ends with."""
        return {"rule": self.rule, "pairs": [pair.to_json() for pair in self.pairs]}


def compare(
    runs: Sequence[Run | Answers | Path | str], *, anyway: bool = False, rule: str = "default", seed: int = 0
) -> Comparison:
    """Pair every two runs by item id under one rule.

    Runs whose benchmark, prompt, decoding or scoring differ are refused with CompareError naming the fields; `anyway`
    compares them and marks the pair. `seed` is the bootstrap's: the same runs give the same numbers, and a pair gives
    the same numbers whatever other runs stand beside it (Holm's correction apart).
    """
    if rule not in JUDGEMENTS:
        raise CompareError(f"No judgement is called {rule}; known are {', '.join(JUDGEMENTS)}.")
    loaded = [run if isinstance(run, Answers) else load_answers(run) for run in runs]
    if len(loaded) < 2:
        raise CompareError(f"A comparison needs two runs, not {len(loaded)}; name another one.")
    names = [answers.run.id for answers in loaded]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CompareError(f"Run {twice[0]} is named twice; a run compared with itself shows nothing.")
    if not anyway:
        _refuse_unlike(loaded, rule)
    return Comparison(rule, tuple(_corrected([_pair(a, b, rule, seed) for a, b in combinations(loaded, 2)])))


def _corrected(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """The pairs with Holm's correction over all of them."""
    adjusted = stats.holm([pair.p_value for pair in pairs])
    clustered = stats.holm([1.0 if pair.p_clustered is None else pair.p_clustered for pair in pairs])
    for pair, p, by_database in zip(pairs, adjusted, clustered, strict=True):
        # every sign alike is the rarest outcome of a sign-flip test: 2 of 2 ** clusters
        answers = pair.p_clustered is not None and len(pairs) * 2.0 ** (1 - pair.clusters) < ALPHA
        yield replace(pair, p_holm=p, p_clustered_holm=by_database if answers else None)


def _refuse_unlike(loaded: Sequence[Answers], rule: str) -> None:
    for other in loaded[1:]:
        unlike = differing_fields(loaded[0].run, other.run, rule)
        if unlike:
            judged = all(field.startswith("score.") for field in unlike)
            remedy = "Judge both alike with `harness rescore RUN`" if judged else "Evaluate both alike"
            raise CompareError(
                f"These runs may not be compared: {'; '.join(unlike)}. "
                f"{remedy}, or give --anyway to see the numbers, marked."
            )


def _pair(a: Answers, b: Answers, rule: str, seed: int) -> Pair:
    left = dict(zip(a.ids, a.verdicts(rule), strict=True))
    right = dict(zip(b.ids, b.verdicts(rule), strict=True))
    clusters = dict(zip(a.ids, a.clusters, strict=True))
    shared = [id_ for id_ in a.ids if id_ in right]
    scored = [id_ for id_ in shared if left[id_] is not None and right[id_] is not None]
    if not scored:
        raise CompareError(f"{a.run.id} and {b.run.id} have no item with a verdict by rule {rule} in common.")
    groups = [clusters[id_] for id_ in scored]
    won, lost = [bool(right[id_]) for id_ in scored], [bool(left[id_]) for id_ in scored]
    gained = tuple(id_ for id_ in scored if right[id_] and not left[id_])
    dropped = tuple(id_ for id_ in scored if left[id_] and not right[id_])
    n, both = len(scored), sum(x and y for x, y in zip(lost, won, strict=True))
    clustered = 1 < len(set(groups)) < n
    low, high = _interval(lost, won, groups, a, b, seed)
    p_value = stats.mcnemar_exact(len(dropped), len(gained))
    flips = [int(y) - int(x) for x, y in zip(lost, won, strict=True)]
    independent = n / stats.design_effect(flips, groups)
    return Pair(
        a=a.run.id,
        b=b.run.id,
        a_model=a.run.model,
        b_model=b.run.model,
        n=n,
        difference=(len(gained) - len(dropped)) / n,
        ci_low=low,
        ci_high=high,
        p_value=p_value,
        p_holm=p_value,
        p_clustered=stats.sign_flip_exact(flips, groups) if clustered else None,
        p_clustered_holm=None,
        both=both,
        only_a=len(dropped),
        only_b=len(gained),
        neither=n - both - len(gained) - len(dropped),
        minimum_detectable=stats.minimum_detectable(independent, (len(gained) + len(dropped)) / n),
        clusters=len(set(groups)),
        unscored=len(shared) - n,
        unpaired=len(left) + len(right) - 2 * len(shared),
        flipped_to_right=gained,
        flipped_to_wrong=dropped,
        unlike=tuple(differing_fields(a.run, b.run, rule)),
    )


def _interval(
    lost: Sequence[bool], won: Sequence[bool], groups: Sequence[str], a: Answers, b: Answers, seed: int
) -> stats.Interval:
    # a single database cannot say how other databases would vary: its questions are resampled instead
    clusters = groups if len(set(groups)) > 1 else None
    if len(lost) < 2:
        return stats.Interval(-1.0, 1.0)
    pair_seed = zlib.crc32(f"{seed} {a.run.id} {b.run.id}".encode())
    return stats.paired_bootstrap(lost, won, clusters, rng=pair_seed)
