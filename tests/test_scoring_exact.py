"""Exact match as scoring asks it: names resolved by the item's own tables, the same with and without cached golds."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import replace

import pytest

from harness.records import Database, Item
from harness.scoring import ScoreSettings, score

SCRIPT = (
    "CREATE TABLE people(id INT, name TEXT, age INT); CREATE TABLE pets(person INT, kind TEXT);"
    "INSERT INTO people VALUES (1, 'Ann', 30), (2, 'Bob', 31); INSERT INTO pets VALUES (1, 'cat'), (2, 'dog');"
)
PAIRS = [
    # gold, prediction, exact, structural
    (
        "SELECT name FROM people WHERE id IN (SELECT person FROM pets)",
        "SELECT p.name FROM people p WHERE p.id IN (SELECT pets.person FROM pets)",
        True,
        True,
    ),
    (
        "SELECT name FROM people JOIN pets ON id = person",
        "SELECT name FROM pets JOIN people ON person = id",
        True,
        True,
    ),
    ('SELECT name FROM people WHERE name = "Ann"', "SELECT name FROM people WHERE name = 'Ann'", True, True),
    ('SELECT name FROM people WHERE name = "Ann"', "SELECT name FROM people WHERE name = 'ann'", False, True),
    ('SELECT person FROM pets WHERE kind = "person"', "SELECT person FROM pets WHERE kind = 'person'", False, False),
    (
        "SELECT name FROM people WHERE id IN (SELECT person FROM pets WHERE age > 30)",
        "SELECT name FROM people WHERE id IN (SELECT person FROM pets WHERE people.age > 30)",
        True,
        True,
    ),
    ("SELECT name FROM people WHERE age > 30", "SELECT name FROM people WHERE age > 29", False, True),
    ("SELECT name FROM people", "SELECT name FROM people WHERE age > 0", False, False),
    ("SELECT name FROM people", "SELECT nosuch FROM people", False, False),
]


def items_of(database: Database) -> tuple[list[Item], dict[str, str]]:
    items = [Item(str(n), "?", "", (gold,), database) for n, (gold, *_) in enumerate(PAIRS)]
    return items, {str(n): pair[1] for n, pair in enumerate(PAIRS)}


@pytest.mark.parametrize("kind", ["script", "file"])
def test_names_are_resolved_by_the_items_own_tables_with_cached_golds_too(kind, tmp_path):
    if kind == "file":
        path = tmp_path / "people.sqlite"
        with sqlite3.connect(path) as base:
            base.executescript(SCRIPT)
        database = Database(key="a file", path=str(path))
    else:
        database = Database(key=hashlib.sha256(SCRIPT.encode()).hexdigest(), script=SCRIPT)
    settings = ScoreSettings(dialects=("sqlite",), workers=1, suite=False, cache_dir=str(tmp_path / "cache"))
    items, given = items_of(database)
    fresh = list(score(items, given, settings))
    for (gold, prediction, exact, structural), found in zip(PAIRS, fresh, strict=True):
        assert (found.exact_match, found.structural_match) == (exact, structural), (gold, prediction, found)
        assert found.execution_match or not exact, (gold, prediction, found.reason)
    again = list(score(items, given, settings))
    assert [replace(v, execute_seconds=0.0) for v in again] == [replace(v, execute_seconds=0.0) for v in fresh]


def test_any_acceptable_gold_may_be_the_one_that_is_spelt_alike():
    base = Database(key=hashlib.sha256(SCRIPT.encode()).hexdigest(), script=SCRIPT)
    golds = ("SELECT count(*) FROM people", "SELECT 2", "SELECT count(*) FROM pets WHERE person IN (1, 2)")
    item = Item("x", "?", "", golds, base)
    (found,) = score(
        [item], {"x": "SELECT count(1) FROM pets WHERE person = 2 OR person = 1"}, ScoreSettings(suite=False)
    )
    assert found.execution_match
    assert found.gold_index == 0
    assert found.exact_match
    assert not found.string_match
