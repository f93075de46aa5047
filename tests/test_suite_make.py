# ruff: noqa: E501 -- a statement is read more easily on one line
"""Suites made in sandboxed workers, and equivalent spellings that no suite may call wrong."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import duckdb
import pytest

from benchmarks.speed.rewrites import REWRITES
from benchmarks.speed.rewrites_keys import KEY_REWRITES
from benchmarks.speed.rewrites_own import OWN_REWRITES
from benchmarks.speed.suite_false_alarms import rewritten, told_apart
from benchmarks.speed.suite_items import SuiteItem
from harness.records import Database, Item
from harness.suite import make
from harness.suite.cache import SuiteCache
from harness.suite.distill import build_suite
from harness.suite.make import item_key, make_suites
from harness.suite.neighbours import parse
from harness.suite.others import MOST, others_of, schema_golds
from harness.suite.reading import schema_of_script
from harness.suite.record import SuiteSettings
from harness.suite.task import MakerOptions
from tests.test_suite import SCHEMA

QUICK = MakerOptions(settings=SuiteSettings(candidates=6, patience=3))
GOLDS = (
    "SELECT DISTINCT s.country FROM singer AS s JOIN concert AS c ON s.singer_id = c.singer_id WHERE c.year BETWEEN 2014 AND 2016",
    "SELECT s.name FROM singer AS s WHERE s.country = 'France' AND s.singer_id IN (SELECT c.singer_id FROM concert AS c WHERE c.year = 2014 OR c.year = 2016)",
    "SELECT country, COUNT(name), AVG(age) FROM singer WHERE age > 20 AND country <> 'France' GROUP BY country HAVING COUNT(*) > 1",
    "SELECT country FROM singer GROUP BY country",
    "SELECT name FROM singer UNION SELECT name FROM stadium",
    "SELECT name, age FROM singer WHERE country IN ('France', 'Norway') ORDER BY age DESC LIMIT 2",
    "SELECT COUNT(*) FROM concert",
)


def item(name: str, gold: str, script: str = SCHEMA) -> Item:
    return Item(name, "?", script, (gold,), Database(key=f"key-{len(script)}", script=script))


def test_suites_come_in_the_order_of_the_items_and_from_the_cache_the_second_time(tmp_path):
    wanted = [item(str(i), gold) for i, gold in enumerate(GOLDS[:3])] + [item("broken", "SELECT 1", "CREATE TABL x")]
    cache = SuiteCache(tmp_path)
    first = list(make_suites(wanted, QUICK, cache, workers=1))
    second = list(make_suites([wanted[2], wanted[0], item("new", GOLDS[6]), wanted[1]], QUICK, cache, workers=1))
    assert [bool(s.witnesses) for (s,) in first] == [True, True, True, False]
    assert "does not load" in first[3][0].reason
    assert (second[0], second[1], second[3]) == (first[2], first[0], first[1])
    assert second[2][0].witnesses
    assert (cache.hits, cache.misses) == (3, 5)


def test_a_gold_that_several_items_share_is_asked_once(monkeypatch):
    asked = []
    run = make.Pool.run
    monkeypatch.setattr(make.Pool, "run", lambda pool, jobs: run(pool, (asked.append(j) or j for j in jobs)))
    suites = list(make_suites([item(str(i), GOLDS[i % 2]) for i in range(6)], QUICK, workers=1))
    assert len(asked) == 2
    assert suites[0] == suites[2] == suites[4] != suites[1]


def test_each_gold_of_an_item_has_a_suite_of_its_own():
    both = replace(item("a", GOLDS[0]), golds=(GOLDS[0], GOLDS[3]))
    ((one, two),) = make_suites([both], QUICK, workers=1)
    assert one.witnesses
    assert two == next(make_suites([item("b", GOLDS[3])], QUICK, workers=1))[0]


def test_other_golds_change_what_is_known_of_a_suite_and_none_of_its_witnesses(tmp_path):
    cache, wanted = SuiteCache(tmp_path), [item("a", GOLDS[3]), item("b", GOLDS[6])]
    bare = list(make_suites(wanted, QUICK, cache, workers=1))
    golds = schema_golds(wanted)
    known = list(make_suites(wanted, QUICK, cache, workers=1, golds=golds))
    assert [s.witnesses for (s,) in known] == [s.witnesses for (s,) in bare]
    assert [(s.others, s.others_missed) for (s,) in known] == [(1, 0)] * 2
    assert list(make_suites(wanted, QUICK, SuiteCache(tmp_path), workers=1)) == bare
    again = SuiteCache(tmp_path)
    assert list(make_suites(wanted, QUICK, again, workers=1, golds=golds)) == known
    assert again.misses == 0


def test_golds_of_a_schema_do_not_depend_on_the_order_of_the_items():
    wanted = [item(str(i), f"SELECT {i}") for i in range(60)] + [item("own", "SELECT 1", "CREATE TABLE t (a INT)")]
    golds = schema_golds(wanted)
    assert golds == schema_golds(reversed(wanted))
    assert [len(found) for found in golds.values()] == [MOST]
    assert len(others_of(wanted[0], golds)) >= MOST - 1
    assert others_of(wanted[-1], golds) == ()


def test_golds_of_very_many_schemas_take_no_memory_of_the_parent():
    first = item("first", "SELECT 1")
    many = (replace(first, golds=(f"SELECT {n}", "SELECT 0"), database=Database(key=f"{n:064}")) for n in range(5_000))
    tracemalloc.start()
    golds = schema_golds(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(golds[f"{4_999:064}"]) == {"SELECT 4999", "SELECT 0"}
    assert peak < 500_000


def test_every_database_of_a_made_suite_loads_and_the_gold_answers(tmp_path):
    ((suite,),) = make_suites([item("a", GOLDS[0])], QUICK, workers=1)
    for script in suite.databases:
        with duckdb.connect() as connection:
            connection.execute(script)
            assert connection.execute(GOLDS[0]).description


def test_a_duckdb_file_has_suites_that_keep_its_keys(tmp_path):
    path = tmp_path / "shop.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, name VARCHAR NOT NULL);"
            "CREATE TABLE sale (customer_id INTEGER REFERENCES customer (customer_id), price DOUBLE CHECK (price > 0));"
            "INSERT INTO customer VALUES (1, 'Ida'); INSERT INTO sale VALUES (1, 2.5);"
        )
    asked = Item(
        "a", "?", "", ("SELECT name FROM customer NATURAL JOIN sale WHERE price > 2",), Database("k", path=str(path))
    )
    ((suite,),) = make_suites([asked], QUICK, workers=1)
    assert suite.witnesses
    assert suite.violations == 0
    assert "FOREIGN KEY" in suite.schema
    assert "NOT NULL" in suite.schema


def test_a_gold_that_eats_its_worker_costs_its_own_suite_only():
    greedy = item("greedy", "SELECT len(range(CAST(1e10 AS BIGINT))) FROM singer")
    suites = [suite for (suite,) in make_suites([greedy, item("b", GOLDS[0])], QUICK, workers=1)]
    assert suites[0].reason
    assert suites[1].witnesses


def test_a_dialect_changes_the_key_and_the_workers_do_not():
    one = item("a", GOLDS[0])
    assert item_key(one, QUICK) != item_key(one, MakerOptions(("sqlite",), QUICK.settings))
    assert item_key(one, QUICK) == item_key(one, MakerOptions(settings=QUICK.settings, memory_bytes=2**29))


@pytest.mark.parametrize("gold", GOLDS)
def test_equivalent_spellings_are_never_told_apart(gold):
    schema = schema_of_script(SCHEMA)
    with duckdb.connect() as connection:
        asked = SuiteItem("x", gold, schema, connection, ())
        suite = build_suite(schema, gold, SuiteSettings(candidates=20, patience=8))
        judged = list(told_apart(asked, suite))
    assert suite.witnesses
    assert len(judged) >= 2
    assert all(found.databases for found in judged)
    assert [found for found in judged if found.witness is not None] == []


KEYED = (
    "SELECT c.title, COUNT(*) FROM concert AS c GROUP BY c.title",
    "SELECT COUNT(DISTINCT singer_id) FROM singer WHERE age > 20",
    "SELECT s.singer_id, s.name FROM singer AS s WHERE s.age > 20",
    "SELECT ANY_VALUE(s.name), COUNT(*) FROM singer AS s JOIN concert AS c ON s.singer_id = c.singer_id GROUP BY s.singer_id",
    "SELECT COUNT(*) FROM singer",
)


def test_what_keys_make_equal_is_never_told_apart():
    schema = schema_of_script(SCHEMA.replace("singer_id INTEGER REFERENCES", "singer_id INTEGER NOT NULL REFERENCES"))
    met = set()
    for gold in KEYED:
        with duckdb.connect() as connection:
            suite = build_suite(schema, gold, SuiteSettings(candidates=12, patience=6))
            judged = list(told_apart(SuiteItem("x", gold, schema, connection, ()), suite))
        met |= {found.kind for found in judged if found.databases}
        assert [found for found in judged if found.witness is not None] == []
    assert met >= {rewrite.__name__ for rewrite in KEY_REWRITES}


def test_a_rewrite_that_is_the_golds_own_tree_in_other_spaces_is_not_counted():
    assert "commute" not in {kind for kind, _ in rewritten("select  name from singer")}
    assert all(sql != parse(gold).sql("duckdb") for gold in GOLDS for _, sql in rewritten(gold))


def test_the_golds_above_meet_most_rewrites():
    assert len({kind for gold in GOLDS for kind, _ in rewritten(gold)}) >= 20 <= len(REWRITES)
    assert {kind for gold in GOLDS for kind, _ in rewritten(gold)} > {rewrite.__name__ for rewrite in OWN_REWRITES}
