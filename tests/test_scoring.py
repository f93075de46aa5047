"""Properties of scoring: outcomes, blame, rules, cache, and independence of workers and order."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import time
from dataclasses import replace

import pytest

from harness.records import RULES, Database, Generation, Item, Outcome
from harness.sandbox.engine import Failure
from harness.sandbox.pool import Pool
from harness.scoring import ScoreSettings, score, score_with
from harness.scoring.cache import ContentCache, gold_key, verdict_key
from harness.scoring.judge import _pack, unpack_golds
from harness.scoring.outcomes import outcome_of
from harness.scoring.question import Question
from harness.suite.record import Trial

SETTINGS = ScoreSettings(floor_seconds=1.0, workers=2, suite=False)
PEOPLE = (
    "CREATE TABLE people(id INT, name TEXT, age INT); "
    "INSERT INTO people VALUES (1, 'Ann', 30), (2, 'Bob', 30), (3, 'Cid', 41), (4, 'Dan', NULL);"
)


def database(script: str) -> Database:
    return Database(key=hashlib.sha256(script.encode()).hexdigest(), script=script)


def item(name: str, *golds: str, script: str = PEOPLE) -> Item:
    return Item(id=name, question="?", context=script, golds=golds, database=database(script))


@pytest.fixture(scope="module")
def pool():
    with Pool("harness.scoring.judge:build", SETTINGS, workers=2) as running:
        yield running


def verdict(pool, gold, prediction, script: str = PEOPLE):
    golds = (gold,) if isinstance(gold, str) else gold
    (found,) = score_with(pool, [item("x", *golds, script=script)], {"x": prediction}, SETTINGS)
    return found


NAMES = "SELECT name FROM people"


@pytest.mark.parametrize(
    ("prediction", "outcome"),
    [
        (NAMES, "correct"),
        ("select NAME from People;", "correct"),
        ("SELECT name FROM people WHERE id > 0 -- all", "correct"),
        ("", "no_sql"),
        ("   ;", "no_sql"),
        ("SELEC name FROM people", "syntax_error"),
        ("SELECT name FROM persons", "unknown_table"),
        ("SELECT nome FROM people", "unknown_column"),
        ("SELECT p.name FROM people q", "unknown_table"),
        ("SELECT people.nome FROM people", "unknown_column"),
        ("SELECT CAST(name AS INT) FROM people", "type_error"),
        ("SELECT sum(name) FROM people", "type_error"),
        ("SELECT nosuch(name) FROM people", "runtime_error"),
        ("SELECT name FROM people WHERE error('x') IS NULL", "runtime_error"),
        ("SELECT name FROM people WHERE count(*) > 1", "syntax_error"),
        ("SELECT name, count(*) FROM people", "syntax_error"),
        ("SELECT name FROM people WHERE name > 3 + 'x'", "type_error"),
        ("SELECT name FROM nowhere.people", "unknown_table"),
        ("SELECT id FROM people a, people b", "unknown_column"),
        ("SELECT name FROM people; SELECT 1", "multiple_statements"),
        ("SELECT name, id FROM people", "wrong_column_count"),
        ("SELECT name FROM people WHERE id = 1", "wrong_row_count"),
        ("SELECT 'x' || name FROM people", "wrong_values"),
        ("SELECT i::TEXT FROM range(2000000) r(i)", "too_many_rows"),
        ("SELECT count(*)::TEXT FROM range(10000000) a, range(10000000) b", "timeout"),
        ("SELECT len(range(500000000))::TEXT", "out_of_memory"),
        ("DELETE FROM people", "forbidden"),
        ("PRAGMA database_list", "forbidden"),
    ],
)
def test_every_way_to_be_wrong_has_its_outcome_and_a_reason(pool, prediction, outcome):
    found = verdict(pool, NAMES, prediction)
    assert found.outcome.value == outcome, found.reason
    assert bool(found.reason) == (outcome != "correct")
    assert set(found.matches) == set(RULES)
    assert found.execution_match is (outcome == "correct")


@pytest.mark.parametrize(
    ("script", "gold", "outcome"),
    [
        ("CREATE TABLE (", "SELECT 1", "gold_unloadable"),
        (PEOPLE, "SELECT nome FROM people", "gold_error"),
        (PEOPLE, "", "gold_error"),
        (PEOPLE, "SELECT 1; SELECT 2", "gold_error"),
        (PEOPLE, "COPY people TO '/tmp/x'", "gold_error"),
        (PEOPLE, "SELECT random()", "gold_unstable"),
        (PEOPLE, "SELECT i FROM range(300000) r(i)", "gold_error"),
    ],
)
def test_the_benchmarks_fault_is_never_the_models(pool, script, gold, outcome):
    for prediction in (gold, "SELECT 1", ""):
        found = verdict(pool, gold, prediction, script)
        assert found.outcome.value == outcome
        assert set(found.matches.values()) == {None}
        assert found.reason


def test_a_gold_that_hangs_is_the_benchmarks_fault():
    gold = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
    (found,) = score([item("x", gold)], {"x": "SELECT 1"}, replace(SETTINGS, gold_seconds=0.5))
    assert found.outcome is Outcome.GOLD_ERROR
    assert found.execution_match is None


def test_the_best_of_several_golds_counts(pool):
    golds = ("SELECT nome FROM people", NAMES, "SELECT id FROM people")
    assert verdict(pool, golds, "SELECT id FROM people WHERE id < 9").gold_index == 2
    missed = verdict(pool, golds, "SELECT 5")
    assert missed.gold_index == 1
    assert missed.outcome is Outcome.WRONG_ROW_COUNT


def test_order_counts_only_between_sort_keys(pool):
    gold = "SELECT name FROM people WHERE age IS NOT NULL ORDER BY age"
    assert verdict(pool, gold, "SELECT name FROM people WHERE age > 0 ORDER BY age, name DESC").outcome.is_match
    wrong = verdict(pool, gold, "SELECT name FROM people WHERE age > 0 ORDER BY age DESC")
    assert wrong.outcome is Outcome.WRONG_ORDER
    assert wrong.matches["bird"]


def test_any_choice_among_rows_tied_at_the_limit_is_right(pool):
    gold = "SELECT name FROM people WHERE age IS NOT NULL ORDER BY age LIMIT 1"
    for name, right in (("Ann", True), ("Bob", True), ("Cid", False)):
        assert verdict(pool, gold, f"SELECT name FROM people WHERE name = '{name}'").outcome.is_match is right


def test_the_rule_test_suite_forgives_distinct(pool):
    found = verdict(pool, "SELECT DISTINCT age FROM people", "SELECT age FROM people")
    assert not found.matches["default"]
    assert found.matches["test_suite"]
    found = verdict(pool, "SELECT age FROM people", "SELECT DISTINCT age FROM people")
    assert not found.matches["default"]
    assert found.matches["test_suite"]


WRITES = "UPDATE people SET age = 31 WHERE name = 'Ann'"


@pytest.mark.parametrize(
    ("gold", "prediction", "outcome"),
    [
        (WRITES, "UPDATE people SET age = age + 1 WHERE id = 1", "correct"),
        (WRITES, "UPDATE people SET age = 31", "wrong_state"),
        (WRITES, "SELECT 1", "wrong_state"),
        (WRITES, "UPDATE persons SET age = 31", "unknown_table"),
        (WRITES, "DROP TABLE people", "wrong_state"),
        ("DELETE FROM people WHERE id = 77", "DELETE FROM people WHERE id > 77", "vacuous_match"),
        ("DELETE FROM people WHERE id = 77", "DELETE FROM people", "wrong_state"),
        ("INSERT INTO people VALUES (5, 'Eve', 1)", "INSERT INTO people(age, name, id) VALUES (1,'Eve',5)", "correct"),
        ("CREATE VIEW old AS SELECT name FROM people WHERE age > 40",
         "CREATE VIEW old AS SELECT name FROM people WHERE id = 3", "correct"),
        ("CREATE TABLE a(i INT); INSERT INTO a VALUES (1)", "CREATE TABLE a AS SELECT 1 AS i", "correct"),
        ("ALTER TABLE people DROP COLUMN age", "ALTER TABLE people DROP COLUMN name", "wrong_state"),
    ],
)  # fmt: skip
def test_writing_golds_are_judged_by_the_state_they_leave(pool, gold, prediction, outcome):
    found = verdict(pool, gold, prediction)
    assert found.outcome.value == outcome, found.reason
    assert verdict(pool, "SELECT sum(age) FROM people", "SELECT 30 + 30 + 41").outcome is Outcome.CORRECT


def test_a_view_that_a_writing_gold_breaks_is_part_of_the_state(pool):
    script = PEOPLE + "CREATE VIEW ages AS SELECT age FROM people; CREATE VIEW names AS SELECT name FROM people;"
    gold = "ALTER TABLE people DROP COLUMN age"
    for prediction, right in [
        ("ALTER TABLE people DROP age", True),
        ("ALTER TABLE people DROP COLUMN name", False),
        ("ALTER TABLE people DROP COLUMN age; DROP VIEW ages", False),
    ]:
        found = verdict(pool, gold, prediction, script)
        assert found.execution_match is right, found.reason


def test_empty_answers_match_vacuously(pool):
    found = verdict(pool, "SELECT name FROM people WHERE id = 99", "SELECT name FROM people WHERE id = 98")
    assert found.outcome is Outcome.VACUOUS_MATCH
    assert found.execution_match is True


def test_a_failed_statement_does_not_spoil_the_tables_for_the_next_reading_of_it():
    settings = replace(SETTINGS, dialects=("mysql",))
    script = "CREATE TABLE t(a VARCHAR(9), b INT); INSERT INTO t VALUES ('x', 1), ('y', 2)"
    gold = 'SELECT b FROM t WHERE a = "x"'
    found = list(score([item("x", gold, script=script)], {"x": 'SELECT `b` FROM t WHERE "x" = a'}, settings))
    assert found[0].outcome is Outcome.CORRECT
    assert found[0].gold_road != "duckdb"


def test_completions_are_read_and_sql_is_taken_as_it_is(pool):
    text = "Sure!\n```sql\nSELECT name FROM people\n```\nThis lists the names."
    assert verdict(pool, NAMES, Generation(id="x", completion=text)).outcome is Outcome.CORRECT
    assert verdict(pool, NAMES, text).outcome is Outcome.SYNTAX_ERROR
    cut = Generation(id="x", completion="SELECT name FROM people WHERE", finished=False)
    assert verdict(pool, NAMES, cut).outcome is Outcome.TRUNCATED
    assert verdict(pool, NAMES, Generation(id="x", completion="I cannot answer that.")).outcome is Outcome.NO_SQL


def many(n: int) -> tuple[list[Item], dict[str, str]]:
    items = [item(f"i{k}", f"SELECT name FROM people WHERE id > {k % 5}") for k in range(n)]
    given = {f"i{k}": f"SELECT name FROM people WHERE id >= {(k * 7) % 6}" for k in range(n)}
    return items, given


def facts(found) -> dict:
    return {v.id: replace(v, execute_seconds=0.0) for v in found}


def test_verdicts_depend_neither_on_workers_nor_on_order():
    items, given = many(120)
    shuffled = items[:]
    random.Random(5).shuffle(shuffled)
    one = facts(score(items, given, replace(SETTINGS, workers=1)))
    two = facts(score(shuffled, given, replace(SETTINGS, workers=2)))
    assert one == two
    assert {v.outcome for v in one.values()} >= {Outcome.CORRECT, Outcome.WRONG_ROW_COUNT}


def test_verdicts_come_in_the_order_of_the_items_and_twins_are_judged_once(pool):
    items, given = many(50)
    again = [replace(i, id=f"again-{i.id}") for i in items]
    given |= {f"again-{name}": sql for name, sql in list(given.items())}
    mixed = [x for pair in zip(items, again, strict=True) for x in pair]
    found = list(score_with(pool, mixed, given, SETTINGS))
    assert [v.id for v in found] == [i.id for i in mixed]
    # judged once: even the measured seconds are the same
    assert all(replace(b, id=a.id) == a for a, b in zip(found[::2], found[1::2], strict=True))


def test_a_second_checkpoint_finds_the_golds_and_gets_the_same_verdicts(tmp_path):
    items, given = many(60)
    settings = replace(SETTINGS, cache_dir=str(tmp_path), reuse_verdicts=False)
    fresh, warm = facts(score(items, given, settings)), facts(score(items, given, settings))
    assert fresh == warm
    cache = ContentCache(str(tmp_path))
    assert all(cache.get(gold_key(i.database, i.golds[0], settings)) for i in items)
    cache.close()


def test_a_damaged_entry_is_made_again(tmp_path):
    items, given = many(20)
    settings = replace(SETTINGS, cache_dir=str(tmp_path), reuse_verdicts=False)
    fresh = facts(score(items, given, settings))
    with sqlite3.connect(tmp_path / "golds.sqlite") as base:
        base.execute("UPDATE entry SET data = zeroblob(length(data))")
    cache = ContentCache(str(tmp_path))
    assert cache.get(gold_key(items[0].database, items[0].golds[0], settings)) is None
    assert cache.damaged == 1
    cache.close()
    assert facts(score(items, given, settings)) == fresh


def test_a_prediction_judged_in_an_earlier_run_is_not_judged_again_and_its_verdict_is_the_same(tmp_path):
    items, given = many(40)
    changed = {
        name: f"SELECT * FROM ({sql}) AS t" if n % 4 == 0 else sql for n, (name, sql) in enumerate(given.items())
    }
    settings = replace(SETTINGS, cache_dir=str(tmp_path))
    list(score(items, given, settings))
    known, alone = list(score(items, changed, settings)), list(score(items, changed, SETTINGS))
    assert [v.remembered for v in known] == [n % 4 != 0 for n in range(40)]
    assert all(v.execute_seconds == 0.0 for v in known if v.remembered), "what did not run has no seconds"
    assert [replace(v, execute_seconds=0.0) for v in known] == [replace(v, execute_seconds=0.0) for v in alone]
    judged = score(items, changed, replace(settings, reuse_verdicts=False))
    assert not any(v.remembered for v in judged)


def test_a_run_whose_verdicts_are_all_known_starts_no_worker(tmp_path, monkeypatch):
    items, given = many(30)
    settings = replace(SETTINGS, cache_dir=str(tmp_path))
    fresh = facts(score(items, given, settings))
    monkeypatch.setattr("harness.sandbox.crew.WorkerProcess", None)
    assert facts(score(items, given, settings)) == fresh


def test_a_verdict_that_another_hour_could_change_is_not_kept(tmp_path):
    settings = replace(SETTINGS, cache_dir=str(tmp_path), floor_seconds=0.3, gold_factor=1.0)
    slow = "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c"
    one = [item("slow", "SELECT 1", PEOPLE)]
    for _ in range(2):
        (verdict,) = score(one, {"slow": slow}, settings)
        assert (verdict.outcome, verdict.remembered) == (Outcome.TIMEOUT, False)


def test_a_verdict_is_found_only_under_the_same_tables_golds_answer_and_settings():
    asked = Question(database(PEOPLE), (NAMES,), ("key",), (None,), NAMES, is_sql=True)
    base = verdict_key(asked, SETTINGS)
    assert base == verdict_key(replace(asked, known=(b"x",)), replace(SETTINGS, workers=9, cache_dir="c"))
    others = [
        verdict_key(replace(asked, keys=("other",)), SETTINGS),
        verdict_key(replace(asked, text=NAMES + " "), SETTINGS),
        verdict_key(replace(asked, is_sql=False), SETTINGS),
        verdict_key(replace(asked, finished=False), SETTINGS),
        verdict_key(replace(asked, suites=(Trial("CREATE TABLE t (a INT)", ("INSERT INTO t VALUES (1)",)),)), SETTINGS),
        verdict_key(asked, replace(SETTINGS, tolerance=0.1)),
        verdict_key(asked, replace(SETTINGS, floor_seconds=9.0)),
    ]
    assert len({base, *others}) == 8


def test_a_damaged_verdict_is_given_again(tmp_path):
    items, given = many(10)
    settings = replace(SETTINGS, cache_dir=str(tmp_path))
    fresh = facts(score(items, given, settings))
    with sqlite3.connect(tmp_path / "verdicts.sqlite") as base:
        base.execute("UPDATE entry SET data = zeroblob(length(data))")
    again = list(score(items, given, settings))
    assert not any(v.remembered for v in again)
    assert facts(again) == fresh


def test_a_cache_that_is_no_database_is_put_aside(tmp_path):
    (tmp_path / "golds.sqlite").write_bytes(b"nonsense" * 1000)
    items, given = many(5)
    found = list(score(items, given, replace(SETTINGS, cache_dir=str(tmp_path))))
    assert len(found) == 5
    assert (tmp_path / "golds.damaged").exists()


def test_a_key_changes_with_everything_an_answer_depends_on():
    base = gold_key(database(PEOPLE), NAMES, SETTINGS)
    assert base == gold_key(database(PEOPLE), NAMES, replace(SETTINGS, workers=9, tolerance=0.1, floor_seconds=9))
    others = {
        gold_key(database(PEOPLE + " "), NAMES, SETTINGS),
        gold_key(database(PEOPLE), NAMES + " ", SETTINGS),
        gold_key(database(PEOPLE), NAMES, replace(SETTINGS, dialects=("mysql",))),
        gold_key(database(PEOPLE), NAMES, replace(SETTINGS, clock="2020-01-01 00:00:00")),
        gold_key(database(PEOPLE), NAMES, replace(SETTINGS, max_rows=5)),
    }
    assert len(others | {base}) == 6


def test_packed_golds_come_back_and_a_cut_is_seen():
    packed = _pack({"a": b"1", "b" * 40: b"x" * 5000})
    assert unpack_golds(packed) == {"a": b"1", "b" * 40: b"x" * 5000}
    with pytest.raises(ValueError, match="cut short"):
        unpack_golds(packed[:-1])


def test_a_verdict_is_plain_data(pool):
    found = verdict(pool, NAMES, "SELECT name, 1 FROM people")
    assert json.dumps(dict(found.matches))


def test_a_right_answer_that_needs_luck_is_told_by_the_suite(tmp_path):
    script = "CREATE TABLE t(i INT, s TEXT); INSERT INTO t VALUES (1, 'a'), (5, 'b')"
    items = [item(n, "SELECT s FROM t WHERE i > 3", script=script) for n in ("lucky", "right", "same", "wrong")]
    given = {
        "lucky": "SELECT s FROM t WHERE i = 5",
        "right": "SELECT s FROM t WHERE NOT i <= 3",
        "same": "select s from t where i > 3",
        "wrong": "SELECT i FROM t",
    }
    settings = replace(SETTINGS, suite=True, cache_dir=str(tmp_path))
    found = {v.id: v for v in score(items, given, settings)}
    assert found["lucky"].execution_match is True
    assert found["lucky"].suite_match is False
    assert found["lucky"].suite_witness is not None
    assert found["right"].suite_match is True
    assert found["same"].suite_match is True
    assert found["wrong"].suite_match is False
    assert facts(score(items, given, settings)) == facts(found.values())


def test_items_are_streamed():
    taken = []

    def items():
        for k in range(3000):
            taken.append(k)
            yield item(f"i{k}", f"SELECT {k}")

    given = {f"i{k}": f"SELECT {k} + 0" for k in range(3000)}
    for n, _ in enumerate(score(items(), given, SETTINGS)):
        if n == 10:
            break
    assert len(taken) < 1500


def test_failures_have_outcomes():
    assert outcome_of(Failure("memory", "")) is Outcome.OUT_OF_MEMORY
    assert outcome_of(Failure("fatal", "x")) is Outcome.RUNTIME_ERROR
    ambiguous = Failure("binder", 'Binder Error: Ambiguous reference to column name "id" (use: "a.id" or "b.id")')
    assert outcome_of(ambiguous) is Outcome.UNKNOWN_COLUMN


@pytest.mark.slow
def test_spider_files_are_scored_as_the_published_evaluator_does(shared_data):
    rows = [json.loads(line) for line in (shared_data / "spider" / "dev.jsonl").open()][:300]
    given = {r["id"]: r for r in map(json.loads, (shared_data / "predictions" / "graphix_t5.jsonl").open())}
    items = []
    for row in rows:
        path = shared_data / "spider" / "database" / row["db_id"] / f"{row['db_id']}.sqlite"
        base = Database(key=hashlib.sha256(path.read_bytes()).hexdigest(), path=str(path))
        items.append(Item(id=row["id"], question="", context="", golds=(row["query"],), database=base))
    begun = time.monotonic()
    settings = replace(SETTINGS, dialects=("sqlite", "mysql"))
    found = list(score(items, {name: r["sql"] for name, r in given.items()}, settings))
    assert not any(v.outcome.is_gold_fault for v in found)
    agreed = sum(v.matches["test_suite"] == given[v.id]["official_ex"] for v in found)
    assert agreed >= 0.99 * len(found)
    assert time.monotonic() - begun < 60
