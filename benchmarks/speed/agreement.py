"""Agreement with Spider's published test-suite evaluator on what two systems answered; writes reports/agreement.md.

    python benchmarks/speed/agreement.py [--out reports/agreement.md]

Causes are found by asking, not by hand: gold and prediction are run on the same SQLite file, and the audit says where
the gold's LIMIT leaves a choice.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import published  # noqa: E402

from harness.dialect import open_sqlite  # noqa: E402
from harness.records import RULES, Item, Verdict  # noqa: E402
from harness.scoring import audit, score  # noqa: E402


def main() -> None:
    """Score both systems and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "agreement.md")
    chosen = parser.parse_args()
    items = published.spider()
    lines = [
        "# Agreement with the published evaluator",
        "",
        "Spider dev, 1,034 items over 20 databases, golds and predictions run in DuckDB; `official` is the verdict of",
        "Spider's test-suite evaluator (single database, SQLite) that came with the predictions. Made by",
        "`python benchmarks/speed/agreement.py`.",
        "",
        "| system | official | " + " | ".join(f"`{rule}`" for rule in RULES) + " | agreement of `test_suite` |",
        "|---|---|" + "---|" * len(RULES) + "---|",
    ]
    details: list[str] = []
    for system in published.SYSTEMS:
        rows = published.predictions(system)
        verdicts = list(score(items, {name: str(row["sql"]) for name, row in rows.items()}, published.settings(2)))
        official = {name: bool(row["official_ex"]) for name, row in rows.items()}
        lines.append(_summary(system, verdicts, official))
        details += _details(system, items, verdicts, official)
    lines += ["", "In brackets: how far the rule moves the headline, in points from `test_suite`.", ""]
    chosen.out.write_text("\n".join(lines + details) + "\n", encoding="utf-8")
    print(chosen.out)


def _summary(system: str, verdicts: list[Verdict], official: dict[str, bool]) -> str:
    n = len(verdicts)
    rates = {rule: 100 * sum(bool(v.matches[rule]) for v in verdicts) / n for rule in RULES}
    agreed = sum(v.matches["test_suite"] == official[v.id] for v in verdicts)
    cells = [
        f"{rates[rule]:.1f} % ({rates[rule] - rates['test_suite']:+.1f})"
        if rule != "test_suite"
        else f"{rates[rule]:.1f} %"
        for rule in RULES
    ]
    share = 100 * sum(official.values()) / n
    return f"| {system} | {share:.1f} % | " + " | ".join(cells) + f" | {100 * agreed / n:.2f} % ({n - agreed} differ) |"


def _details(system: str, items: list[Item], verdicts: list[Verdict], official: dict[str, bool]) -> list[str]:
    by_id = {item.id: item for item in items}
    outcomes = Counter(v.outcome.value for v in verdicts)
    parts = [
        f"## {system}",
        "",
        "Outcomes: " + ", ".join(f"{name} {count}" for name, count in outcomes.most_common()) + ".",
        "",
    ]
    parts += ["| item | official | here | cause | gold | prediction |", "|---|---|---|---|---|---|"]
    differing = [v for v in verdicts if v.matches["test_suite"] != official[v.id]]
    tied = audit([by_id[v.id] for v in differing], published.settings(1)).findings.get("tie_under_limit", ())
    for verdict in differing:
        item = by_id[verdict.id]
        here = "right" if verdict.matches["test_suite"] else f"wrong ({verdict.outcome.value})"
        cells = (
            verdict.id,
            "right" if official[verdict.id] else "wrong",
            here,
            _cause(item, verdict, verdict.id in tied),
            _code(item.golds[0]),
            _code(verdict.sql),
        )
        parts.append("| " + " | ".join(cells) + " |")
    return [*parts, ""]


def _cause(item: Item, verdict: Verdict, tied: bool) -> str:
    """Why the two evaluators differ on an item."""
    gold, prediction = item.golds[0], verdict.sql
    try:
        ours = _answer(item.database.path, gold)
    except sqlite3.Error as error:
        return f"SQLite does not run the gold: {error}"
    try:
        theirs = _answer(item.database.path, prediction)
    except sqlite3.Error as error:
        return f"SQLite refuses the prediction ({error}), DuckDB has the construct and answers it"
    if verdict.outcome.value in ("unknown_table", "unknown_column", "syntax_error", "type_error", "runtime_error"):
        return f"SQLite runs the prediction, DuckDB does not: {verdict.reason.split('!')[0]}"
    if tied:
        return (
            "the gold's LIMIT cuts through tied rows: SQLite keeps another of them for the prediction, DuckDB the same"
        )
    same = sorted(map(repr, ours)) == sorted(map(repr, theirs))
    return f"not explained: SQLite's answers are {'the same' if same else 'not the same'} bag of rows"


def _answer(path: str, sql: str) -> list[tuple[object, ...]]:
    with closing(open_sqlite(path)) as connection:
        return connection.execute(sql).fetchall()


def _code(sql: str) -> str:
    return "`" + " ".join(sql.split()).replace("|", "\\|").replace("`", "'") + "`"


if __name__ == "__main__":
    main()
