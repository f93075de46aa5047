# ruff: noqa: E501 - one case a line reads as a table
from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from sql_spellings import near_miss, respell

from harness.dialect import Catalog
from harness.sqltext import exact_match, normal_text

SQLITE = ("sqlite",)
CATALOG = Catalog({"t": {"id": "BIGINT", "a": "VARCHAR", "b": "BIGINT"}, "u": {"id": "BIGINT", "c": "VARCHAR"}})

STRINGS = [
    ("SELECT a FROM t", "select  a\nfrom T ;", True),
    ("SELECT a FROM t", "SELECT a FROM t -- the end", True),
    ("SELECT 'Ann' FROM t", "SELECT 'ann' FROM t", False),
    ("SELECT 'a  b'", "SELECT 'a b'", False),
    ('SELECT "A" FROM t', 'SELECT "a" FROM t', False),
    ("SELECT a FROM t", "SELECT b FROM t", False),
    ("SELECT a, b FROM t", "SELECT a,b FROM t", True),
]  # fmt: skip
EQUAL = [
    ("SELECT name FROM singer WHERE age > 3 AND x = 'a'", "select T1.name from singer as T1 where 'a' = T1.x and 3 < T1.age"),
    ("SELECT t.a FROM t JOIN u ON t.id = u.id", "SELECT t.a FROM u INNER JOIN t ON u.id = t.id"),
    ("SELECT t.a FROM t JOIN u ON t.id = u.id WHERE u.c = 1", "SELECT x.a FROM t x, u y WHERE y.c = 1 AND x.id = y.id"),
    ("SELECT count(*) FROM t", "SELECT COUNT(1) AS n FROM t"),
    ("SELECT a FROM t WHERE a IN ('x', 'y')", "SELECT a FROM t WHERE a = 'y' OR a = 'x'"),
    ("SELECT a FROM t WHERE b = 1 OR a IN ('x', 'y')", "SELECT a FROM t WHERE a = 'y' OR (a = 'x' OR b = 1)"),
    ("SELECT a FROM t WHERE a NOT IN (1, 2)", "SELECT a FROM t WHERE a <> 2 AND a != 1"),
    ("SELECT a FROM t WHERE NOT (a = 1 OR b = 2)", "SELECT a FROM t WHERE a <> 1 AND b != 2"),
    ("SELECT a FROM t WHERE NOT (NOT (a = 1 AND b > 2))", "SELECT a FROM t WHERE 2 < b AND a = 1"),
    ("SELECT a FROM t WHERE b BETWEEN 1 AND 3 AND a = 1", "SELECT a FROM t WHERE b >= 1 AND b <= 3 AND a = 1"),
    ("SELECT a FROM t WHERE b NOT BETWEEN 1 AND 3", "SELECT a FROM t WHERE b < 1 OR b > 3"),
    ("SELECT a, count(*) AS c FROM t GROUP BY a ORDER BY c DESC", "SELECT a, count(*) FROM t GROUP BY 1 ORDER BY 2 DESC"),
    ("SELECT a FROM t ORDER BY a, b DESC", "SELECT a FROM t ORDER BY a ASC, b DESC"),
    ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)", "SELECT a FROM t WHERE EXISTS (SELECT * FROM u WHERE t.id = u.id)"),
    ("SELECT a FROM t UNION SELECT c FROM u", "SELECT c FROM u UNION SELECT a FROM t"),
    ("SELECT a FROM t GROUP BY a, b", "SELECT a FROM t GROUP BY b, a"),
    ("WITH x AS (SELECT a FROM t) SELECT a FROM x", "WITH y AS (SELECT a FROM t) SELECT a FROM y"),
    ("SELECT a FROM t LIMIT 3", "SELECT t.a FROM t LIMIT 3 OFFSET 0"),
    ("INSERT INTO t (id) VALUES (1)", "insert into T(ID) values (1)"),
    ("SELECT b + 1 FROM t", "SELECT 1 + b FROM t"),
]  # fmt: skip
UNEQUAL = [
    ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 2"),
    ("SELECT a FROM t LEFT JOIN u ON t.id = u.id", "SELECT a FROM u LEFT JOIN t ON t.id = u.id"),
    ("SELECT a FROM t LEFT JOIN u ON t.id = u.id AND u.c = 1", "SELECT a FROM t LEFT JOIN u ON t.id = u.id WHERE u.c = 1"),
    ("SELECT a FROM t LEFT JOIN u ON t.id = u.id", "SELECT a FROM t JOIN u ON t.id = u.id"),
    ('SELECT a FROM t WHERE a = "France"', 'SELECT a FROM t WHERE a = "france"'),
    ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a DESC"),
    ("SELECT a FROM t ORDER BY a", "SELECT a FROM t"),
    ("SELECT a, b FROM t", "SELECT b, a FROM t"),
    ("SELECT count(*) FROM t", "SELECT count(DISTINCT 1) FROM t"),
    ("SELECT count(*) FROM t", "SELECT count(a) FROM t"),
    ("SELECT a FROM t", "SELECT DISTINCT a FROM t"),
    ("SELECT a - b FROM t", "SELECT b - a FROM t"),
    ("SELECT a || b FROM t", "SELECT b || a FROM t"),
    ("SELECT a FROM t WHERE a = 1 OR b = 2 AND id = 3", "SELECT a FROM t WHERE (a = 1 OR b = 2) AND id = 3"),
    ("SELECT a FROM t UNION SELECT c FROM u", "SELECT a FROM t UNION ALL SELECT c FROM u"),
    ("SELECT a FROM t EXCEPT SELECT c FROM u", "SELECT c FROM u EXCEPT SELECT a FROM t"),
    ("SELECT a FROM t JOIN u ON t.id = u.id LIMIT 1", "SELECT a FROM u JOIN t ON t.id = u.id LIMIT 1"),
    ("SELECT * FROM t JOIN u ON t.id = u.id", "SELECT * FROM u JOIN t ON t.id = u.id"),
    ("SELECT x.a FROM t x JOIN t y ON x.id = y.b", "SELECT y.a FROM t x JOIN t y ON x.id = y.b"),
    ("SELECT a FROM t WHERE id IN (SELECT id FROM u)", "SELECT a FROM t WHERE id IN (SELECT u.id FROM u)"),
    ("SELECT b AS x, id AS y, x + 1 FROM t", "SELECT b AS y, id AS x, x + 1 FROM t"),
    ("SELECT q.x FROM (SELECT a AS x, b AS y FROM t) AS q", "SELECT q.x FROM (SELECT a AS y, b AS x FROM t) AS q"),
    ("CREATE VIEW v AS SELECT a AS x FROM t", "CREATE VIEW v AS SELECT a AS y FROM t"),
    ("SELECT X'AB'", "SELECT X'AC'"),
    ("SELECT a FROM t WHERE a LIKE 'x%'", "SELECT a FROM t WHERE a LIKE 'X%'"),
    ("SELECT a FROM t ORDER BY a LIMIT 1", "SELECT a FROM t ORDER BY a LIMIT 2"),
    ("SELECT 1; SELECT 2", "SELECT 2; SELECT 1"),
    ("SELECT a FROM t", "not sql"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "prediction", "same"), STRINGS)
def test_string_match_never_looks_into_quotes(gold: str, prediction: str, same: bool) -> None:
    assert exact_match(gold, prediction, SQLITE).string is same


@pytest.mark.parametrize(("gold", "prediction"), EQUAL, ids=[gold for gold, _ in EQUAL])
def test_equivalent_spellings_are_the_same_tree(gold: str, prediction: str) -> None:
    for one, other in ((gold, prediction), (prediction, gold)):
        found = exact_match(one, other, SQLITE)
        assert found.exact
        assert found.structural


@pytest.mark.parametrize(("gold", "prediction"), UNEQUAL, ids=[f"{a} | {b}" for a, b in UNEQUAL])
def test_what_may_answer_differently_is_another_tree(gold: str, prediction: str) -> None:
    assert not exact_match(gold, prediction, SQLITE).exact
    assert not exact_match(prediction, gold, SQLITE).exact


def test_structure_ignores_constants_only() -> None:
    found = exact_match("SELECT a FROM t WHERE b > 1 LIMIT 2", "SELECT a FROM t WHERE b > 7 LIMIT 3", SQLITE)
    assert (found.string, found.exact, found.structural) == (False, False, True)
    assert not exact_match("SELECT a FROM t WHERE b > 1", "SELECT a FROM t WHERE b < 1", SQLITE).structural


@pytest.mark.parametrize(
    ("gold", "prediction", "same"),
    [
        ('SELECT a FROM t WHERE a = "France"', "SELECT a FROM t WHERE a = 'France'", True),
        ('SELECT "a" FROM t', "SELECT a FROM t", True),
        ('SELECT a FROM t WHERE a = "b"', "SELECT a FROM t WHERE a = 'b'", False),
        ("SELECT a FROM t JOIN u ON t.id = u.id", "SELECT t.a FROM t JOIN u ON t.id = u.id", True),
        ("SELECT a FROM t WHERE id IN (SELECT id FROM u)", "SELECT a FROM t WHERE id IN (SELECT u.id FROM u)", True),
    ],
)
def test_a_catalog_tells_strings_and_owners(gold: str, prediction: str, same: bool) -> None:
    assert exact_match(gold, prediction, SQLITE, CATALOG).exact is same


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "SELECT 1 WHERE 1 IN (" + ",".join(map(str, range(200_000))) + ")",
        "SELECT 1" + "+1" * 20_000,
        "SELECT 1" + " UNION SELECT 1" * 3_000,
        "SELECT 1 WHERE " + "NOT (" * 90 + "a = 1 AND b = 2" + ")" * 90,
        "SELECT 1 WHERE a" + " IN (1, 2, 3, 4)" * 100,
        "SELECT 1 WHERE a" + " BETWEEN 1 AND 2" * 100,
        "SELECT 1\0",
        "SELECT '\ud800'",
    ],
    ids=["parentheses", "in-list", "sum", "union", "not", "in-chain", "between-chain", "nul", "surrogate"],
)
def test_the_worst_statement_takes_a_moment(sql: str) -> None:
    started = time.process_time()
    assert not exact_match("SELECT a FROM t", sql, ("sqlite", "mysql")).exact
    assert exact_match(sql, sql + " ", SQLITE).string
    assert time.process_time() - started < 8


def _golds(shared_data: Path, count: int) -> list[str]:
    rows = [json.loads(line) for line in (shared_data / "spider" / "train.jsonl").read_text("utf-8").splitlines()]
    return [row["query"] for row in random.Random(5).sample(rows, count)]


def test_spider_golds_match_their_other_spellings_and_no_near_miss(shared_data: Path) -> None:
    """All of Spider train is checked, and executed, by benchmarks/speed/exact_match_table.py."""
    rng = random.Random(11)
    for gold in _golds(shared_data, 400):
        spelt = respell(gold, rng)
        if spelt is not None:
            assert exact_match(gold, spelt[0], SQLITE).exact, (gold, spelt)
        missed = near_miss(gold, rng)
        if missed is not None:
            assert not exact_match(gold, missed[0], SQLITE).exact, (gold, missed)


def test_normal_text_is_its_own_normal_text() -> None:
    for gold, prediction in EQUAL + UNEQUAL:
        for sql in (gold, prediction):
            assert normal_text(normal_text(sql)) == normal_text(sql)
