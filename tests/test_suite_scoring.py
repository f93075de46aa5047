# ruff: noqa: E501 -- a statement is read more easily on one line
"""Scoring with suites: luck is exposed, shown so that a person can follow it, and never seen where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import duckdb
import pytest

from harness.records import Database, Generation, Item
from harness.sandbox.engine import Failure
from harness.sandbox.pool import Pool
from harness.scoring import ScoreSettings, score_with, witness
from harness.scoring.judge import Judge
from harness.scoring.score_items import JUDGE
from harness.scoring.suites import maker_options
from harness.scoring.witness import SuiteRuling
from harness.suite.cache import SuiteCache
from harness.suite.make import make_suites

TABLES = (
    "CREATE TABLE city (city_id INTEGER PRIMARY KEY, name VARCHAR, people INTEGER, founded DATE);"
    "CREATE TABLE visit (city_id INTEGER REFERENCES city (city_id), guest VARCHAR, nights INTEGER);"
)
ROWS = "INSERT INTO city VALUES (1, 'Ayr', 40, '1900-01-01'), (2, 'Bath', 8, '1950-01-01'); INSERT INTO visit VALUES (1, 'Ida', 2);"
BIG, EVERY = "SELECT name FROM city WHERE people > 5", "SELECT name FROM city"
DRAWN = "SELECT name FROM city WHERE random() < 2"
LATE = "SELECT name FROM city WHERE founded > '1800-01-01'"
LONG = "DELETE FROM visit WHERE nights > 1"

LUCKY = (
    "SELECT name FROM city WHERE people > 5 AND people < 1000000",
    "SELECT name FROM city WHERE people > 5 AND name <> 'Quebec'",
    "SELECT name FROM city WHERE people > 5 OR name = 'Quebec'",
    "SELECT name FROM city WHERE people > 5 AND founded < '2190-05-05'",
    "SELECT name FROM city WHERE people > 5 AND city_id NOT IN (SELECT city_id FROM visit WHERE nights = 777)",
    "SELECT name FROM city WHERE people > 5 LIMIT 17",
)
"""Right on every kept witness of BIG: only the prediction's own constants expose them."""
RIGHT = (
    "SELECT name FROM city WHERE people >= 6",
    "SELECT name FROM city WHERE NOT people <= 5",
    "SELECT name FROM city WHERE people > 2 + 3",
    "SELECT name FROM city WHERE people > 5 AND (name <> 'Quebec' OR name = 'Quebec' OR name IS NULL)",
    "SELECT CASE WHEN 1 = 1 THEN name ELSE 'Quebec' END FROM city WHERE people * 10 > 50",
)
CASES = {
    **{sql: ((BIG,), sql) for sql in (*LUCKY, *RIGHT)},
    "all": ((BIG,), EVERY),
    "again": ((BIG,), LUCKY[0] + " "),
    "aliased": ((BIG,), "SELECT c.name FROM city AS c WHERE 5 < c.people"),
    "wrong": ((BIG,), "SELECT guest FROM visit"),
    "fails": ((BIG,), "SELECT name FROM city WHERE people > 5 AND people > (SELECT nights FROM visit)"),
    "writes luckily": ((LONG,), "DELETE FROM visit WHERE nights > 1 AND nights < 1000000"),
    "writes": ((LONG,), "DELETE FROM visit WHERE nights >= 2"),
    "second gold": ((EVERY, BIG), "SELECT name FROM city WHERE people >= 6"),
    "second gold, turned": ((BIG, EVERY), "SELECT name FROM city WHERE city_id = city_id"),
    "second gold without a suite": ((BIG, DRAWN), "SELECT c.name FROM city AS c"),
    "no gold": ((EVERY, BIG), "SELECT name FROM city WHERE people >= 7"),
    "vacuous": (("SELECT name FROM city WHERE people > 5 AND people < 3",), "SELECT 1"),
    "no suite": (("SELECT name FROM city WHERE random() > 2",), "SELECT 1"),
}
SETTINGS = ScoreSettings(workers=1, suite=True, suite_databases=4)


def item(name: str, *golds: str) -> Item:
    return Item(name, "?", TABLES + ROWS, golds, Database(key="towns", script=TABLES + ROWS))


ITEMS = [item(name, *golds) for name, (golds, _) in CASES.items()]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def found(cache):
    with Pool(JUDGE, SETTINGS, workers=1, memory_bytes=SETTINGS.memory_bytes) as pool:
        given = {name: sql for name, (_, sql) in CASES.items()}
        return {v.id: v for v in score_with(pool, ITEMS, given, replace(SETTINGS, cache_dir=cache))}


def test_a_lucky_match_comes_with_rows_that_anybody_can_load_and_both_answers(found):
    lucky = found["all"]
    assert (lucky.execution_match, lucky.suite_match) == (True, False)
    case = json.loads(lucky.witness_case)
    assert case["witness"] == lucky.suite_witness
    with duckdb.connect() as connection:
        connection.execute(TABLES + case["inserts"])
        gold, answer = (connection.execute(sql).fetchall() for sql in (BIG, EVERY))
    assert sorted(map(repr, case["gold"]["rows"])) == sorted(repr(list(row)) for row in gold)
    assert case["answer"]["total"] == len(answer) > len(gold)
    assert case["answer"]["only"] == min(len(answer) - len(gold), 12)


def test_a_match_that_holds_and_a_miss_have_no_witness_to_show(found):
    for verdict in (found[RIGHT[0]], found["wrong"]):
        assert (verdict.suite_witness, verdict.witness_case) == (None, "")
    assert (found["wrong"].execution_match, found["wrong"].suite_match) == (False, False)


def test_a_prediction_that_fails_on_a_witness_is_shown_with_its_error(found):
    assert found["fails"].suite_match is False
    assert "subquery" in json.loads(found["fails"].witness_case)["answer"]["error"]


def test_the_golds_own_tree_is_not_asked_and_counts_as_a_match(found):
    verdict = found["aliased"]
    assert (verdict.string_match, verdict.exact_match, verdict.suite_match) == (False, True, True)


def test_a_long_witness_is_cut_and_says_so():
    text = witness._case(0, ("INSERT INTO t VALUES (" + "1, " * 3000 + "1)",), witness._Told({}, {}))
    inserts = json.loads(text)["inserts"]
    assert len(inserts) <= 2000
    assert "cut" in inserts.splitlines()[-1]


@pytest.mark.parametrize("lucky", LUCKY)
def test_luck_that_only_the_predictions_own_constants_expose_is_exposed(found, cache, lucky):
    verdict = found[lucky]
    assert (verdict.execution_match, verdict.suite_match) == (True, False)
    options = maker_options(SETTINGS)
    ((kept,),) = make_suites([item("0", BIG)], options, SuiteCache(cache), workers=1)
    assert verdict.suite_witness >= len(kept.witnesses)


@pytest.mark.parametrize("right", RIGHT)
def test_constants_of_its_own_do_not_make_an_equal_prediction_wrong(found, right):
    assert (found[right].execution_match, found[right].suite_match) == (True, True)


def test_writing_predictions_are_asked_round_their_own_constants_too(found):
    assert [found[name].suite_match for name in ("writes luckily", "writes")] == [False, True]
    assert json.loads(found["writes luckily"].witness_case)["gold"]["table"] == "visit"


def test_the_same_prediction_is_judged_on_the_same_rows_again(found):
    assert found["again"].witness_case == found[LUCKY[0]].witness_case


def test_each_gold_is_judged_on_its_own_witnesses(found):
    # the shipped rows tell neither gold from the other
    assert (found["second gold"].suite_match, found["second gold"].gold_index) == (True, 1)
    assert (found["second gold, turned"].suite_match, found["second gold, turned"].gold_index) == (True, 1)
    assert (found["no gold"].execution_match, found["no gold"].suite_match) == (True, False)


def test_an_answer_that_meets_a_gold_without_witnesses_is_not_called_luck(found):
    verdict = found["second gold without a suite"]
    assert (verdict.execution_match, verdict.suite_match, verdict.witness_case) == (True, None, "")


def test_an_answer_is_not_called_luck_while_another_gold_could_not_be_asked(monkeypatch):
    def fails() -> None:
        raise Failure("timeout", "interrupted")

    judge = Judge.__new__(Judge)
    judge._watchdog, judge._desk = SimpleNamespace(stage=0), SimpleNamespace(discard=lambda: None)
    monkeypatch.setattr(judge, "_on_witnesses", lambda *_: SuiteRuling(False, 0, "{}"))
    case = SimpleNamespace(matched=object(), matched_at=0, decide_again=fails)
    document = {"outcome": "correct", "truncated": False, "exact_match": False, "sql": EVERY}
    asked = SimpleNamespace(suites=(None, None), suite_always=False)
    assert judge._suite(asked, case, document, None) == {"suite_match": None}


@pytest.mark.parametrize("golds", [(BIG, EVERY, LATE), (LATE, BIG, EVERY), (EVERY, LATE, BIG)])
def test_an_answer_that_is_one_of_the_golds_in_other_words_is_never_luck_whatever_their_order(cache, golds):
    ways = ("SELECT c.name FROM city AS c WHERE {}", "WITH w AS (SELECT * FROM city) SELECT name FROM w WHERE {}")
    tests = ("NOT people <= 5", "city_id = city_id", "founded IS NOT NULL AND NOT founded <= '1800-01-01'")
    given = {f"{i}/{j}": way.format(t) for i, way in enumerate(ways) for j, t in enumerate(tests)}
    settings = replace(SETTINGS, cache_dir=cache)
    with Pool(JUDGE, settings, workers=1, memory_bytes=settings.memory_bytes) as pool:
        found = list(score_with(pool, [item(name, *golds) for name in given], given, settings))
    assert [(v.execution_match, v.suite_match) for v in found] == [(True, True)] * len(given)


def test_verdicts_say_whether_their_items_tell_anything(found):
    assert [found[name].discriminating for name in ("wrong", "vacuous", "no suite")] == [True, False, None]


@pytest.mark.parametrize(
    "generation",
    [Generation("all", "SELECT name FROM tow", finished=False), Generation("all", "no idea"), Generation("all", "")],
    ids=["truncated", "no_sql", "empty"],
)
def test_an_answer_that_never_ran_is_wrong_on_the_suite_too_so_that_its_share_has_the_same_items(cache, generation):
    with Pool(JUDGE, SETTINGS, workers=1, memory_bytes=SETTINGS.memory_bytes) as pool:
        settings = replace(SETTINGS, cache_dir=cache)
        (verdict,) = score_with(pool, [ITEMS[list(CASES).index("all")]], {"all": generation}, settings)

    assert (verdict.execution_match, verdict.suite_match) == (False, False)
