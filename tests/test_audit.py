"""Properties of the audit: what is unusable, what is odd, what the training set already has."""

from __future__ import annotations

import hashlib

import duckdb
import pytest

from harness.records import Database, Item
from harness.scoring import FINDINGS, ScoreSettings, audit, score

SCRIPT = (
    "CREATE TABLE t(i INT, s TEXT, v INT); INSERT INTO t VALUES (1, 'a', 7), (2, 'b', 7), (3, 'c', 9), (4, 'd', 9);"
)
SETTINGS = ScoreSettings(workers=2, gold_seconds=5.0)


def item(name: str, *golds: str, script: str = SCRIPT, question: str = "") -> Item:
    base = Database(key=hashlib.sha256(script.encode()).hexdigest(), script=script)
    return Item(id=name, question=question or name, context=script, golds=golds, database=base)


ITEMS = [
    item("good", "SELECT s FROM t ORDER BY i"),
    item("broken", "SELECT nope FROM t"),
    item("unloadable", "SELECT 1", script="CREATE TABLE ("),
    item("random", "SELECT random()"),
    item("empty", "SELECT s FROM t WHERE i > 9"),
    item("tie", "SELECT s FROM t ORDER BY v LIMIT 1"),
    item("no tie", "SELECT s FROM t ORDER BY i LIMIT 1"),
    item("first come", "SELECT first(s) FROM t"),
    item("a list", "SELECT string_agg(s, ',') FROM t"),
    item("an ordered list", "SELECT string_agg(s, ',' ORDER BY s) FROM t"),
    item("clock", "SELECT s FROM t WHERE current_date > DATE '2020-01-01'"),
    item("idle", "DELETE FROM t WHERE i = 99"),
    item("busy", "DELETE FROM t WHERE i = 1"),
    item("second gold", "SELECT nope FROM t", "SELECT s FROM t WHERE i = 1"),
    item("twice", "SELECT 1", question="good"),
]


@pytest.fixture(scope="module")
def found():
    train = [item("t1", "SELECT 7", question="GOOD "), item("t2", "select s  from t where i > 9;", question="other")]
    return audit(ITEMS, SETTINGS, train)


def test_unusable_golds_are_counted_by_reason_and_named(found):
    assert found.n == len(ITEMS)
    assert found.unusable == {"gold_error": 1, "gold_unloadable": 1, "gold_unstable": 1}
    assert found.unusable_ids["gold_error"] == ("broken",)
    assert found.usable == len(ITEMS) - 3
    assert "nope" in found.reasons["broken"]


def test_findings_name_their_items(found):
    assert found.findings["empty"] == ("empty",)
    assert found.findings["tie_under_limit"] == ("tie",)
    assert found.findings["nondeterministic"] == ("first come", "a list")
    assert found.findings["clock"] == ("clock",)
    assert found.findings["random"] == ("random",)
    assert found.findings["no_op_write"] == ("idle",)
    assert found.findings["same_question"] == ("twice",)
    assert set(found.findings) <= set(FINDINGS)


def test_what_the_training_set_has_is_found_whatever_its_spelling(found):
    assert found.findings["train_prompt"] == ("good", "twice")
    assert found.findings["train_gold"] == ("empty",)


def test_usable_is_exactly_what_can_be_scored(found):
    verdicts = list(score(ITEMS, dict.fromkeys((i.id for i in ITEMS), "SELECT 1"), SETTINGS))
    refused = {v.id for v in verdicts if v.outcome.is_gold_fault}
    assert refused == {name for ids in found.unusable_ids.values() for name in ids}


def test_roads_add_up_to_the_usable_items(found):
    assert sum(found.roads.values()) == found.usable


def test_an_audit_says_the_same_whatever_the_workers(found):
    again = audit(ITEMS, ScoreSettings(workers=1, gold_seconds=5.0))
    assert again.unusable_ids == found.unusable_ids
    both = set(found.findings) - {"train_prompt", "train_gold"}
    assert {k: again.findings[k] for k in both} == {k: found.findings[k] for k in both}


def test_a_gold_that_hangs_is_named():
    slow = item("slow", "SELECT count(*) FROM range(10000000) a, range(10000000) b")
    found = audit([slow, ITEMS[0]], ScoreSettings(workers=1, gold_seconds=0.5))
    assert found.unusable == {"gold_error": 1}
    assert found.usable == 1


def test_a_database_that_memory_does_not_hold_is_told_with_the_setting_that_would(tmp_path):
    path = tmp_path / "big.duckdb"
    script = "CREATE TABLE t AS SELECT repeat('x', 1000) || i AS a FROM range(300000) r(i);"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t (a INT)")
    items = [
        Item(name, "q", "", ("SELECT a FROM t",), database)
        for name, database in (("file", Database("f", path=str(path))), ("script", Database("s", script=script)))
    ]
    found = audit(items, ScoreSettings(workers=1, memory_bytes=2**28, suite=False))
    assert found.unusable == {"gold_unloadable": 2}
    assert all("score.memory_bytes" in reason for reason in found.reasons.values()), found.reasons
