"""What audits and totals say of suites: strength, vacuity and luck, where a person or a script looks for them."""

from __future__ import annotations

import json
import random
from dataclasses import asdict

import duckdb
import pytest

import harness
from harness.cli import status
from harness.config.sections import ScoreChoice
from harness.evaluate.totals import Totals
from harness.records import Database, Generation, Item, Outcome, Verdict
from harness.scoring import ScoreSettings, audit_suites, score
from harness.store import load_items, read_run
from harness.suite.record import SuiteSettings

SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (7, 'x'), (8, 'y');"
GOLDS = (
    "SELECT b FROM t WHERE a > 5",
    "SELECT count(DISTINCT b) FROM t WHERE b <> 'z'",
    "SELECT a FROM t WHERE a > 5 AND a < 3",
    "SELECT b FROM t WHERE random() < 2",
)


@pytest.fixture(autouse=True)
def _small_search(monkeypatch):
    monkeypatch.setattr("harness.scoring.audit_strength.LARGER", SuiteSettings(candidates=20, seed=1))


def items() -> list[Item]:
    return [Item(str(i), "?", SCRIPT, (gold,), Database(key="k", script=SCRIPT)) for i, gold in enumerate(GOLDS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A benchmark of these golds, predictions of which one is lucky, and a cache for all tests."""
    place = tmp_path_factory.mktemp("bench")
    rows = [{"id": i, "sql_prompt": f"q{i}?", "sql_context": SCRIPT, "sql": gold} for i, gold in enumerate(GOLDS[:3])]
    (place / "bench.jsonl").write_text("\n".join(map(json.dumps, rows)))
    answers = [{"id": "0", "sql": "SELECT b FROM t"}, {"id": "1", "sql": GOLDS[1]}, {"id": "2", "sql": "SELECT 1"}]
    (place / "given.jsonl").write_text("\n".join(map(json.dumps, answers)))
    return place


def last_json(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_an_audit_tells_strength_vacuity_and_why_there_is_no_suite(folder):
    told: list[int] = []
    settings = ScoreSettings(workers=1, suite=True, cache_dir=str(folder / "cache"))
    found = audit_suites(items(), settings, progress=told.append)
    assert (found.n, found.with_suite, found.discriminating, found.vacuous_ids) == (4, 3, 2, ("2",))
    assert found.without == {"the gold's answer depends on chance": 1}
    assert found.sampled == 3
    assert found.killable >= found.killed > 15
    assert found.kill_rate > 0.9
    assert found.kill_rate_ci[0] < found.kill_rate
    assert told == [1, 2, 3, 4]


def test_the_golds_held_against_a_larger_search_do_not_depend_on_the_order(folder):
    settings = ScoreSettings(workers=1, suite=True, cache_dir=str(folder / "cache"))
    turned = items()
    random.Random(1).shuffle(turned)
    one, two = (audit_suites(asked, settings, {"3"}, sample=2) for asked in (items(), turned))
    assert (one.killed, one.killable, one.sampled) == (two.killed, two.killable, 2)


def test_harness_audit_reports_kill_rate_and_discriminating_share(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert status(["audit", "bench.jsonl", "score.workers=1", "score.cache_dir=cache"]) == 0
    out = capsys.readouterr()
    suite = json.loads(out.out)["suite"]
    assert suite["kill_rate"] == suite["killed"] / suite["killable"]
    assert suite["discriminating_share"] == pytest.approx(2 / 3)
    assert suite["vacuous_ids"] == ["2"]
    assert "kill rate" in out.err
    assert "discriminating: 66.7 %" in out.err


def test_harness_score_fills_the_suite_by_default_and_a_switch_turns_it_off(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    asked = ["score", "bench.jsonl", "given.jsonl", "score.workers=1", "score.cache_dir=cache"]
    assert status([*asked, "--out", "out"]) == 0
    out = capsys.readouterr()
    suite = json.loads(out.out)["suite"]
    assert (suite["n"], suite["lucky"]) == (3, 1)
    assert suite["discriminating"]["n"] == 2
    assert suite["discriminating"]["accuracy"] == 1.0
    assert suite["discriminating"]["suite_accuracy"] == 0.5
    assert "right by luck" in out.err
    rows = load_items(read_run("out")).to_pylist()
    assert [row["suite_match"] for row in rows] == [False, True, False]
    assert [row["discriminating"] for row in rows] == [True, True, False]
    assert json.loads(rows[0]["witness_case"])["inserts"].startswith("INSERT")
    assert status([*asked, "score.suite=false"]) == 0
    assert last_json(capsys)["suite"] is None


def test_the_library_python_and_the_commands_judge_by_the_same_defaults(folder):
    by_library, by_command = asdict(ScoreSettings()), ScoreChoice().model_dump()
    # a library keeps nothing unless it is told where
    shared = (by_library.keys() & by_command.keys()) - {"cache_dir"}
    assert {name: by_library[name] for name in shared} == {name: by_command[name] for name in shared}
    assert by_library["suite"]
    (verdict,) = score(items()[:1], {"0": "SELECT b FROM t"})
    assert (verdict.execution_match, verdict.suite_match) == (True, False)
    keep = {"score.cache_dir": str(folder / "cache"), "score.workers": 1}
    found = harness.score(str(folder / "bench.jsonl"), str(folder / "given.jsonl"), settings=keep)
    assert found.items(["suite_match"]).column(0).to_pylist() == [False, True, False]


def test_harness_witness_prints_databases_that_load_and_what_a_query_gives_on_them(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    asked = ["witness", "bench.jsonl", "0", "score.workers=1", "score.cache_dir=cache"]
    assert status([*asked, "--sql", "SELECT b FROM t"]) == 0
    document = last_json(capsys)
    (suite,) = document["suites"]
    for script in suite["databases"]:
        with duckdb.connect() as connection:
            connection.execute(script)
            assert connection.execute(suite["gold"]).description
    answer = document["answer"]
    assert (answer["execution_match"], answer["suite_match"]) == (True, False)
    assert answer["witness_case"]["inserts"] in suite["databases"][answer["witness_case"]["witness"]]
    assert status(["witness", "bench.jsonl", "9"]) == 1


def test_shards_say_the_same_of_their_items_as_the_whole(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    asked = ["score", "bench.jsonl", "given.jsonl", "score.workers=1", "score.cache_dir=cache", "--out"]
    assert status([*asked, "whole"]) == 0
    for shard in ("1/2", "2/2"):
        assert status([*asked, "cut", "--shard", shard]) == 0
    assert status(["score", "--join", "cut"]) == 0
    whole, cut = (
        [{k: v for k, v in row.items() if k != "execute_seconds"} for row in load_items(read_run(name)).to_pylist()]
        for name in ("whole", "cut")
    )
    assert whole == cut


def verdict(default: bool, suite: bool | None, discriminating: bool | None) -> Verdict:
    outcome = Outcome.CORRECT if default else Outcome.WRONG_VALUES
    return Verdict("x", outcome, "", matches={"default": default}, suite_match=suite, discriminating=discriminating)


def test_totals_hold_accuracy_on_discriminating_items_beside_the_headline():
    totals = Totals()
    for row in ((True, True, True), (True, False, True), (False, False, True), (True, True, False), (True, None, None)):
        totals.add(verdict(*row), Generation("x", ""))
    facts = totals.facts()
    assert facts["execution_accuracy"] == 0.8
    assert (facts["suite"]["n"], facts["suite"]["accuracy"], facts["suite"]["lucky"]) == (4, 0.5, 1)
    told = facts["suite"]["discriminating"]
    assert (told["n"], told["share"]) == (3, 0.75)
    assert (told["accuracy"], told["suite_accuracy"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
