"""The tables of a report, defined once: the page, the Markdown summary and the leaderboard render the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from harness import units
from harness.comparison import facts
from harness.comparison.loaded import Score
from harness.comparison.slices import Slice
from harness.records import RULES
from harness.report.data import OUTCOME_GROUPS, Board, ReportData, RunRow

RULE_NAMES = {
    "default": "default",
    "strict": "strict",
    "lenient": "lenient",
    "bird": "BIRD",
    "test_suite": "Spider test-suite rule",
    "suite": "own suite",
    "string": "same text",
    "exact": "exact match",
    "structural": "same structure",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text and, on the page, where it leads and how it is drawn."""

    text: str
    href: str = ""
    """URL fragment of the filtered items behind the number."""
    kind: str = ""
    """`number`, `name`, `small` (few items), `note`, `long` (may take several lines); becomes a CSS class."""
    strip: tuple[float, float, float] | None = None
    """(value, low, high) as shares, drawn as a dot on its interval."""


@dataclass(frozen=True, slots=True)
class Table:
    """Column names and rows; the first column names the row, all others hold numbers or notes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def link(run: int, **filters: str) -> str:
    """The URL fragment that opens the item browser filtered; `run` counts from 0 in the report's order."""
    return "#" + urlencode({"run": run, **filters})


def headline(board: Board) -> Table:
    """Accuracy with interval, exact match, suite, difference to the board's first run, and speed."""
    first = board.rows[0]
    suites = any("suite" in row.scores for row in board.rows)
    columns = ["model", "execution accuracy", "95 %", "n", "exact match"]
    columns += ["suite"] * suites + [f"against {first.label}, points"] * (len(board.rows) > 1) + ["output", "hardware"]
    rows = []
    for row in board.rows:
        score, index = row.headline, row.index
        cells = [Cell(row.label, link(index), "name"), *_share_cells(score)]
        cells += [number(units.count(row.n - row.unscorable)), number(percent(row.scores.get("exact")))]
        cells += [number(percent(row.scores.get("suite")))] * suites
        if len(board.rows) > 1:
            cells.append(_against(board, first, row))
        cells += [
            number(units.rate(facts.output_rate(row.run))),
            Cell(facts.machine(row.run) or units.NONE, kind="note"),
        ]
        rows.append(tuple(cells))
    return Table(tuple(columns), tuple(rows), _headline_note(board))


def outcomes(board: Board) -> Table:
    """Outcome counts by run; each count leads to its items."""
    names = [name for group in OUTCOME_GROUPS.values() for name in group if any(name in r.outcomes for r in board.rows)]
    rows = []
    for name in names:
        cells = [Cell(name.replace("_", " "), kind="name")]
        for row in board.rows:
            count = row.outcomes.get(name, 0)
            href = link(row.index, outcome=str(name)) if count else ""
            cells.append(Cell(units.count(count) if count else "·", href, "number"))
        rows.append(tuple(cells))
    if any(row.lucky is not None for row in board.rows):
        cells = [Cell("right, but told apart by the suite", kind="name")]
        for row in board.rows:
            href = link(row.index, lucky="1") if row.lucky else ""
            cells.append(Cell(units.count(row.lucky), href, "number"))
        rows.append(tuple(cells))
    return Table(("outcome", *(row.label for row in board.rows)), tuple(rows))


def rules(board: Board) -> Table:
    """The same answers under every judgement; a share leads to the items that its rule judges otherwise."""
    names = [rule for rule in RULE_NAMES if any(rule in row.scores for row in board.rows)]
    rows = [(Cell(row.label, kind="name"), *(_rule_cell(row, rule) for rule in names)) for row in board.rows]
    note = (
        "Own suite: the same answer on the shipped rows and on witness databases made for the question; (n): of the "
        "items for which there are any."
    )
    return Table(("model", *(RULE_NAMES[name] for name in names)), tuple(rows), note if "suite" in names else "")


def _rule_cell(row: RunRow, rule: str) -> Cell:
    score = row.scores.get(rule)
    if score is None or row.headline is None:
        return number(percent(score))
    text = units.percent(score.share)
    if score.n != row.headline.n:
        text += f" ({units.count(score.n)})"
    pairs = _judged_by_both(row, rule) if rule in (*RULES, "suite") else []
    differs = any(one != other for one, other in pairs)
    return Cell(text, link(row.index, rule=rule) if differs else "", "number")


def slices(board: Board, dimension: str) -> Table:
    """One dimension: its values down, the runs across, small slices marked."""
    by_run = [{part.value: part for part in row.slices if part.dimension == dimension} for row in board.rows]
    values = list(dict.fromkeys(value for parts in by_run for value in parts))
    rows = []
    for value in values:
        sizes = [parts[value].score.n for parts in by_run if value in parts and parts[value].score]  # type: ignore[union-attr]
        cells = [Cell(value, kind="name"), number(units.count(max(sizes, default=0)))]
        for row, parts in zip(board.rows, by_run, strict=True):
            cells.append(_slice_cell(parts.get(value), link(row.index, slice=f"{dimension}:{value}")))
        rows.append(tuple(cells))
    return Table((dimension.replace("_", " "), "n", *(row.label for row in board.rows)), tuple(rows))


def pairs(board: Board) -> Table:
    """Every pair of like runs with its difference, tests and counts."""
    label = {row.run.id: row.label for row in board.rows}
    columns = ("pair", "difference", "95 %", "p", "p, Holm", "p, by database", "both", "only first", "only second")
    rows = [
        (
            Cell(f"{label[pair.a]} → {label[pair.b]}", kind="name"),
            number(units.points(pair.difference)),
            number(f"[{units.points(pair.ci_low)}, {units.points(pair.ci_high)}]"),
            number(units.p_value(pair.p_value)),
            number(units.p_value(pair.p_holm)),
            number(units.p_value(pair.p_clustered)),
            *(number(units.count(value)) for value in (pair.both, pair.only_a, pair.only_b, pair.neither)),
            number(units.points(pair.minimum_detectable, sign=False)),
        )
        for comparison in board.comparisons
        for pair in comparison.pairs
    ]
    return Table((*columns, "neither", "could have shown"), tuple(rows))


def samples(data: ReportData) -> Table:
    """pass@k and majority for runs with several answers a question."""
    found = [row for row in data.rows if row.sampling]
    ks = sorted({k for row in found if row.sampling for k, *_ in row.sampling.pass_at})
    rows = []
    for row in found:
        if row.sampling is None:
            continue
        passes = {
            k: f"{units.percent(mean)} {units.interval(low, high)}" for k, mean, low, high in row.sampling.pass_at
        }
        cells = [number(passes.get(k, units.NONE)) for k in ks]
        vote = row.sampling.majority
        elected = f"{units.percent(vote.share)} {units.interval(vote.low, vote.high)}" if vote else units.NONE
        rows.append((Cell(row.label, kind="name"), *cells, number(elected)))
    return Table(("model", *(f"pass@{k}" for k in ks), "majority"), tuple(rows))


def _share_cells(score: Score | None) -> list[Cell]:
    if score is None:
        return [number(units.NONE), number(units.NONE)]
    strip = (score.share, score.low, score.high)
    return [Cell(units.percent(score.share), kind="number strong", strip=strip), number(units.interval(*strip[1:]))]


def _against(board: Board, first: RunRow, row: RunRow) -> Cell:
    pair = board.pair(first.run.id, row.run.id)
    if pair is None:
        # why stands beside the comparisons
        return Cell("", kind="number muted") if row is first else Cell("not comparable", "#compare", "number muted")
    href = link(row.index, versus=str(first.index), flip="any")
    mark = "" if pair.distinguishable else " ≈"
    return Cell(f"{units.points(pair.difference)}{mark}", href, "number")


def _headline_note(board: Board) -> str:
    notes = ["Wilson intervals over questions."]
    if any(row.clustered for row in board.rows):
        best = max((row for row in board.rows if row.clustered and row.headline), key=lambda r: r.headline.share)  # type: ignore[union-attr]
        if best.clustered:
            notes.append(
                f"Over new databases the doubt is larger: {best.label} {units.interval(*best.clustered)} "
                "(bootstrap of whole databases)."
            )
    unscorable = max(row.unscorable for row in board.rows)
    if unscorable:
        notes.append(f"{units.plural(unscorable, 'item')} left out because the gold itself cannot be scored.")
    if any(cell for comparison in board.comparisons for cell in comparison.pairs if not cell.distinguishable):
        notes.append("≈ marks a difference that the paired tests do not tell from none.")
    return " ".join(notes)


def _slice_cell(part: Slice | None, href: str) -> Cell:
    if part is None or part.score is None:
        return number(units.NONE)
    score = part.score
    kind = "number small" if part.small else "number"
    text = f"{units.percent(score.share, 0)} {units.interval(score.low, score.high, 0)}"
    return Cell(text, href, kind, (score.share, score.low, score.high))


def percent(score: Score | None) -> str:
    """A score's share as text."""
    return units.percent(score.share) if score else units.NONE


def number(text: str) -> Cell:
    """A cell set to the right."""
    return Cell(text, kind="number")


def rule_judgements(rows: Sequence[RunRow]) -> list[str]:
    """The rules that judge by execution and that at least one run carries, in table order."""
    return [rule for rule in (*RULES, "suite") if any(rule in row.scores for row in rows)]


def rule_effect(row: RunRow, rule: str) -> float | None:
    """Share called right by `rule` less that by the default rule, over the items that both judge; None where none."""
    both = _judged_by_both(row, rule)
    return sum(other - one for one, other in both) / len(both) if both else None


def _judged_by_both(row: RunRow, rule: str) -> list[tuple[bool, bool]]:
    verdicts = zip(row.answers.verdicts(), row.answers.verdicts(rule), strict=True)
    return [(bool(one), bool(other)) for one, other in verdicts if one is not None and other is not None]
