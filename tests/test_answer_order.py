"""ORDER BY and LIMIT judged on real DuckDB results; the cases are SQL in fixtures/answer/order.sql."""

from __future__ import annotations

import random
import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.answer import Table, compare, fetch, order_plan, query
from harness.records import Outcome
from harness.sqltext import form_of, parsed

FIXTURE = Path(__file__).parent / "fixtures" / "answer" / "order.sql"
MAX_ROWS = 10_000


def read_cases():
    """(setup script, [(title, gold, outcome, prediction)])."""
    setup, *blocks = re.split(r"^-- case: ", FIXTURE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    cases = []
    for block in blocks:
        title, rest = block.split("\n-- gold\n", 1)
        gold, *predictions = re.split(r"^-- prediction: ", rest, flags=re.MULTILINE)
        for number, prediction in enumerate(predictions):
            outcome, sql = prediction.split("\n", 1)
            cases.append(pytest.param(gold.strip(), Outcome(outcome), sql.strip(), id=f"{title}-{number}"))
    return setup, cases


SETUP, CASES = read_cases()


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as opened:
        opened.execute(SETUP)
        yield opened


def judge(connection, gold_sql, prediction_sql):
    plan = order_plan(gold_sql)
    gold = query(connection, gold_sql, MAX_ROWS)
    prediction = query(connection, prediction_sql, MAX_ROWS)
    keyed = None
    if plan is not None and plan.needs_keyed(gold, prediction):
        keyed = query(connection, plan.keyed_sql, MAX_ROWS)
    return compare(gold, prediction, plan, keyed)


@pytest.mark.parametrize(("gold", "outcome", "prediction"), CASES)
def test_order_and_limit(connection, gold, outcome, prediction):
    found = judge(connection, gold, prediction)
    assert found.outcome is outcome, found
    assert bool(found.reason) is (outcome is not Outcome.CORRECT)


@pytest.mark.parametrize("gold", sorted({case.values[0] for case in CASES}))
def test_a_gold_matches_itself_and_its_keyed_run_holds_its_rows(connection, gold):
    plan = order_plan(gold)
    table = query(connection, gold, MAX_ROWS)
    keyed = query(connection, plan.keyed_sql, MAX_ROWS) if plan and plan.keyed_sql else None
    assert compare(table, Table(table.columns, table.types, [*table.rows]), plan, keyed).is_match
    if keyed is not None:
        width = len(table.columns)
        assert {row[:width] for row in keyed.rows} >= set(table.rows)


def test_the_keyed_run_is_asked_for_only_where_it_can_matter(connection):
    cases = {
        "SELECT name FROM emp": None,
        "SELECT name FROM emp ORDER BY name": False,
        "SELECT name, salary FROM emp ORDER BY salary": False,
        "SELECT * FROM emp ORDER BY salary": False,
        "SELECT name FROM emp ORDER BY salary": True,
        "SELECT name, salary FROM emp ORDER BY salary LIMIT 2": True,
        "SELECT name, salary FROM emp ORDER BY salary LIMIT 10": False,
        "SELECT name FROM emp WHERE id = 1 ORDER BY salary": False,
        "SELECT name FROM emp LIMIT 10": False,
        "SELECT name FROM emp LIMIT 3": True,
        "SELECT name, salary FROM emp ORDER BY ALL LIMIT 3": False,
    }
    for sql, needed in cases.items():
        plan = order_plan(sql)
        assert (plan and plan.needs_keyed(query(connection, sql, MAX_ROWS))) is needed, sql
    gold = query(connection, "SELECT name FROM emp ORDER BY salary", MAX_ROWS)
    assert not order_plan("SELECT name FROM emp ORDER BY salary").needs_keyed(gold, gold)


def test_the_keyed_run_stops_behind_the_last_tie():
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE big AS SELECT range AS id, range // 4 AS k FROM range(100000)")
        plan = order_plan("SELECT id FROM big ORDER BY k LIMIT 6")
        assert len(query(connection, plan.keyed_sql, MAX_ROWS).rows) == 8


def test_a_limit_without_order_is_said_aloud(connection):
    found = judge(connection, "SELECT name FROM emp LIMIT 2", "SELECT name FROM emp ORDER BY id DESC LIMIT 2")
    assert found.note == "the gold has LIMIT without ORDER BY: any 2 of its 6 rows count as right"
    found = judge(connection, "SELECT name FROM emp ORDER BY salary LIMIT 2", "SELECT 'Fay' UNION ALL SELECT 'Eve'")
    assert "any choice among the 3 for the 2 places is right" in found.note


def test_without_the_keyed_run_hidden_keys_count_as_untied(connection):
    sql = "SELECT name FROM emp ORDER BY salary DESC"
    gold = query(connection, sql, MAX_ROWS)
    swapped = Table(gold.columns, gold.types, [gold.rows[0], gold.rows[2], gold.rows[1], *gold.rows[3:]])
    plan = order_plan(sql)
    assert compare(gold, swapped, plan, None).outcome is Outcome.WRONG_ORDER
    assert compare(gold, swapped, plan, query(connection, plan.keyed_sql, MAX_ROWS)).is_match
    assert compare(gold, swapped, plan, query(connection, plan.keyed_sql, 3)).outcome is Outcome.WRONG_ORDER


def test_a_keyed_run_that_contradicts_the_gold_is_ignored(connection):
    sql = "SELECT name FROM emp ORDER BY salary DESC"
    gold = query(connection, sql, MAX_ROWS)
    other = Table(("name", "k", "g"), ("VARCHAR", "DOUBLE", "BIGINT"), [("Zoe", 1.0, 1)] * 6)
    assert (
        compare(gold, Table(gold.columns, gold.types, gold.rows[::-1]), order_plan(sql), other).outcome
        is Outcome.WRONG_ORDER
    )


def test_a_statement_sqlglot_cannot_read_keeps_its_order():
    plan = order_plan("SELECT a FROM t ORDER BY a $$$ ((")
    assert plan is not None
    assert plan.keyed_sql is None
    assert order_plan("SELECT a FROM (SELECT ORDER BY $$$ ((") is None
    assert order_plan("SELECT 'ORDER BY' $$$ ((") is None
    assert order_plan("") is None
    assert order_plan("CREATE TABLE t(a INT)") is None


def test_the_default_order_of_nulls_is_the_connections():
    with duckdb.connect() as connection:
        connection.execute(SETUP)
        connection.execute("SET default_null_order = 'nulls_first_on_asc_last_on_desc'")
        gold = "SELECT name FROM emp ORDER BY boss LIMIT 1"
        assert judge(connection, gold, "SELECT 'Fay'").is_match
        assert judge(connection, gold, "SELECT 'Ann'").is_match
        assert not judge(connection, gold, "SELECT 'Bob'").is_match


KEYS = [
    "k",
    "k DESC",
    "v",
    "k + v",
    "-k, v",
    "2",
    "v DESC NULLS FIRST",
    "k % 2, v NULLS LAST",
    "count(*) OVER (PARTITION BY k), v",
]
SELECTS = ["v", "k, v", "*", "v, k AS w", "k + v AS s, v"]
CELL = st.one_of(st.none(), st.integers(0, 2))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8),
    select=st.sampled_from(SELECTS),
    key=st.sampled_from(KEYS),
    limit=st.integers(0, 6),
    offset=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_any_shuffle_of_the_table_gives_a_right_answer(rows, select, key, limit, offset, seed):
    """The gold on shuffled rows is as right as the gold: whatever the ties, the verdict is a match."""
    if key == "2" and select in ("v", "k + v AS s, v"):
        key = "1"
    tail = f" LIMIT {limit} OFFSET {offset}" if limit else ""
    sql = f"SELECT {select} FROM t ORDER BY {key}{tail}"
    shuffled = rows[:]
    random.Random(seed).shuffle(shuffled)
    with duckdb.connect() as connection:
        gold = _run(connection, rows, sql)
        prediction = _run(connection, shuffled, sql)
        _fill(connection, rows)
        plan = order_plan(sql)
        keyed = fetch(connection.execute(plan.keyed_sql), MAX_ROWS) if plan.needs_keyed(gold) else None
        found = compare(gold, prediction, plan, keyed)
        assert found.is_match, (sql, gold, prediction, keyed, found)


def _fill(connection, rows):
    connection.execute("CREATE OR REPLACE TABLE t(k INTEGER, v INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", rows)


def _run(connection, rows, sql):
    _fill(connection, rows)
    return fetch(connection.execute(sql), MAX_ROWS)


@pytest.mark.parametrize("sql", ["SELECT a FROM t ORDER BY b LIMIT 2", "(SELECT DISTINCT a FROM t ORDER BY a LIMIT 1)"])
def test_a_tree_that_is_kept_stays_as_it_was(sql):
    before = [repr(tree) for tree in parsed(sql, "duckdb")]
    assert form_of(sql, ("duckdb",)) is not None
    assert "QUALIFY" in order_plan(sql).keyed_sql
    assert [repr(tree) for tree in parsed(sql, "duckdb")] == before
