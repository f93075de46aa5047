"""What lies in a gold's witnesses, kind by kind, and that nothing in them breaks a key."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.speed.suite_constraints import broken
from harness.suite.neighbours import parse
from harness.suite.reading import schema_of_script
from harness.suite.witness import STRATEGIES, Plan, witness

SCHEMA = schema_of_script((Path(__file__).parent / "fixtures" / "suite" / "schema.sql").read_text())
GOLD = (
    "SELECT s.country, COUNT(*) FROM singer AS s JOIN concert AS c ON s.singer_id = c.singer_id "
    "JOIN stadium AS t ON t.stadium_id = c.stadium_id WHERE c.year > 2014 AND s.name LIKE 'Id%' "
    "AND t.opened > '2000-01-01' GROUP BY s.country ORDER BY COUNT(*) DESC"
)
LOOSE = (
    "CREATE TABLE singer (singer_id INT, name TEXT); CREATE TABLE concert (concert_id INT, singer_id INT, year INT);"
)


@pytest.fixture(scope="module", name="all_of_them")
def _all_of_them():
    plan = Plan(SCHEMA, parse(GOLD))
    return [witness(plan, number, "seed")[1] for number in range(3 * len(STRATEGIES))]


def some(all_of_them, holds) -> bool:
    return any(holds(rows) for rows in all_of_them)


def sizes(rows, table: str, column: str) -> Counter:
    return Counter(row[column] for row in rows[table])


KINDS = {
    "a bound and both its sides": lambda rows: {2013, 2014, 2015} <= {r["year"] for r in rows["concert"]},
    "a day and both its sides": lambda rows: (
        {"1999-12-31", "2000-01-01", "2000-01-02"} <= {str(r["opened"])[:10] for r in rows["stadium"]}
    ),
    "a text that matches the pattern": lambda rows: any(str(r["name"]).startswith("Id") for r in rows["singer"]),
    "a text that just misses it": lambda rows: any(
        str(r["name"]) in ("iD", "zzId", "I", "I~d") for r in rows["singer"]
    ),
    "NULL": lambda rows: any(r["country"] is None for r in rows["singer"]),
    "rows that are alike but for their key": lambda rows: (
        Counter((r["stadium_id"], r["singer_id"], r["title"], r["year"]) for r in rows["concert"]).most_common(1)[0][1]
        > 1
        if rows["concert"]
        else False
    ),
    "a parent without a child": lambda rows: bool(
        {r["singer_id"] for r in rows["singer"]} - {r["singer_id"] for r in rows["concert"]} and rows["concert"]
    ),
    "a child without a parent": lambda rows: any(r["singer_id"] is None for r in rows["concert"]),
    "a parent with several children": lambda rows: any(
        n > 1 for k, n in sizes(rows, "concert", "singer_id").items() if k is not None
    ),
    "groups of one and of many": lambda rows: (
        {n > 1 for k, n in sizes(rows, "singer", "country").items() if k is not None} == {True, False}
    ),
    "ties": lambda rows: any(n > 1 for k, n in sizes(rows, "singer", "age").items() if k is not None),
    "no ties": lambda rows: (
        len(rows["singer"]) > 4
        and max(sizes(rows, "singer", "age").values()) == 1
        and None not in sizes(rows, "singer", "age")
    ),
    "an empty table": lambda rows: not rows["concert"] and bool(rows["singer"]),
    "a predicate true of some rows and false of others": lambda rows: (
        {r["year"] > 2014 for r in rows["concert"] if r["year"] is not None} == {True, False}
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_witnesses_hold(kind, all_of_them):
    assert some(all_of_them, KINDS[kind])


def test_witnesses_break_no_implied_key_and_a_broken_one_is_seen():
    schema = schema_of_script(LOOSE)
    plan = Plan(schema, parse("SELECT name FROM singer JOIN concert USING (singer_id) WHERE year > 2014"))
    for number in range(2 * len(STRATEGIES)):
        assert list(broken(schema, witness(plan, number, "seed")[1])) == []
    singer = {"singer_id": 1, "name": "Ida"}
    concert = {"concert_id": None, "singer_id": 2, "year": 1}
    words = " ".join(broken(schema, {"singer": [singer, singer], "concert": [concert]}))
    assert all(part in words for part in ("comes twice", "is NULL", "not there"))


def test_witnesses_hold_all_of_it_without_any_shipped_row(all_of_them):
    plan = Plan(replace(SCHEMA, rows={}), parse(GOLD))
    bare = [witness(plan, number, "seed")[1] for number in range(3 * len(STRATEGIES))]
    assert [kind for kind, holds in KINDS.items() if not some(bare, holds)] == []
