# ruff: noqa: E501 - one case a line reads as a table
from __future__ import annotations

import sqlite3

import duckdb
import pytest

from harness.dialect import Catalog, read_catalog, settings_of, translate, translate_after_error
from harness.dialect.repairs import MEANINGS, REPAIRS, RUNTIME
from harness.dialect.schema_repairs import SCHEMA_REPAIRS

TABLES = """
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, year TEXT, age INTEGER, height REAL, city TEXT);
INSERT INTO person VALUES (1, 'Ann', '2007', 30, 1.5, 'Bonn'), (2, 'bob', '2010', 41, 1.75, 'Paris'),
  (3, 'Cid', '99', 30, NULL, 'Bonn'), (4, 'ann', 'abc', NULL, 2.0, NULL), (5, 'Eve', '12kg', 7, 0.1, 'Rome');
CREATE TABLE pet (id INTEGER PRIMARY KEY, owner TEXT, kind TEXT, weight INTEGER);
INSERT INTO pet VALUES (1, '1', 'cat', 4), (2, '2', 'dog', 9), (3, '2', 'cat', 5), (4, 'x', 'eel', 2);
CREATE TABLE show (id INTEGER, "order" INTEGER);
INSERT INTO show VALUES (1, 7), (2, 8);
"""


def _bind(connection: duckdb.DuckDBPyConnection):
    def bind(sql: str) -> str | None:
        try:
            connection.execute("EXPLAIN " + sql)
        except duckdb.Error as error:
            return str(error)
        return None

    return bind


@pytest.fixture(scope="module")
def engines() -> tuple[sqlite3.Connection, duckdb.DuckDBPyConnection, Catalog]:
    lite = sqlite3.connect(":memory:")
    lite.executescript(TABLES)
    duck = duckdb.connect(config={"threads": 1})
    for statement in settings_of(("sqlite",)):
        duck.execute(statement)
    duck.execute(
        TABLES.replace("REAL", "DOUBLE").replace("TABLE show", 'TABLE "show"').replace("INTO show", 'INTO "show"')
    )
    return lite, duck, read_catalog(duck)


def _numbers(rows: list[tuple]) -> list[tuple]:
    return [
        tuple(float(v) if isinstance(v, (bool, int)) or type(v).__name__ == "Decimal" else v for v in row)
        for row in rows
    ]


SAME = [
    # as written
    ("SELECT name FROM person ORDER BY id", "duckdb"),
    ("SELECT name FROM person ORDER BY height, id", "duckdb"),
    ("SELECT name FROM person ORDER BY height DESC, id", "duckdb"),
    ("SELECT age / 4 FROM person ORDER BY id", "duckdb"),
    ("SELECT age / 0, 7 % 0 FROM person WHERE id = 1", "duckdb"),
    ("SELECT (SELECT kind FROM pet ORDER BY id) FROM person ORDER BY id", "duckdb"),
    ('SELECT "name" FROM person ORDER BY "id"', "duckdb"),
    # meaning written out where DuckDB would run and mean something else
    ("SELECT name FROM person WHERE name LIKE 'A%' ORDER BY id", "duckdb+like_case"),
    ("SELECT name FROM person WHERE name NOT LIKE '%B%' ORDER BY id", "duckdb+like_case"),
    ("SELECT name FROM person WHERE year = 2007", "duckdb+text_vs_number"),
    ("SELECT name FROM person WHERE year > 2007 ORDER BY id", "duckdb+text_vs_number"),
    ("SELECT name FROM person WHERE year IN (99, 2010) ORDER BY id", "duckdb+text_vs_number"),
    ("SELECT name FROM person WHERE year BETWEEN 2000 AND 2010 ORDER BY id", "duckdb+text_vs_number"),
    ("SELECT T1.name FROM person AS T1 WHERE 99 < T1.year ORDER BY T1.id", "duckdb+text_vs_number"),
    ("SELECT name, kind FROM person JOIN pet ON person.id = pet.owner ORDER BY pet.id", "sqlite+text_vs_number"),
    ("SELECT max(age, 35) FROM person ORDER BY id", "sqlite+scalar_extreme"),
    ("SELECT CAST(height AS INTEGER) FROM person ORDER BY id", "sqlite+cast_truncates"),
    ("SELECT CAST(year AS INTEGER) FROM person ORDER BY id", "sqlite+cast_truncates"),
    # repairs
    ('SELECT name FROM person WHERE city = "Bonn" ORDER BY id', "duckdb+double_quoted_string"),
    ('SELECT name FROM person WHERE city IN ("Bonn", "It\'s") ORDER BY id', "duckdb+double_quoted_string"),
    ('SELECT name FROM person WHERE name LIKE "%N%" ORDER BY id', "duckdb+like_case+double_quoted_string"),
    ('SELECT count(*) FROM pet AS T2 WHERE T2.kind <> "age" AND T2.kind <> "eel"', "sqlite+double_quoted_string"),
    ("SELECT city, name, count(*) FROM person GROUP BY city ORDER BY city", "sqlite+bare_column"),
    ("SELECT name, max(age) FROM person", "sqlite+bare_column"),
    ("SELECT name, min(height) FROM person", "sqlite+bare_column"),
    ("SELECT *, count(*) FROM pet GROUP BY kind ORDER BY kind", "sqlite+bare_column"),
    ("SELECT city FROM person GROUP BY city HAVING age > 10 ORDER BY count(*), city", "sqlite+bare_column"),
    ("SELECT sum(year), avg(year) FROM person", "sqlite+aggregate_over_text"),
    ("SELECT year + 1 FROM person ORDER BY id", "sqlite+arithmetic_over_text"),
    ("SELECT name FROM person WHERE id IN (SELECT owner FROM pet) ORDER BY id", "sqlite+text_vs_number"),
    ("SELECT name FROM person WHERE age LIKE '3%' ORDER BY id", "sqlite+like_case+text_function_over_number"),
    ("SELECT length(age), substr(age, 1, 1) FROM person ORDER BY id", "sqlite+text_function_over_number"),
    ("SELECT name FROM person WHERE age = 30 = 1 ORDER BY id", "sqlite+chained_comparison"),
    ("SELECT p.name FROM pet AS q JOIN person AS p ON p.id = s.id JOIN show AS s ON s.id = q.id", "sqlite+early_reference"),
    ("SELECT name FROM person ORDER BY id LIMIT 1, 2", "sqlite"),
    ("SELECT p.[name] FROM [person] AS p ORDER BY id LIMIT 1", "duckdb+bracket_name"),
    ("SELECT ifnull(height, 0), instr(name, 'n') FROM person ORDER BY id", "duckdb"),
    ("SELECT id FROM show ORDER BY id", "sqlite"),
    ("SELECT name FROM person WHERE age IS 30 ORDER BY id", "sqlite"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "road"), SAME, ids=[sql for sql, _ in SAME])
def test_sqlites_statements_answer_as_in_sqlite(engines, sql: str, road: str) -> None:
    lite, duck, catalog = engines
    found = translate(sql, ("sqlite",), _bind(duck), catalog)
    assert found.sql is not None, found.error
    assert _numbers(duck.execute(found.sql).fetchall()) == _numbers(lite.execute(sql).fetchall())
    assert str(found.road) == road


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM person WHERE age = 'abc'",
        "SELECT name FROM person WHERE age != 'abc' ORDER BY id",
        "SELECT name FROM person WHERE age < 'abc' ORDER BY id",
        "SELECT name FROM person WHERE age > '8' ORDER BY id",
        'SELECT name FROM person WHERE height != "null" ORDER BY id',
    ],
)
def test_a_conversion_error_gets_the_repair_its_dialect_has(engines, sql: str) -> None:
    lite, duck, catalog = engines
    found = translate(sql, ("sqlite",), _bind(duck), catalog)
    assert found.sql is not None
    try:
        rows = duck.execute(found.sql).fetchall()
    except duckdb.ConversionException as error:
        other = translate_after_error(found, str(error), ("sqlite",), _bind(duck), catalog)
        assert other is not None
        assert "text_vs_number" in other.road.repairs
        rows = duck.execute(other.sql).fetchall()
    assert rows == lite.execute(sql).fetchall()


def test_a_statement_that_runs_is_left_alone(engines) -> None:
    _, duck, catalog = engines
    asked: list[str] = []

    def bind(sql: str) -> str | None:
        asked.append(sql)
        return _bind(duck)(sql)

    sql = "SELECT p.name, count(*) FROM person AS p JOIN pet ON p.age = pet.weight GROUP BY p.name ORDER BY 2 DESC LIMIT 3"
    assert translate(sql, ("sqlite", "mysql"), bind, catalog).sql == sql
    assert asked == [sql]


@pytest.mark.parametrize("dialects", [("duckdb",), ("postgres",), ("duckdb", "postgres")])
@pytest.mark.parametrize(
    "sql",
    [
        'SELECT name FROM person WHERE city = "Bonn"',
        "SELECT city, name FROM person GROUP BY city",
        "SELECT sum(year) FROM person",
        "SELECT name FROM person WHERE year > 2007",
    ],
)
def test_a_prediction_gets_no_repair_that_the_golds_dialect_has_not(
    engines, sql: str, dialects: tuple[str, ...]
) -> None:
    _, duck, catalog = engines
    found = translate(sql, dialects, _bind(duck), catalog)
    assert found.sql is None
    assert found.error


def test_the_next_dialect_is_asked_only_when_the_first_is_exhausted(engines) -> None:
    """MySQL would read the column "name" as a string and bind."""
    _, duck, catalog = engines
    found = translate('SELECT "name" FROM person WHERE city = "Rome"', ("sqlite", "mysql"), _bind(duck), catalog)
    assert duck.execute(found.sql).fetchall() == [("Eve",)]


def test_mysql_means_what_mysql_means() -> None:
    duck = duckdb.connect()
    for statement in settings_of(("mysql",)):
        duck.execute(statement)
    duck.execute("CREATE TABLE t (name VARCHAR, n INTEGER); INSERT INTO t VALUES ('Ann', 7), ('bob', NULL)")
    bind, catalog = _bind(duck), read_catalog(duck)
    for sql, rows in [
        ('SELECT "name" FROM t', [("name",), ("name",)]),
        ("SELECT n / 2 FROM t WHERE name = 'ANN'", [(3.5,)]),
        ("SELECT name FROM t WHERE name LIKE 'BO%'", [("bob",)]),
        ("SELECT `name` FROM t ORDER BY n", [("bob",), ("Ann",)]),
        ("SELECT IFNULL(n, 0) FROM t LIMIT 1, 1", [(0,)]),
    ]:
        found = translate(sql, ("mysql",), bind, catalog)
        assert found.sql is not None, found.error
        assert duck.execute(found.sql).fetchall() == rows


EVERY = ("duckdb", "mysql", "sqlite", "postgres", "tsql", "snowflake", "oracle")
SHOP = (
    "CREATE TABLE orders (id INT PRIMARY KEY, customer TEXT, amount INT); INSERT INTO orders VALUES (1, 'Ann', 5), "
    "(2, 'Bob', NULL), (3, 'Ann', 7); CREATE TABLE vip (name TEXT, level INT); INSERT INTO vip VALUES ('Ann', 2)"
)


@pytest.mark.parametrize(
    ("sql", "shown", "rows"),
    [
        ("UPDATE orders o JOIN vip v ON o.customer = v.name SET o.amount = v.level WHERE o.id < 3", "", [2, None, 7]),
        ("UPDATE o SET o.amount = 9 FROM orders o JOIN vip v ON o.customer = v.name", "", [9, None, 9]),
        ("UPDATE orders o SET o.amount = 1", "", [1, 1, 1]),
        ("DELETE o FROM orders o JOIN vip v ON o.customer = v.name WHERE v.level = 2", "", [None]),
        ("DELETE orders FROM orders JOIN vip ON customer = name", "", [None]),
        ("TRUNCATE TABLE orders", "", []),
        ("INSERT IGNORE INTO orders VALUES (1, 'x', 99), (4, 'y', 4)", "", [5, None, 7, 4]),
        ("INSERT INTO orders VALUES (1, 'x', 99) ON DUPLICATE KEY UPDATE amount = VALUES(amount)", "", [99, None, 7]),
        ("INSERT IGNORE INTO vip VALUES ('Ann', 3)", "SELECT level FROM vip", [2, 3]),
        ("REPLACE INTO orders VALUES (1, 'x', 99)", "", [99, None, 7]),
        ("UPDATE public.orders SET amount = 0 WHERE id = 1", "", [0, None, 7]),
        ("SELECT customer, sum(amount) FROM orders GROUP BY customer WITH ROLLUP", None, [("Ann", 12), ("Bob", None), (None, 12)]),
        ("SELECT ISNULL(amount, 0) FROM dbo.orders", None, [(5,), (0,), (7,)]),
        ("SELECT ISNULL(amount) FROM orders", None, [(False,), (True,), (False,)]),
        ("SELECT TO_CHAR(DATE '2024-06-15', 'YYYY-MM')", None, [("2024-06",)]),
        ("SELECT JULIANDAY('2024-07-01') - JULIANDAY('2024-06-15')", None, [(16.0,)]),
        ("SELECT JULIANDAY('2024-07-01')", None, [(2460492.5,)]),
        ("SELECT 'public.orders' FROM public.orders LIMIT 1", None, [("public.orders",)]),
    ],
)  # fmt: skip
def test_statements_of_every_dialect_do_in_duckdb_what_they_do_at_home(sql, shown, rows) -> None:
    duck = duckdb.connect()
    duck.execute(SHOP)
    found = translate(sql, EVERY, _bind(duck), read_catalog(duck))
    assert found.sql is not None, found.error
    answer = duck.execute(found.sql).fetchall()
    if shown is not None:
        answer = [row[0] for row in duck.execute(shown or "SELECT amount FROM orders ORDER BY id").fetchall()]
    assert sorted(map(repr, answer)) == sorted(map(repr, rows))


@pytest.mark.parametrize(
    "sql", ["TRUNCATE TABLE orders", "INSERT IGNORE INTO orders VALUES (1, 'x', 9)", "SELECT 1 FROM public.orders"]
)
def test_sqlite_gets_no_statement_that_it_does_not_have(sql: str) -> None:
    duck = duckdb.connect()
    duck.execute(SHOP)
    assert translate(sql, ("sqlite",), _bind(duck), read_catalog(duck)).sql is None


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT",
        "SELECT (" * 5_000,
        "SELECT \0",
        "SELECT '\ud800'",
        "drop",
        "SELECT * FROM nowhere",
        "é" * 100,
        "`",
        "SELECT 1; SELECT 2",
    ],
)
def test_what_cannot_be_translated_is_told_not_raised(engines, sql: str) -> None:
    _, duck, catalog = engines

    def bind(text: str) -> str | None:
        try:
            duck.execute("EXPLAIN " + text)
        except Exception as error:
            return str(error) or "error"
        return "several statements"

    found = translate(sql, ("sqlite", "mysql", "postgres"), bind, catalog)
    assert found.sql is None
    assert found.error


def test_every_repair_has_one_name_and_a_sentence() -> None:
    repairs = {repair.name: repair.apply for repair in (*REPAIRS, *MEANINGS, *RUNTIME)}
    for group in (REPAIRS, MEANINGS, RUNTIME, SCHEMA_REPAIRS):
        names = [repair.name for repair in group]
        assert len(names) == len(set(names))
        for repair in group:
            assert repair.apply.__doc__
            assert repair.name == repair.apply.__name__
    assert all(repairs[repair.name] is repair.apply for repair in (*REPAIRS, *MEANINGS, *RUNTIME))
