"""Every DuckDB type through a real connection: fetched whole, equal to itself, told apart from its near misses."""

# ruff: noqa: DTZ001 (naive datetimes are what DuckDB hands over)
from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import duckdb
import pytest

from harness.answer import compare, fetch, query


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def instant(value):
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


FETCHED = {
    "true": ("BOOLEAN", True),
    "1::TINYINT": ("TINYINT", 1),
    "1::UBIGINT": ("UBIGINT", 1),
    "170141183460469231731687303715884105727::HUGEINT": ("HUGEINT", 2**127 - 1),
    "340282366920938463463374607431768211455::UHUGEINT": ("UHUGEINT", 2**128 - 1),
    "123456789012345678901234567890123456789012345::BIGNUM": ("BIGNUM", 123456789012345678901234567890123456789012345),
    "1.250::DECIMAL(18,3)": ("DECIMAL(18,3)", Decimal("1.250")),
    "12345678901234567890123456789012345678::DECIMAL(38,0)": (
        "DECIMAL(38,0)",
        Decimal(12345678901234567890123456789012345678),
    ),
    "1.5::FLOAT": ("FLOAT", 1.5),
    "'inf'::DOUBLE": ("DOUBLE", float("inf")),
    "0.1::DOUBLE + 0.2": ("DOUBLE", 0.1 + 0.2),
    "DATE '2020-02-29'": ("DATE", date(2020, 2, 29)),
    "DATE '9999-12-31'": ("DATE", date(9999, 12, 31)),
    "DATE 'infinity'": ("DATE", "infinity"),
    "DATE '10000-01-01'": ("DATE", "10000-01-01"),
    "DATE '2020-01-01 (BC)'": ("DATE", "2020-01-01 (BC)"),
    "TIME '10:00:00.5'": ("TIME", time(10, 0, 0, 500000)),
    "TIME_NS '10:00:00.123456789'": ("TIME_NS", "10:00:00.123456789"),
    "TIMETZ '10:00:00+02'": ("TIME WITH TIME ZONE", time(8, tzinfo=UTC)),
    "TIMESTAMP '2020-01-01 00:00:00.123456'": ("TIMESTAMP", datetime(2020, 1, 1, 0, 0, 0, 123456)),
    "TIMESTAMP '-infinity'": ("TIMESTAMP", "-infinity"),
    "TIMESTAMP_S '2020-01-01'": ("TIMESTAMP_S", datetime(2020, 1, 1)),
    "TIMESTAMP_MS '2020-01-01'": ("TIMESTAMP_MS", datetime(2020, 1, 1)),
    "TIMESTAMP_NS '2020-01-01 00:00:00.5'": ("TIMESTAMP_NS", datetime(2020, 1, 1, 0, 0, 0, 500000)),
    "TIMESTAMP_NS '2020-01-01 00:00:00.123456789'": ("TIMESTAMP_NS", "2020-01-01 00:00:00.123456789"),
    "TIMESTAMPTZ '2020-01-01 02:00:00+02'": ("TIMESTAMP WITH TIME ZONE", datetime(2020, 1, 1)),
    "TIMESTAMPTZ 'infinity'": ("TIMESTAMP WITH TIME ZONE", "infinity"),
    "INTERVAL '1 month 2 days 3 seconds'": ("INTERVAL", timedelta(days=32, seconds=3)),
    "'a\\x00b'::BLOB": ("BLOB", b"a\x00b"),
    "'00000000-0000-0000-0000-000000000005'::UUID": ("UUID", UUID(int=5)),
    "'101'::BIT": ("BIT", "101"),
    "'x'::ENUM('x', 'y')": ("ENUM('x', 'y')", "x"),
    "'{\"a\": 1}'::JSON": ("JSON", '{"a": 1}'),
    "'007'": ("VARCHAR", "007"),
    "'héllo ' || chr(0) || '🦆'": ("VARCHAR", "héllo \x00🦆"),
    "NULL": ('"NULL"', None),
    "[1, NULL, 3]": ("INTEGER[]", [1, None, 3]),
    "[[1.5], []]": ("DECIMAL(2,1)[][]", [[Decimal("1.5")], []]),
    "[1, 2]::INTEGER[2]": ("INTEGER[2]", (1, 2)),
    "{'a': 1, 'b': {'c': 'x'}}": ("STRUCT(a INTEGER, b STRUCT(c VARCHAR))", {"a": 1, "b": {"c": "x"}}),
    "MAP {'k': 1, 'j': NULL}": ("MAP(VARCHAR, INTEGER)", {"k": 1, "j": None}),
    "MAP {[1]: 'x'}": ("MAP(INTEGER[], VARCHAR)", {"key": [[1]], "value": ["x"]}),
    "union_value(k := 1)": ("UNION(k INTEGER)", 1),
}


@pytest.mark.parametrize("expression", FETCHED)
def test_a_value_of_every_type_comes_whole(connection, expression):
    type_name, value = FETCHED[expression]
    fetched = query(connection, f"SELECT {expression} AS x", 10)
    assert fetched.types == (type_name,)
    found = instant(fetched.rows[0][0])
    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize("expression", [*FETCHED, "'nan'::DOUBLE", "[{'a': 'nan'::FLOAT}]", "(-0.0)::DOUBLE"])
def test_a_value_of_every_type_is_the_same_as_itself_and_not_null(connection, expression):
    sql = f"SELECT {expression} AS x, 1 AS y UNION ALL SELECT NULL, 2"
    gold = query(connection, sql, 10)
    found = compare(gold, query(connection, f"SELECT y, x FROM ({sql}) ORDER BY y DESC", 10))
    assert found.matches["default"]
    if expression != "NULL":
        assert not compare(gold, query(connection, f"SELECT NULL AS x, y FROM ({sql})", 10)).matches["default"]


SAME_IN_DUCKDB = [
    ("1", "1.00"),
    ("1::HUGEINT", "1::DOUBLE"),
    ("0.3", "0.1::DOUBLE + 0.2"),
    ("true", "1"),
    ("DATE '2020-01-01'", "TIMESTAMP '2020-01-01'"),
    ("date_trunc('month', DATE '2020-01-15')", "DATE '2020-01-01'"),
    ("TIMESTAMPTZ '2020-01-01 02:00:00+02'", "TIMESTAMP '2020-01-01'"),
    ("INTERVAL '1 month'", "INTERVAL '30 days'"),
    ("INTERVAL '12 months'", "INTERVAL '1 year'"),
    ("[1, 2]", "[1, 2]::INTEGER[2]"),
    ("'x'::ENUM('x', 'y')", "'x'"),
    ("{'a': 1}", "{'A': 1.0}"),
    ("MAP {[1]: 1, [2]: 2}", "MAP {[2]: 2, [1]: 1}"),
    ("TIMESTAMP_NS '2020-01-01'", "TIMESTAMP_S '2020-01-01'"),
    ("sum(x) FROM range(3) AS t(x)", "3"),
    ("avg(x) FROM range(3) AS t(x)", "1"),
]
DIFFERENT_IN_DUCKDB = [
    ("'007'", "7"),
    ("'1'", "1"),
    ("1.00", "1.005"),
    ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105726::HUGEINT"),
    ("TIMESTAMP_NS '2020-01-01 00:00:00.123456789'", "TIMESTAMP_NS '2020-01-01 00:00:00.123456788'"),
    ("DATE 'infinity'", "DATE '9999-12-31'"),
    ("TIMESTAMP 'infinity'", "TIMESTAMP '9999-12-31 23:59:59.999999'"),
    ("DATE '2020-01-01'", "'2020-01-01'"),
    ("INTERVAL '1 month'", "INTERVAL '31 days'"),
    ("'a'::BLOB", "'a'"),
    ("[1, 2]", "[2, 1]"),
    ("{'a': 1}", "{'b': 1}"),
    ("MAP {'a': 1}", "MAP {'a': 2}"),
    ("12345678901234567890123456789012345678::DECIMAL(38,0)", "12345600000000000000000000000000000000::DECIMAL(38,0)"),
]


@pytest.mark.parametrize(("one", "other"), SAME_IN_DUCKDB)
def test_the_same_value_in_two_types(connection, one, other):
    found = compare(query(connection, f"SELECT {one}", 10), query(connection, f"SELECT {other}", 10))
    assert found.matches["default"], found


@pytest.mark.parametrize(("one", "other"), DIFFERENT_IN_DUCKDB)
def test_different_values(connection, one, other):
    found = compare(query(connection, f"SELECT {one}", 10), query(connection, f"SELECT {other}", 10))
    assert not found.matches["default"], found


def test_repeated_column_names_are_kept(connection):
    fetched = fetch(connection.execute("SELECT 1 AS a, 2 AS a, 3 AS A"), 10)
    assert fetched.columns == ("a", "a", "A")
    assert fetched.rows == [(1, 2, 3)]


def test_the_row_limit_is_told(connection):
    assert not fetch(connection.execute("SELECT * FROM range(5)"), 5).truncated
    cut = fetch(connection.execute("SELECT * FROM range(6)"), 5)
    assert cut.truncated
    assert len(cut.rows) == 5
    assert fetch(connection.execute("SELECT 1"), 5).rows == [(1,)]
    assert fetch(connection.sql("SELECT * FROM range(6) AS t(x)"), 5) == cut.__class__(
        ("x",), ("BIGINT",), cut.rows, True
    )


def test_statements_without_rows_and_that_write(connection):
    connection.execute("CREATE OR REPLACE TABLE w(a TIMESTAMP_NS)")
    assert query(connection, "SELECT a FROM w", 5).rows == []
    written = query(connection, "INSERT INTO w VALUES ('2020-01-01 00:00:00.123456789') RETURNING a", 5)
    assert len(written.rows) == 1
    assert connection.execute("SELECT count(*) FROM w").fetchall() == [(1,)]


def test_order_and_a_closing_comment_survive_the_second_look(connection):
    sql = """SELECT * FROM (VALUES (DATE 'infinity', 2), (NULL, 3), (DATE '2020-01-01', 1)) AS t(d, n)
        ORDER BY n DESC; -- ';' the end"""
    assert query(connection, sql, 5).rows == [(None, 3), ("infinity", 2), (date(2020, 1, 1), 1)]


WITHOUT_PYTZ = """
import sys
sys.modules["pytz"] = None
import duckdb
from harness.answer import query
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
sql = "SELECT TIMESTAMPTZ '2020-01-01 02:00:00+02' AS t, [TIMESTAMPTZ '2020-01-01 00:00:00+00'] AS u"
table = query(connection, sql, 5)
assert [str(table.rows[0][0]), str(table.rows[0][1][0])] == ["2020-01-01 00:00:00"] * 2, table
assert table.types[0] == "TIMESTAMP WITH TIME ZONE"
"""


def test_zoned_timestamps_do_without_pytz():
    done = subprocess.run([sys.executable, "-c", WITHOUT_PYTZ], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_duckdb_raises_is_passed_on(connection):
    with pytest.raises(duckdb.ConversionException):
        query(connection, "SELECT 'x'::INTEGER", 5)
    with pytest.raises(duckdb.CatalogException):
        query(connection, "SELECT * FROM nowhere", 5)
