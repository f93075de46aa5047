"""The reason of a failed prediction names what stands in its way once the dialect's own spelling is allowed for."""

from __future__ import annotations

import hashlib

import pytest

from harness.records import Database, Item
from harness.sandbox.pool import Pool
from harness.scoring import ScoreSettings, score_with

SCRIPT = "CREATE TABLE people(id INT, name TEXT, age INT); INSERT INTO people VALUES (1, 'Ann', 30), (2, 'Bob', 31)"
BASE = Database(key=hashlib.sha256(SCRIPT.encode()).hexdigest(), script=SCRIPT)
CASES = [
    # dialects, prediction, outcome, what the reason says, what it must not say
    ("sqlite", 'SELECT name FROM people WHERE name = "Chinese" AND nosuch = 3', "unknown_column", "nosuch", "Chinese"),
    ("sqlite", 'SELECT nosuch FROM people WHERE name = "Ann"', "unknown_column", "nosuch", "Ann"),
    ("sqlite", 'SELECT name FROM people WHERE name = "Ann" GROUP BY nosuch(1)', "runtime_error", "nosuch", '"Ann"'),
    ("sqlite", "SELECT name, max(age), nosuch FROM people", "unknown_column", "nosuch", "GROUP BY"),
    ("sqlite", 'SELECT name FROM persons WHERE name = "Ann"', "unknown_table", "persons", "Ann"),
    ("sqlite", "SELECT nome FROM people", "unknown_column", "nome", "first("),
    ("sqlite", "SELEC name FROM people", "syntax_error", "SELEC", ""),
    ("sqlite", "SELECT name FROM people WHERE", "syntax_error", "", ""),
    ("mysql", "SELECT `name` FROM `people` WHERE `nosuch` = 1 LIMIT 0, 5", "unknown_column", "nosuch", "syntax"),
    ("mysql", "SELECT `name` FROM `persons` LIMIT 0, 5", "unknown_table", "persons", "syntax"),
    ("duckdb mysql", "SELECT `name` FROM `persons` LIMIT 0, 5", "unknown_table", "persons", "syntax"),
    ("duckdb mysql", "SELECT `name` FROM `persons`", "unknown_table", "persons", "pg_settings"),
    ("duckdb mysql", "SELECT nome FROM people", "unknown_column", "nome", ""),
    ("duckdb", "SELECT name FROM persons LIMIT 0, 5", "syntax_error", "", ""),
    ("sqlite", 'UPDATE people SET age = 3 WHERE name = "Ann" AND nosuch = 1', "unknown_column", "nosuch", "Ann"),
]


@pytest.fixture(scope="module", params=sorted({case[0] for case in CASES}))
def running(request):
    settings = ScoreSettings(dialects=tuple(request.param.split()), workers=1, suite=False)
    with Pool("harness.scoring.judge:build", settings, workers=1) as pool:
        yield pool, settings, [case for case in CASES if case[0] == request.param]


def test_the_reason_names_what_a_person_can_mend(running):
    pool, settings, cases = running
    for _, prediction, outcome, says, hides in cases:
        gold = "UPDATE people SET age = 1" if prediction.startswith("UPDATE") else "SELECT name FROM people"
        (found,) = score_with(pool, [Item("x", "?", "", (gold,), BASE)], {"x": prediction}, settings)
        assert found.outcome.value == outcome, (prediction, found.reason)
        assert says in found.reason, (prediction, found.reason)
        assert not hides or hides not in found.reason, (prediction, found.reason)
