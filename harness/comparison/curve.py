"""Accuracy over the checkpoints of one training: the curve, its best point, and whether later ones were worth it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import units
from harness.comparison import facts
from harness.comparison.likeness import like_groups
from harness.comparison.loaded import Answers, Score
from harness.comparison.pairs import Pair, compare

Shown = Mapping[frozenset[str], Pair]
"""The pair of two runs, by their ids."""


@dataclass(frozen=True, slots=True)
class Point:
    """One checkpoint on the curve."""

    run: str
    model: str
    step: int
    epoch: float | None
    score: Score


@dataclass(frozen=True, slots=True)
class Curve:
    """The checkpoints of one training in order of step, the base as step 0 where it was evaluated."""

    training: str
    points: tuple[Point, ...]
    best: Point
    caveat: str
    """Why the best point's number is a little too good."""
    hint: str
    """Whether training could have stopped earlier, with the difference and what n could have shown."""

    def to_json(self) -> dict[str, Any]:
        """The curve as plain data."""
        points = [
            {"run": p.run, "model": p.model, "step": p.step, "epoch": p.epoch} | p.score.to_json() for p in self.points
        ]
        return {
            "training": self.training,
            "points": points,
            "best": self.best.run,
            "caveat": self.caveat,
            "hint": self.hint,
        }


def learning_curves(runs: Sequence[Answers], rule: str = "default", pairs: Iterable[Pair] = ()) -> list[Curve]:
    """One curve for each training that has at least two comparable runs with a known step; the base begins each.

    `pairs`: comparisons already shown beside the curve, whose verdicts its hint then repeats; what is missing is made.
    """
    curves = []
    shown = {frozenset((pair.a, pair.b)): pair for pair in pairs}
    for group in like_groups(runs):
        bases = [run for run in group if facts.is_base(run.run)]
        trainings: dict[tuple[str, str], list[Answers]] = {}
        for run in group:
            name = facts.training(run.run)
            if name and facts.step(run.run) is not None and not facts.is_base(run.run):
                trainings.setdefault((name, facts.experiment(run.run)), []).append(run)
        for (name, experiment), members in trainings.items():
            base = [run for run in bases if facts.experiment(run.run) == experiment]
            curve = _curve(experiment or name, base[:1] + members, rule, shown)
            if curve is not None:
                curves.append(curve)
    return curves


def _curve(training: str, members: Sequence[Answers], rule: str, shown: Shown) -> Curve | None:
    ordered = sorted(members, key=lambda run: (facts.step(run.run) or 0, not facts.is_checkpoint(run.run), run.run.id))
    points: list[Point] = []
    for run in ordered:
        score = run.score(rule)
        # the final adapter and the merged model are the last checkpoint again: one point a step
        if score is not None and not (points and points[-1].step == (facts.step(run.run) or 0)):
            points.append(Point(run.run.id, run.run.model, facts.step(run.run) or 0, facts.epoch(run.run), score))
    if len(points) < 2:
        return None
    best = max(points, key=lambda point: (point.score.share, -point.step))
    candidates = sum(point.step > 0 for point in points)
    caveat = (
        f"{best.model} is the best of {units.plural(candidates, 'checkpoint')} on this very split, so its score is "
        "somewhat too good; confirm it on questions that chose nothing."
        if best.step and candidates > 1
        else ""
    )
    return Curve(training, tuple(points), best, caveat, _hint(ordered, points, best, rule, shown))


def _hint(runs: Sequence[Answers], points: Sequence[Point], best: Point, rule: str, shown: Shown) -> str:
    """Name the earliest checkpoint that the paired test cannot tell from the best one."""
    if best.step == 0:
        return f"No checkpoint scores higher than {best.model}."
    by_id = {run.run.id: run for run in runs}
    trained = [by_id[point.run] for point in points if point.step > 0]
    if len(trained) < 2:
        return ""
    if any(run.run.id != best.run and frozenset((run.run.id, best.run)) not in shown for run in trained):
        shown = {frozenset((pair.a, pair.b)): pair for pair in compare(trained, anyway=True, rule=rule).pairs}
    for run in trained:
        if run.run.id == best.run:
            break
        pair = shown[frozenset((run.run.id, best.run))]
        if not pair.distinguishable:
            found = f"{units.points(pair.minimum_detectable, sign=False)} points"
            corrected = units.p_value(max(pair.p_holm, pair.p_clustered_holm or 0.0))
            return (
                f"{run.run.model} cannot be told from the best ({best.model}: "
                f"{units.point_difference(pair.difference, pair.ci_low, pair.ci_high, pair.n)}"
                f", Holm's p {corrected}): training could have "
                f"stopped there, as far as {units.plural(pair.n, 'item')} can show (a true difference below {found} "
                "would usually be missed)."
            )
    last = points[-1]
    if last.run == best.run:
        return f"{best.model} is the last checkpoint and better than every earlier one: longer training may still help."
    return f"{best.model} is better than every earlier checkpoint; none before it would have done as well."
