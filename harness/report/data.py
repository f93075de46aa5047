"""Everything a report says, as plain numbers: computed once, shown as page, Markdown, JSON and terminal table."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import stats
from harness.comparison import facts
from harness.comparison.curve import Curve, learning_curves
from harness.comparison.likeness import differing_fields, like_groups
from harness.comparison.loaded import JUDGEMENTS, Answers, Score, load_answers
from harness.comparison.pairs import Comparison, Pair, compare
from harness.comparison.samples import Sampling, sampling
from harness.comparison.slices import Slice, item_slices, slice_scores
from harness.errors import HarnessError
from harness.records import Outcome, Run

OUTCOME_GROUPS: Mapping[str, tuple[Outcome, ...]] = {
    "right": (Outcome.CORRECT, Outcome.VACUOUS_MATCH),
    "wrong answer": (
        Outcome.WRONG_VALUES,
        Outcome.WRONG_ROW_COUNT,
        Outcome.WRONG_COLUMN_COUNT,
        Outcome.WRONG_ORDER,
        Outcome.WRONG_MULTIPLICITY,
        Outcome.WRONG_STATE,
    ),
    "does not bind": (Outcome.UNKNOWN_COLUMN, Outcome.UNKNOWN_TABLE, Outcome.TYPE_ERROR, Outcome.SYNTAX_ERROR),
    "does not finish": (Outcome.RUNTIME_ERROR, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.TOO_MANY_ROWS),
    "no usable SQL": (Outcome.NO_SQL, Outcome.TRUNCATED, Outcome.MULTIPLE_STATEMENTS, Outcome.FORBIDDEN),
    "gold at fault": (Outcome.GOLD_UNLOADABLE, Outcome.GOLD_ERROR, Outcome.GOLD_UNSTABLE),
}
"""Outcomes in the order they are stacked: what went right, then where it went wrong."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run's line in every table."""

    index: int
    """Position in the report; what the page's links name."""
    answers: Answers
    label: str
    """Short name, unique within the report."""
    n: int
    unscorable: int
    scores: Mapping[str, Score | None]
    """Judgement -> share; only judgements that at least one item carries."""
    clustered: stats.Interval | None
    """Interval of execution accuracy over databases; None where no database has two questions."""
    outcomes: Mapping[str, int]
    lucky: int | None
    """Right on the shipped rows, wrong on a witness database; None where no suite was run."""
    sampling: Sampling | None
    slices: tuple[Slice, ...]

    @property
    def run(self) -> Run:
        """The stored run."""
        return self.answers.run

    @property
    def headline(self) -> Score | None:
        """Execution accuracy by the default rule."""
        return self.scores.get("default")


@dataclass(frozen=True, slots=True)
class Board:
    """The runs over one benchmark: only these stand in one comparison."""

    name: str
    digest: str
    rows: tuple[RunRow, ...]
    slices: Mapping[str, Mapping[str, str]]
    """Dimension -> item id -> value."""
    comparisons: tuple[Comparison, ...]
    """One for each set of like runs."""
    unlike: tuple[str, ...]
    """Why some runs of this benchmark are not compared with the first ones."""

    def pair(self, a: str, b: str) -> Pair | None:
        """The pair of two runs, as it was computed (a first); None where they are not comparable."""
        pairs = (pair for comparison in self.comparisons for pair in comparison.pairs)
        return next((pair for pair in pairs if (pair.a, pair.b) == (a, b)), None)


@dataclass(frozen=True, slots=True)
class ReportData:
    """All of one report."""

    title: str
    boards: tuple[Board, ...]
    curves: tuple[Curve, ...]

    @property
    def rows(self) -> list[RunRow]:
        """Every run, board by board."""
        return [row for board in self.boards for row in board.rows]


def build(runs: Sequence[Run | Answers | Path | str], title: str | None = None) -> ReportData:
    """Load and count the runs, the order given kept within each benchmark; HarnessError where there is none."""
    loaded = [run if isinstance(run, Answers) else load_answers(run) for run in runs]
    if not loaded:
        raise HarnessError("There is no finished run to report on; make one with `harness eval`.")
    ids = [answers.run.id for answers in loaded]
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if twice:
        raise HarnessError(f"Run {twice[0]} is named twice; name each run once.")
    boards: dict[tuple[str, str], list[Answers]] = {}
    for answers in loaded:
        digest = facts.benchmark_digest(answers.run)
        boards.setdefault((digest or facts.benchmark(answers.run), digest), []).append(answers)
    labels = _labels([answers.run for answers in loaded])
    numbers = itertools.count()
    built = tuple(_board(digest, members, labels, numbers) for (_, digest), members in boards.items())
    names = ", ".join(dict.fromkeys(board.name for board in built))
    pairs = [pair for board in built for comparison in board.comparisons for pair in comparison.pairs]
    return ReportData(title or f"Text-to-SQL on {names}", built, tuple(learning_curves(loaded, pairs=pairs)))


def _board(digest: str, members: Sequence[Answers], labels: Mapping[str, str], numbers: Iterator[int]) -> Board:
    # the run with most items decides the slices, so that a prompt-length class means the same for every run
    widest = max(members, key=lambda answers: len(answers.ids))
    values = item_slices(widest)
    slices = {name: dict(zip(widest.ids, column, strict=True)) for name, column in values.items()}
    groups = like_groups(members)
    unlike = [field for group in groups[1:] for field in differing_fields(groups[0][0].run, group[0].run)]
    return Board(
        name=facts.benchmark(members[0].run),
        digest=digest,
        rows=tuple(run_row(next(numbers), answers, labels[answers.run.id], slices) for answers in members),
        slices=slices,
        comparisons=tuple(compare(group) for group in groups if len(group) > 1 and _comparable(group)),
        unlike=tuple(dict.fromkeys(unlike)),
    )


def _comparable(group: Sequence[Answers]) -> bool:
    """True where every two runs share a scored item."""
    scored = [
        {id_ for id_, verdict in zip(run.ids, run.verdicts(), strict=True) if verdict is not None} for run in group
    ]
    return all(left & right for index, left in enumerate(scored) for right in scored[index + 1 :])


def run_row(index: int, answers: Answers, label: str, slices: Mapping[str, Mapping[str, str]]) -> RunRow:
    """Count one run; slices are the board's, by item id."""
    scores = {rule: answers.score(rule) for rule in JUDGEMENTS}
    verdicts, suite = answers.verdicts(), answers.verdicts("suite")
    known = [(id_, bool(v)) for id_, v in zip(answers.ids, verdicts, strict=True) if v is not None]
    cluster_of = dict(zip(answers.ids, answers.clusters, strict=True))
    names = [cluster_of[id_] for id_, _ in known]
    clustered = None
    if 1 < len(set(names)) < len(names):
        clustered = stats.bootstrap_mean([value for _, value in known], names, rng=0)
    columns = {name: [values.get(id_, "unknown") for id_ in answers.ids] for name, values in slices.items()}
    return RunRow(
        index=index,
        answers=answers,
        label=label,
        n=len(answers.ids),
        unscorable=sum(verdict is None for verdict in verdicts),
        scores={rule: score for rule, score in scores.items() if score is not None},
        clustered=clustered,
        outcomes=dict(Counter(str(outcome) for outcome in answers.column("outcome") if outcome)),
        lucky=sum(bool(v) and s is False for v, s in zip(verdicts, suite, strict=True)) if scores["suite"] else None,
        sampling=sampling(answers),
        slices=tuple(slice_scores(answers, columns)),
    )


def _labels(runs: Sequence[Run]) -> dict[str, str]:
    """Shortest unique names: the model, with its experiment where models repeat, else the run's id."""
    plain = Counter(run.model for run in runs)
    full = {run.id: f"{run.model} ({facts.experiment(run)})" if facts.experiment(run) else run.id for run in runs}
    counts = Counter(full.values())
    return {
        run.id: run.model if plain[run.model] == 1 else full[run.id] if counts[full[run.id]] == 1 else run.id
        for run in runs
    }


def run_json(row: RunRow, board: Board) -> dict[str, Any]:
    """One run's numbers under the names the commands use."""
    head, exact = row.headline, row.scores.get("exact")
    return {
        "run": row.run.id,
        "model": row.run.model,
        "label": row.label,
        "experiment": facts.experiment(row.run),
        "benchmark": board.name,
        "benchmark_digest": board.digest,
        "n": row.n,
        "scored": row.n - row.unscorable,
        "unscorable": row.unscorable,
        "execution_accuracy": head.share if head else None,
        "ci_low": head.low if head else None,
        "ci_high": head.high if head else None,
        "clustered_ci": list(row.clustered) if row.clustered else None,
        "exact_match": exact.share if exact else None,
        "scores": {rule: score.to_json() for rule, score in row.scores.items() if score},
        "lucky": row.lucky,
        "outcomes": dict(sorted(row.outcomes.items())),
        "sampling": row.sampling.to_json() if row.sampling else None,
        "output_tokens_per_second": facts.output_rate(row.run),
        "speed": dict(facts.speed(row.run)),
        "train": dict(facts.section(row.run, "training")),
        "rates": facts.rates(row.run, head.hits if head else None),
        "ceilings": {name: dict(fact) for name, fact in facts.ceilings(row.run).items()},
        "binds": dict(facts.section(row.run, "timings", "binds")),
        "phases": facts.phases(row.run),
        "machine": facts.machine(row.run),
        "slices": [part.to_json() for part in row.slices],
    }
