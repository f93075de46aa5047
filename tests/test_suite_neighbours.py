"""Neighbours: each rule against its SQL fixture pairs, and what holds for all of them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from harness.suite.neighbours import RULES, Neighbour, neighbours, parse
from harness.suite.reading import schema_of_script

FIXTURES = Path(__file__).parent / "fixtures" / "suite"
SCHEMA = (FIXTURES / "schema.sql").read_text()
GOLD = (
    "SELECT s.name, COUNT(*) FROM singer AS s JOIN concert AS c ON s.singer_id = c.singer_id WHERE c.year > 2014 AND "
    "s.country = 'France' GROUP BY s.singer_id, s.name HAVING COUNT(*) >= 2 ORDER BY COUNT(*) DESC, s.name LIMIT 3"
)


def cases(rule: str) -> list[tuple[str, list[str]]]:
    """(gold, expected neighbours) of each paragraph of a fixture file."""
    found = []
    for paragraph in (FIXTURES / f"{rule}.sql").read_text().split("\n\n"):
        lines = [line.rstrip(";") for line in paragraph.splitlines() if line and not line.startswith("--")]
        if lines:
            found.append((lines[0], lines[1:]))
    return found


@pytest.fixture(scope="module")
def schema():
    return schema_of_script(SCHEMA)


def test_every_rule_has_a_fixture_and_every_fixture_a_rule():
    names = {path.stem for path in FIXTURES.glob("*.sql")} - {"schema"}
    assert names == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("rule", [rule.__name__ for rule in RULES])
def test_a_rule_makes_the_neighbours_its_fixture_shows(rule, schema):
    assert any(expected for _, expected in cases(rule))
    for gold, expected in cases(rule):
        made = [n.sql for n in neighbours(gold, schema) if n.rule == rule]
        earlier = {n.sql for n in neighbours(gold, schema) if n.rule != rule}
        assert made == [sql for sql in expected if sql not in earlier], gold


@pytest.mark.parametrize("rule", [rule.__name__ for rule in RULES])
def test_fixture_statements_are_sql_that_duckdb_reads(rule):
    with duckdb.connect() as connection:
        for gold, expected in cases(rule):
            for sql in (gold, *expected):
                assert connection.extract_statements(sql), sql


def test_no_neighbour_is_the_gold_and_none_comes_twice(schema):
    made = [n.sql for n in neighbours(GOLD, schema)]
    assert len(made) == len(set(made)) > 30
    assert parse(GOLD).sql("duckdb") not in made


def test_making_neighbours_leaves_no_trace_and_is_repeatable(schema):
    assert neighbours(GOLD, schema) == neighbours(GOLD, schema)


def test_a_limit_takes_from_every_rule_before_it_takes_twice(schema):
    few = neighbours(GOLD, schema, limit=12)
    every = neighbours(GOLD, schema)
    assert len(few) == 12
    assert len({n.rule for n in few}) == min(12, len({n.rule for n in every}))


@pytest.mark.parametrize("sql", ["", "not sql at all (", "SELECT 1; SELECT 2", "PRAGMA version", "SELECT" + "(" * 3000])
def test_what_cannot_be_taken_apart_has_no_neighbours(sql, schema):
    assert neighbours(sql, schema) == []


def test_comments_of_the_gold_do_not_reach_the_neighbours(schema):
    made = neighbours("SELECT name FROM singer -- the names\nWHERE age > 3 /* old */", schema)
    assert made
    assert not any("--" in n.sql or "/*" in n.sql for n in made)


def test_writing_golds_have_neighbours_in_where_and_set(schema):
    rules = {n.rule for n in neighbours("UPDATE singer SET age = 3, fee = 1.5 WHERE name = 'Ida' AND age > 2", schema)}
    assert {"comparison", "constant_value", "predicate_drop", "connective", "assignment", "projection"} <= rules
    assert Neighbour("DELETE FROM concert", "predicate_drop") in neighbours(
        "DELETE FROM concert WHERE year = 1", schema
    )
