"""What a verdict shows of the answers: one digest an answer for votes, both tables where they differ."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from harness.records import Database, Generation, Item
from harness.scoring import ScoreSettings, score

SCRIPT = "CREATE TABLE t(i INT, s TEXT); INSERT INTO t SELECT range, 'row ' || range FROM range(40)"
BASE = Database(key=hashlib.sha256(SCRIPT.encode()).hexdigest(), script=SCRIPT)
GOLD = "SELECT i, s FROM t"
GIVEN = {
    "same text": "select i, s from t",
    "other words": "SELECT i + 0.0, s FROM t ORDER BY i DESC",
    "turned": "SELECT s, i FROM t",
    "less": "SELECT i, s FROM t WHERE i <> 7",
    "more": "SELECT i, s FROM t UNION ALL SELECT 77, NULL",
    "narrow": "SELECT i FROM t",
    "fails": "SELECT nosuch FROM t",
    "writes": "DELETE FROM t",
    "several": "SELECT 1; SELECT 2",
    "wide": "SELECT " + ", ".join(["s"] * 40) + " FROM t",
    "long": "SELECT i, repeat('x', 1000) FROM t",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    settings = ScoreSettings(workers=2, suite=False, cache_dir=str(tmp_path_factory.mktemp("golds")))
    items = [Item(name, "?", "", (GOLD,), BASE) for name in GIVEN]
    fresh = {v.id: v for v in score(items, GIVEN, settings)}
    again = {v.id: v for v in score(items, GIVEN, settings)}
    assert {n: replace(v, execute_seconds=0.0) for n, v in fresh.items()} == {
        n: replace(v, execute_seconds=0.0) for n, v in again.items()
    }
    return fresh


def test_equal_answers_have_equal_digests_and_what_did_not_run_has_none(found):
    assert found["same text"].answer_digest == found["other words"].answer_digest != ""
    assert found["less"].answer_digest not in ("", found["more"].answer_digest, found["same text"].answer_digest)
    for name in ("fails", "writes", "several"):
        assert found[name].answer_digest == ""


def test_both_tables_are_shown_where_both_ran_and_differ_the_rows_that_differ_first(found):
    for name in ("same text", "other words", "turned", "fails", "writes", "several"):
        assert (found[name].table, found[name].gold_table) == ("", "")
    less, gold = json.loads(found["less"].table), json.loads(found["less"].gold_table)
    assert (less["total"], less["only"], gold["total"], gold["only"]) == (39, 0, 40, 1)
    assert gold["rows"][0] == ["7", "row 7"]
    assert gold["columns"] == ["i", "s"]
    more = json.loads(found["more"].table)
    assert more["rows"][0] == ["77", None]
    assert more["only"] == 1


def test_what_is_shown_is_small(found):
    for name in ("narrow", "wide", "long", "less"):
        for text in (found[name].table, found[name].gold_table):
            shown = json.loads(text)
            assert len(shown["rows"]) <= 12
            assert len(shown["columns"]) <= 16
            assert all(len(row) <= 16 and all(cell is None or len(cell) <= 60 for cell in row) for row in shown["rows"])


def test_states_have_digests_too_and_a_cut_answer_has_none():
    gold = "UPDATE t SET s = 'x' WHERE i = 1"
    given = {
        "same": "update t set s = 'x' where i = 1",
        "right": "UPDATE t SET s = 'x' WHERE i < 2 AND i > 0",
        "wrong": "UPDATE t SET s = 'x'",
    }
    found = {
        v.id: v
        for v in score([Item(n, "?", "", (gold,), BASE) for n in given], given, ScoreSettings(workers=1, suite=False))
    }
    assert found["same"].answer_digest == found["right"].answer_digest != found["wrong"].answer_digest != ""
    cut = Generation(id="x", completion="SELECT i FROM t WHERE i > 1", finished=False)
    (verdict,) = score([Item("x", "?", "", (GOLD,), BASE)], {"x": cut}, ScoreSettings(workers=1, suite=False))
    assert verdict.outcome.value == "truncated"
    assert (verdict.answer_digest, verdict.table, verdict.gold_table) == ("", "", "")
