# ruff: noqa: E501 -- a statement is read more easily on one line
"""Schema, witnesses and distilled suites: what holds whatever the schema and the gold are."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from harness.suite.cache import SuiteCache
from harness.suite.conditions import Condition
from harness.suite.distill import build_suite, with_others
from harness.suite.execute import StatementError, plain_executor
from harness.suite.facts import schema_of_text, tables_text
from harness.suite.judge import Judge
from harness.suite.neighbours import neighbours, parse
from harness.suite.reading import read_schema, schema_of_script, schema_script
from harness.suite.record import Suite, SuiteSettings, suite_key
from harness.suite.schema import ForeignKey, parents_first
from harness.suite.sqlite_keys import with_sqlite_keys
from harness.suite.values import holds, matching
from harness.suite.witness import STRATEGIES, Plan, insert_statements, witness

SCHEMA = (Path(__file__).parent / "fixtures" / "suite" / "schema.sql").read_text()
STRICT = """
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TABLE owner (id INTEGER PRIMARY KEY, email VARCHAR UNIQUE NOT NULL, age INTEGER CHECK (age >= 18), joined DATE NOT NULL);
CREATE TABLE dog (dog_id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES owner (id), sire INTEGER REFERENCES dog (dog_id),
  temper mood, weight DECIMAL(5, 2) CHECK (weight > 0 AND weight < 100), tag TINYINT, chip UUID, tags VARCHAR[],
  ratio DOUBLE GENERATED ALWAYS AS (weight / 2), UNIQUE (owner_id, tag));
CREATE TABLE visit (dog_id INTEGER REFERENCES dog (dog_id), seen TIMESTAMP, cost DOUBLE DEFAULT 1.5, paid BOOLEAN NOT NULL, PRIMARY KEY (dog_id, seen),
  CHECK (cost IS NULL OR cost >= 0));
"""
QUICK = SuiteSettings(candidates=12, patience=6)


def suite_of(gold: str, schema: str = SCHEMA, **settings) -> Suite:
    return build_suite(schema, gold, replace(QUICK, **settings))


def answers(suite: Suite, sql: str) -> list[list[tuple]]:
    """Sorted rows of a statement on each database of a suite."""
    found = []
    for script in suite.databases:
        with duckdb.connect() as connection:
            connection.execute(script)
            found.append(sorted(connection.execute(sql).fetchall(), key=repr))
    return found


# -- schema


def test_a_schema_is_read_with_every_constraint():
    schema = schema_of_script(STRICT)
    dog, visit, owner = schema.table("DOG"), schema.table("visit"), schema.table("owner")
    assert dog.keys == (("dog_id",), ("owner_id", "tag"))
    assert visit.primary_key == ("dog_id", "seen")
    assert ForeignKey(("owner_id",), "owner", ("id",)) in dog.foreign_keys
    assert [c.name for c in dog.columns if c.generated] == ["ratio"]
    assert not owner.column("joined").nullable
    assert owner.column("age").nullable
    assert owner.checks
    assert dog.checks
    assert visit.checks
    assert [t.name for t in schema.tables] == ["owner", "dog", "visit"]


def test_a_script_made_from_a_schema_makes_the_same_schema_empty():
    with duckdb.connect() as connection:
        connection.execute(SCHEMA + "CREATE VIEW old AS SELECT * FROM stadium WHERE opened < '2000-01-01';")
        script, first = schema_script(connection), read_schema(connection)
    second = schema_of_script(script)
    assert second.tables == first.tables
    assert second.script == first.script
    assert first.rows["singer"]
    assert not any(second.rows.values())
    assert first.digest != second.digest


def test_keys_are_implied_by_names_and_never_over_declared_ones():
    schema = schema_of_script(
        "CREATE TABLE singers (singer_id INT, name TEXT); CREATE TABLE concert (id INT, singer_id INT, singers TEXT);"
        "CREATE TABLE countries (code TEXT PRIMARY KEY); CREATE TABLE town (name TEXT, code TEXT, country_id INT)"
    )
    concert = schema.table("concert")
    assert schema.table("singers").implied_key == ("singer_id",)
    assert concert.implied_key == ("id",)
    assert concert.foreign_keys == (ForeignKey(("singer_id",), "singers", ("singer_id",), implied=True),)
    assert schema.table("town").foreign_keys == (ForeignKey(("code",), "countries", ("code",), implied=True),)


def test_a_role_before_an_identifier_names_its_table_too():
    schema = schema_of_script(
        "CREATE TABLE addresses (address_id INT, city TEXT); CREATE TABLE airports (id INT, name TEXT);"
        "CREATE TABLE person (person_id INT, home_address_id INT, work_address_id INT, last_airport_id INT, paid INT)"
    )
    keys = {k.columns[0]: k.table for k in schema.table("person").foreign_keys}
    assert keys == {"home_address_id": "addresses", "work_address_id": "addresses", "last_airport_id": "airports"}


def test_shipped_rows_break_an_implied_key_or_show_one_that_no_name_tells():
    tables = (
        "CREATE TABLE airports (code VARCHAR PRIMARY KEY); CREATE TABLE airlines (uid INT PRIMARY KEY);"
        "CREATE TABLE flights (airline INT, source VARCHAR, note VARCHAR);"
    )
    rows = "INSERT INTO airports VALUES ('APG'), ('ASY'), ('ATO'); INSERT INTO airlines VALUES (1), (2);"
    flown = "INSERT INTO flights VALUES (1, 'APG', 'x'), (7, 'ASY', 'y'), (2, 'ATO', 'z');"
    keys = {k.columns[0]: k for k in schema_of_script(tables + rows + flown).table("flights").foreign_keys}
    assert keys["airline"].loose
    assert keys["source"] == ForeignKey(("source",), "airports", ("code",), implied=True)
    assert set(keys) == {"airline", "source"}
    assert not schema_of_script(tables).table("flights").foreign_keys[0].loose


def test_blanks_round_the_shipped_keys_break_no_implied_key():
    tables = (
        "CREATE TABLE airports (code VARCHAR PRIMARY KEY); CREATE TABLE flights (source VARCHAR, airport_code VARCHAR);"
    )
    rows = "INSERT INTO airports VALUES ('APG '), ('ASY '), ('ATO '); "
    rows += "INSERT INTO flights VALUES (' APG', ' ASY'), (' ASY', ' APG'), (' ATO', ' ATO');"
    keys = {k.columns[0]: (k.table, k.loose) for k in schema_of_script(tables + rows).table("flights").foreign_keys}
    assert keys == {"source": ("airports", False), "airport_code": ("airports", False)}


def test_a_join_that_an_implied_key_makes_redundant_is_not_told_apart():
    script = "CREATE TABLE singer (singer_id INT, name VARCHAR); CREATE TABLE concert (id INT, singer_id INT NOT NULL)"
    gold = "SELECT COUNT(DISTINCT singer_id) FROM concert"
    joined = "SELECT COUNT(DISTINCT c.singer_id) FROM concert c JOIN singer s ON s.singer_id = c.singer_id"
    suite = suite_of(gold, script, candidates=20, patience=20)
    assert answers(suite, gold) == answers(suite, joined) != []


LINKED = """
CREATE TABLE student (student_id INT, name VARCHAR); CREATE TABLE club (club_id INT, title VARCHAR);
CREATE TABLE member (student_id INT, club_id INT, since DATE);
CREATE TABLE friend (student_id INT, friend_id INT);
CREATE TABLE office (office_id INT, student_id INT, club_id INT, room VARCHAR, phone VARCHAR, floor INT);
"""


def test_both_ends_of_a_link_are_filled_unless_the_shipped_rows_leave_one_out():
    filled = {t.name: set(t.filled) for t in schema_of_script(LINKED).tables}
    assert filled["member"] == {"student_id", "club_id"}
    assert filled["office"] == {"office_id"}  # a thing of its own that happens to name two others
    shipped = schema_of_script(LINKED + "INSERT INTO member VALUES (1, NULL, NULL)")
    assert set(shipped.table("member").filled) == {"student_id"}


def test_parts_of_a_composite_key_are_filled():
    schema = schema_of_script("CREATE TABLE seat (hall INT, number INT, price INT, UNIQUE (hall, number))")
    assert set(schema.table("seat").filled) == {"hall", "number"}


def test_no_witness_leaves_an_end_of_a_link_null():
    schema = schema_of_script(LINKED)
    gold = parse(
        "SELECT name FROM student WHERE student_id NOT IN (SELECT student_id FROM member WHERE since > '2020-01-01')"
    )
    plan = Plan(schema, gold)
    rows = [row for n in range(3 * len(STRATEGIES)) for row in witness(plan, n, "seed")[1]["member"]]
    assert not any(row["student_id"] is None or row["club_id"] is None for row in rows)
    assert any(row["since"] is None for row in rows)


def test_not_in_over_a_link_and_its_outer_join_are_the_same_answer():
    gold = "SELECT name FROM student WHERE student_id NOT IN (SELECT student_id FROM member)"
    outer = "SELECT s.name FROM student s LEFT JOIN member m ON s.student_id = m.student_id WHERE m.student_id IS NULL"
    suite = suite_of(gold, LINKED, candidates=30, patience=30)
    assert answers(suite, gold) == answers(suite, outer) != []


def test_parents_come_first_even_when_made_last_and_circles_keep_their_order():
    tables = schema_of_script(STRICT).tables
    assert [t.name for t in parents_first(tables[::-1])] == ["owner", "dog", "visit"]


def test_sqlite_keys_are_taken_over_with_what_they_forbid(tmp_path):
    import sqlite3

    path = tmp_path / "x.sqlite"
    with sqlite3.connect(path) as source:
        source.executescript(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);"
            "CREATE TABLE b (a_id INT REFERENCES a, n INT, gone INT REFERENCES nowhere(id), PRIMARY KEY (a_id, n));"
        )
    schema = with_sqlite_keys(
        schema_of_script(
            "CREATE TABLE a (id BIGINT, code VARCHAR); CREATE TABLE b (a_id BIGINT, n BIGINT, gone BIGINT)"
        ),
        path,
    )
    a, b = schema.table("a"), schema.table("b")
    assert a.keys == (("id",), ("code",))
    assert not a.column("code").nullable
    assert b.primary_key == ("a_id", "n")
    assert b.foreign_keys == (ForeignKey(("a_id",), "a", ("id",)),)


# -- witnesses


@pytest.mark.parametrize("place", range(len(STRATEGIES)), ids=[s.__name__ for s in STRATEGIES])
def test_every_witness_satisfies_every_constraint(place):
    schema = schema_of_script(STRICT)
    gold = parse(
        "SELECT o.email FROM owner o JOIN dog d ON d.owner_id = o.id JOIN visit v USING (dog_id) WHERE weight > 99.5 AND age < 20"
    )
    plan = Plan(schema, gold)
    filled = 0
    with plain_executor(schema.script, 2.0) as executor:
        for round_ in range(4):
            _, rows = witness(plan, place + round_ * len(STRATEGIES), "seed")
            executor.load(list(insert_statements(schema, rows).values()))
            filled += executor.query("SELECT count(*) FROM owner").rows[0][0]
    assert filled > 8


def test_a_gold_with_joins_and_several_conditions_returns_rows():
    gold = (
        "SELECT s.name FROM singer s JOIN concert c ON s.singer_id = c.singer_id JOIN stadium t ON t.stadium_id = c.stadium_id "
        "WHERE c.year = 2014 AND s.country = 'France' AND t.name LIKE '%Field' AND t.opened BETWEEN '1990-01-01' AND '1999-12-31' "
        "AND EXISTS (SELECT 1 FROM concert d WHERE d.singer_id = s.singer_id AND d.title = 'Autumn')"
    )
    assert any(answers(suite_of(gold), gold))


@pytest.mark.parametrize("pattern", ["%ab%", "ab%", "%ab", "a_b", "ab"])
def test_like_values_hit_and_miss(pattern):
    asked = Condition(("t", "c"), "t", "like", (pattern,))
    hits = [holds(asked, value) for value in matching(pattern)]
    assert any(hits)
    assert not all(hits)


def test_the_same_item_gives_the_same_bytes_in_another_process():
    code = (
        "from tests.test_suite import suite_of; import hashlib;"
        'print(hashlib.sha256(suite_of("SELECT name FROM singer WHERE age > 30").to_json().encode()).hexdigest())'
    )
    root = Path(__file__).parent.parent
    seen = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1


def test_another_seed_gives_other_witnesses():
    gold = "SELECT name FROM singer WHERE age > 30"
    assert suite_of(gold).witnesses != suite_of(gold, seed=1).witnesses


# -- suites


@pytest.mark.parametrize(
    ("gold", "near_miss"),
    [
        ("SELECT name FROM singer WHERE age > 30", "SELECT name FROM singer WHERE age >= 30"),
        ("SELECT COUNT(*) FROM concert", "SELECT COUNT(singer_id) FROM concert"),
        ("SELECT name FROM singer WHERE name LIKE 'I%'", "SELECT name FROM singer WHERE name LIKE '%I%'"),
        ("SELECT country FROM singer", "SELECT DISTINCT country FROM singer"),
        (
            "SELECT s.name FROM singer s LEFT JOIN concert c USING (singer_id)",
            "SELECT s.name FROM singer s JOIN concert c USING (singer_id)",
        ),
        (
            "SELECT country FROM singer GROUP BY country HAVING COUNT(*) > 4",
            "SELECT country FROM singer GROUP BY country HAVING COUNT(*) > 5",
        ),
        (
            "SELECT name FROM singer WHERE singer_id NOT IN (SELECT singer_id FROM concert WHERE year = 2014)",
            "SELECT name FROM singer WHERE singer_id NOT IN (SELECT singer_id FROM concert)",
        ),
        ("SELECT name FROM singer EXCEPT SELECT name FROM stadium", "SELECT DISTINCT name FROM singer"),
        (
            "SELECT name, RANK() OVER (ORDER BY age) FROM singer",
            "SELECT name, DENSE_RANK() OVER (ORDER BY age) FROM singer",
        ),
    ],
)
def test_a_near_miss_that_the_shipped_rows_may_forgive_is_told_apart(gold, near_miss):
    suite = suite_of(gold, candidates=30, patience=12)
    assert suite.witnesses
    assert answers(suite, gold) != answers(suite, near_miss)
    assert len(suite.witnesses) <= 8
    assert suite.violations == 0


@pytest.mark.parametrize(("bound", "next_one"), [("2014", "2013"), ("2.04", "2.03"), ("2020-03-01", "2020-02-29")])
def test_numbers_and_days_that_are_kept_as_text_are_told_from_the_next_one(bound, next_one):
    gold, near_miss = (f"SELECT name FROM event WHERE held >= '{text}'" for text in (bound, next_one))
    suite = suite_of(gold, "CREATE TABLE event (name VARCHAR, held VARCHAR)", candidates=30, patience=12)
    assert answers(suite, gold) != answers(suite, near_miss)


def test_a_suite_counts_what_it_kills_and_names_what_it_does_not():
    suite = suite_of("SELECT name FROM singer WHERE age > 30")
    assert suite.killed == suite.killable == suite.neighbours - len(suite.survivors) > 5
    assert suite.discriminating


@pytest.mark.parametrize(
    "gold",
    [
        "SELECT name FROM singer ORDER BY age DESC LIMIT 1",
        "SELECT ANY_VALUE(s.name) FROM singer AS s JOIN concert AS c ON s.singer_id = c.singer_id GROUP BY s.singer_id "
        "ORDER BY COUNT(*) DESC LIMIT 1",
        "SELECT country, COUNT(*) FROM singer WHERE age > 30 GROUP BY country",
    ],
)
def test_what_a_suite_says_it_kills_is_killed_by_its_scripts_as_they_stand(gold):
    suite = suite_of(gold, candidates=30, patience=15)
    schema, judge, killed = schema_of_script(SCHEMA), Judge(gold, parse(gold)), set()
    with plain_executor(suite.schema, 2.0) as room:
        near = [n.sql for n in neighbours(gold, schema, QUICK.max_neighbours) if room.binds(n.sql)]
        for script in suite.witnesses:
            room.load((script,))
            answer, keyed = judge.fixed_answer(room, lambda: None)
            killed |= {sql for sql in near if judge.differs(answer, judge.answer(room, sql), keyed)}
    assert suite.killed == len(killed) > 3
    assert set(near) - killed == {text.partition(": ")[2] for text in suite.survivors}


def test_never_more_witnesses_than_asked_for():
    gold = "SELECT country, COUNT(*) FROM singer WHERE age > 3 GROUP BY country HAVING COUNT(*) > 2"
    assert len(suite_of(gold, max_witnesses=1).witnesses) == 1


def test_a_witness_never_judges_where_the_gold_cuts_through_a_tie():
    gold = "SELECT name FROM singer ORDER BY age DESC LIMIT 2"
    suite = suite_of(gold, candidates=20)
    for script in suite.databases:
        with duckdb.connect() as connection:
            connection.execute(script)
            ages = connection.execute("SELECT age, name FROM singer ORDER BY age DESC").fetchall()
            assert len(ages) <= 2 or ages[1][0] != ages[2][0] or ages[1] == ages[2]


def test_a_gold_that_takes_any_value_is_judged_only_where_there_is_one():
    gold = "SELECT country, ANY_VALUE(name) FROM singer GROUP BY country"
    suite = suite_of(gold, candidates=30, patience=30)
    assert suite.rejected > 0
    assert answers(suite, "SELECT country, MIN(name) FROM singer GROUP BY country") == answers(suite, gold)


def test_writing_golds_are_judged_by_the_state_they_leave():
    gold = "UPDATE singer SET age = age + 1 WHERE country = 'France'"
    suite = suite_of(gold)
    assert suite.killed == suite.killable > 5
    assert suite.discriminating


def test_a_gold_that_makes_a_view_is_judged_by_the_rows_of_the_view():
    suite = suite_of("CREATE VIEW young AS SELECT name FROM singer WHERE age < 30")
    assert suite.killed == suite.killable > 3


def test_checks_enums_and_generated_columns_do_not_stop_a_suite():
    suite = suite_of(
        "SELECT email FROM owner JOIN dog ON owner.id = owner_id WHERE temper = 'wild' AND weight > 99", STRICT
    )
    assert suite.witnesses
    assert suite.violations == 0
    assert suite.killed > 3


@pytest.mark.parametrize(
    ("gold", "schema", "words"),
    [
        ("PRAGMA version", SCHEMA, "taken apart"),
        ("SELECT 1; SELECT 2", SCHEMA, "taken apart"),
        ("SELECT random() FROM singer", SCHEMA, "chance"),
        ("SELECT 1", "SELECT 1", "no tables"),
        ("SELECT 1", "CREATE TABL x", "does not load"),
        ("SELECT nope FROM singer", SCHEMA, "no answer"),
        ("SELECT name FROM singer LIMIT 1", SCHEMA, "no answer"),
    ],
)
def test_an_item_without_a_suite_says_why(gold, schema, words):
    suite = suite_of(gold, schema, candidates=6)
    if "no answer" in words and suite.witnesses:
        # one row or none: even an unordered LIMIT has its own answer there
        assert all(len(rows) <= 1 for rows in answers(suite, "SELECT DISTINCT name FROM singer"))
        return
    assert not suite.witnesses
    assert words in suite.reason


def test_an_item_that_a_constant_answers_is_not_discriminating():
    assert not suite_of("SELECT COUNT(*) FROM singer WHERE age IS NULL AND age IS NOT NULL").discriminating


def test_other_golds_of_the_schema_are_told_apart_too():
    gold, other = "SELECT name FROM singer WHERE age > 30", "SELECT name FROM singer WHERE age > 30 AND fee > 5"
    bare = suite_of(gold)
    with plain_executor(bare.schema, 2.0) as room:
        suite = with_others(bare, gold, [other, gold], QUICK, room)
    assert (suite.others, suite.others_missed, suite.is_discriminating) == (1, 0, True)
    assert replace(suite, others=0) == bare


def test_another_gold_that_asks_the_same_in_other_words_is_not_held_against_an_item():
    gold, same = "SELECT name FROM singer WHERE age > 30", "SELECT name FROM singer WHERE NOT age <= 30"
    with plain_executor(SCHEMA, 2.0) as room:
        suite = with_others(suite_of(gold), gold, [same], QUICK, room)
    assert (suite.others, suite.others_missed, suite.is_discriminating) == (1, 0, True)


def test_another_gold_that_only_a_further_database_tells_is_missed():
    gold, other = "SELECT name FROM singer", "SELECT name FROM singer WHERE age <> 30 OR age IS NULL"
    bare = replace(
        suite_of(gold), witnesses=("INSERT INTO singer VALUES (1, 'Ida', NULL, 2, 1), (2, 'Tom', NULL, 3, 1)",)
    )
    with plain_executor(bare.schema, 2.0) as room:
        suite = with_others(bare, gold, [other], SuiteSettings(candidates=40), room)
    assert (suite.others, suite.others_missed, suite.is_discriminating) == (1, 1, False)


def test_tables_as_text_come_back_with_every_key():
    for script in (STRICT, SCHEMA, LINKED):
        schema = schema_of_script(script)
        assert schema_of_text(schema.script, tables_text(schema.tables)).tables == schema.tables


def test_a_statement_that_never_ends_is_interrupted():
    with plain_executor("CREATE TABLE t (a INT)", 0.3) as executor:
        executor.load(["INSERT INTO t VALUES (1)"])
        with pytest.raises(StatementError) as caught:
            executor.query("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r")
        assert caught.value.kind == "timeout"
        assert executor.query("SELECT a FROM t").rows == [(1,)]


# -- the cache


def test_a_kept_suite_comes_back_whole_and_a_damaged_one_not_at_all(tmp_path):
    suite = suite_of("SELECT name FROM singer WHERE age > 30")
    cache = SuiteCache(tmp_path)
    key = suite_key("schema", "gold", QUICK)
    assert cache.get(key) is None
    cache.put(key, suite)
    assert SuiteCache(tmp_path).get(key) == suite
    (file,) = tmp_path.rglob("*.json")
    for damage in (file.read_bytes()[:-20], file.read_bytes().replace(b"INSERT", b"UPSERT"), b"\xff\xfe", b""):
        file.write_bytes(damage)
        assert cache.get(key) is None
        assert not file.exists()
        cache.put(key, suite)
    assert cache.damaged == 4
    assert cache.get(key) == suite


def test_an_entry_under_another_name_is_not_taken_for_its_own(tmp_path):
    cache = SuiteCache(tmp_path)
    one, two = suite_key("a", "gold", QUICK), suite_key("b", "gold", QUICK)
    cache.put(one, Suite(reason="mine"))
    target = tmp_path / "suites" / two[:2] / f"{two}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    next(tmp_path.rglob(f"{one}.json")).rename(target)
    assert cache.get(two) is None
    assert cache.damaged == 1


def test_keys_depend_on_schema_gold_settings_and_dialect():
    base = suite_key("a", "g", QUICK)
    others = [suite_key("b", "g", QUICK), suite_key("a", "h", QUICK), suite_key("a", "g", replace(QUICK, seed=1))]
    others += [suite_key("a", "g", QUICK, others=["x"]), suite_key("a", "g", QUICK, prelude=["SET x = 1"])]
    assert len({base, *others}) == 6


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path):
    (tmp_path / "suites").write_text("a file where a folder should be")
    cache = SuiteCache(tmp_path)
    cache.put("ab" * 32, Suite(reason="x"))
    assert cache.get("ab" * 32) is None
