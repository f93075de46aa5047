"""Is exact match sound? All of Spider train against other spellings of it, matched and executed, and near-misses.

PYTHONPATH=tests python benchmarks/speed/exact_match_table.py ../shared/data > reports/exact_match.md
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

from dialect_table import bag, connect, rows_of, run
from sql_spellings import near_miss, respell

from harness.answer import compare, order_plan
from harness.dialect import materialise_sqlite
from harness.sqltext import exact_match

DIALECTS = ("sqlite",)


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder with spider/")
    root = parser.parse_args().data / "spider"
    rng, counts, listed = random.Random(7), Counter[str](), []
    by_database: dict[str, list[str]] = {}
    for row in rows_of(root / "train.jsonl"):
        by_database.setdefault(row["db_id"], []).append(row["query"])
    for name, golds in by_database.items():
        connection = connect(DIALECTS)
        catalog = materialise_sqlite(root / "database" / name / f"{name}.sqlite", connection)
        for gold in golds:
            counts["golds"] += 1
            missed = near_miss(gold, rng)
            if missed is not None:
                counts["near-misses"] += 1
                counts["near-misses matched"] += exact_match(gold, missed[0], DIALECTS, catalog).exact
            spelt = respell(gold, rng)
            if spelt is None:
                counts["golds sqlglot cannot read"] += 1
                continue
            counts["other spellings"] += 1
            if not exact_match(gold, spelt[0], DIALECTS, catalog).exact:
                listed.append(("not matched", gold, spelt[0]))
                continue
            counts["other spellings matched"] += 1
            first, ran, _ = run(connection, gold, DIALECTS, catalog)
            second, _, why = run(connection, spelt[0], DIALECTS, catalog)
            if first is None or second is None:
                listed.append((f"does not run: {why}", gold, spelt[0]))
            elif bag(first.rows) == bag(second.rows) or compare(first, second, order_plan(ran)).matches["default"]:
                counts["matched and same answer"] += 1
            else:
                listed.append(("another answer", gold, spelt[0]))
        connection.close()
    command = "`PYTHONPATH=tests python benchmarks/speed/exact_match_table.py ../shared/data > reports/exact_match.md`"
    lines = ["# Exact match on all of Spider train", "", f"Made by {command}.", "", "| what | count |", "|---|---|"]
    lines += [f"| {what} | {count:,} |" for what, count in counts.items()]
    lines += ["", "| fault | gold | spelling |", "|---|---|---|"] if listed else []
    lines += ["| " + " | ".join(" ".join(part.split()).replace("|", "\\|") for part in one) + " |" for one in listed]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
