"""A DuckDB file serves as a benchmark's database as an SQLite file does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from harness.benchmark import compact_file, load
from harness.dialect import file_kind, file_schema_text, materialise_file
from harness.errors import DataError
from harness.scoring import ScoreSettings, audit, score

SCRIPT = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE SEQUENCE numbers;
CREATE TABLE customer (id INT PRIMARY KEY DEFAULT nextval('numbers'), name TEXT NOT NULL, mood mood, since DATE);
CREATE TABLE "order line" (customer_id INT REFERENCES customer(id), price DECIMAL(10, 2), tags TEXT[],
    big HUGEINT, double_price DECIMAL(11, 2) GENERATED ALWAYS AS (2 * price));
CREATE SCHEMA shop;
CREATE TABLE shop.stock (item TEXT, n INT);
CREATE VIEW glad AS SELECT name FROM customer WHERE mood = 'glad';
CREATE VIEW secret AS SELECT * FROM read_csv('/etc/hostname');
INSERT INTO customer (name, mood, since) VALUES ('Ann', 'glad', '2024-01-02'), ('Bo', 'sad', NULL);
INSERT INTO "order line" VALUES (1, 9.99, ['a', 'b'], 170141183460469231731687303715884105727), (1, 0.01, NULL, -1);
INSERT INTO shop.stock VALUES ('nut', 7), ('bolt', 7);
"""


def make(path: Path, script: str = SCRIPT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name("made.duckdb")
    with duckdb.connect(str(made)) as connection:
        connection.execute(script)
    return made.rename(path)


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Path:
    make(tmp_path / "database" / "shop" / "shop.duckdb")
    (tmp_path / "benchmark.toml").write_text(
        'layout = "spider"\ndata = "q.csv"\nevaluate = "all"\ndialects = ["duckdb"]\n'
    )
    (tmp_path / "q.csv").write_text(
        "id,db_id,question,query\n"
        "a,shop,Who?,SELECT name FROM customer ORDER BY since\n"
        'b,shop,Dearest?,"SELECT max(price), any_value(list_sort(tags)) FROM ""order line"" WHERE tags IS NOT NULL"\n'
        "c,shop,Stock?,SELECT item FROM shop.stock ORDER BY n LIMIT 1\n"
        "d,shop,Month?,\"SELECT date_trunc('month', since) FROM customer WHERE mood = 'glad'\"\n"
        "e,shop,Add Cy,INSERT INTO customer (name) VALUES ('Cy')\n"
        "f,shop,The glad?,SELECT name FROM glad\n"
        "g,shop,Secret?,SELECT * FROM secret\n"
    )
    return tmp_path


def test_values_types_and_keys_come_along(bench):
    with duckdb.connect() as here:
        catalog = materialise_file(bench / "database" / "shop" / "shop.duckdb", here)
        assert here.execute("SELECT name, mood, since FROM customer ORDER BY id").fetchall() == [
            ("Ann", "glad", date(2024, 1, 2)),
            ("Bo", "sad", None),
        ]
        assert here.execute('SELECT * FROM "order line" ORDER BY price DESC').fetchall() == [
            (1, Decimal("9.99"), ["a", "b"], 2**127 - 1, Decimal("19.98")),
            (1, Decimal("0.01"), None, -1, Decimal("0.02")),
        ]
        here.execute("INSERT INTO customer (name) VALUES ('Cy')")
        assert here.execute("SELECT id FROM customer WHERE name = 'Cy'").fetchall() == [(3,)]
    assert catalog.primary_keys["customer"] == ("id",)
    assert [(key.table, key.parent) for key in catalog.foreign_keys] == [("order line", "customer")]


@pytest.mark.parametrize(
    ("kind", "literal"),
    [
        ("TIMETZ", "'12:30:00+02'"),
        ("TIMESTAMPTZ", "'2024-01-02 03:04:05+00'"),
        ("TIMESTAMP_NS", "'2024-01-02 03:04:05.123456789'"),
        ("TIME", "'12:30:00.5'"),
        ("UUID", "'eeccb8c5-9943-b2bb-bb5e-222f4e14b687'"),
        ("BIT", "'10110'"),
        ("INTERVAL", "'1 month 2 days 03:00:00'"),
        ("MAP(TEXT, INT)", "MAP {'a': 1}"),
        ("STRUCT(a INT, b TEXT[])", "{'a': 1, 'b': ['x']}"),
        ("UHUGEINT", "340282366920938463463374607431768211455"),
        ("DECIMAL(38, 10)", "1234567890123456789012345678.0123456789"),
        ("BLOB", r"'\xAA\x00'"),
        ("UNION(n INT, t TEXT)", "union_value(t := 'x')"),
        ("JSON", "'{\"a\": 1}'"),
        ("INT[2]", "[1, 2]"),
        ("DOUBLE", "'nan'"),
    ],
)
def test_every_kind_of_value_stays_what_it_was(tmp_path, kind, literal):
    path = make(tmp_path / "t.duckdb", f"CREATE TABLE t AS SELECT CAST({literal} AS {kind}) AS v UNION ALL SELECT NULL")
    asked = "SELECT typeof(v), v::VARCHAR FROM t ORDER BY v IS NULL"
    with duckdb.connect(str(path), read_only=True) as there:
        expected = there.execute(asked).fetchall()
    with duckdb.connect() as here:
        materialise_file(path, here)
        assert here.execute(asked).fetchall() == expected


def test_golds_and_answers_run_on_it_in_the_workers(bench):
    benchmark = load(str(bench))
    items = benchmark.items()
    settings = ScoreSettings(dialects=benchmark.dialects, workers=1, suite=False)
    found = audit(items, settings)
    assert dict(found.unusable_ids) == {"gold_error": ("g",)}
    assert found.findings["tie_under_limit"] == ("c",)
    answers = {item.id: item.golds[0] for item in items} | {"a": "SELECT name FROM customer LIMIT 1"}
    answers["e"] = "INSERT INTO customer (id, name) VALUES (3, 'Cy')"
    outcomes = {verdict.id: str(verdict.outcome) for verdict in score(items, answers, settings)}
    assert outcomes == dict.fromkeys("bcdef", "correct") | {"a": "wrong_row_count", "g": "gold_error"}


def test_witness_databases_are_made_from_it(bench):
    items = [item for item in load(str(bench)).items() if item.id in "acd"]
    settings = ScoreSettings(dialects=("duckdb",), workers=1, suite=True)
    answers = {"a": "SELECT name FROM customer", "c": "SELECT 'nut'", "d": items[2].golds[0]}
    verdicts = {verdict.id: verdict for verdict in score(items, answers, settings)}
    assert verdicts["c"].matches["default"]
    assert verdicts["c"].suite_match is False
    assert verdicts["d"].suite_match is True


def test_the_prompt_shows_its_schema_in_both_ways(bench):
    path = str(bench / "database" / "shop" / "shop.duckdb")
    text = file_schema_text(path, 1)
    assert "CREATE TABLE customer(id INTEGER" in text
    assert "1 rows of customer:\nid\tname\tmood\tsince\n1\tAnn\tglad\t2024-01-02" in text
    assert "PRIMARY KEY" in text
    lines = compact_file(path, 2).splitlines()
    assert "since date ['2024-01-02']" in next(line for line in lines if line.startswith("customer("))
    assert any("customer_id integer references customer(id) [1]" in line for line in lines)
    assert any(line.startswith("\"shop\".\"stock\"(item varchar ['nut', 'bolt']") for line in lines)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_nothing_in_a_table_ends_the_comment_of_its_sample_rows(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    table = 'CREATE TABLE "odd */ name" ("col */\n DROP" TEXT, b TEXT)'
    rows = f"""INSERT INTO "odd */ name" VALUES ('*/ DROP TABLE x; /*', NULL), ('two\nlines', 'long {"x" * 60}')"""
    with closing(sqlite3.connect(path) if kind == "sqlite" else duckdb.connect(str(path))) as connection:
        connection.execute(table)
        connection.execute(rows)
        connection.commit()
    text = file_schema_text(path, 2)
    comment = text[text.index(";\n/*") + 2 :]
    assert comment.splitlines() == [
        "/*",
        "2 rows of odd * / name:",
        "col * /  DROP\tb",
        "* / DROP TABLE x; /*\tNULL",
        "two lines\tlong " + "x" * 34 + "…",
        "*/",
    ]


def test_what_is_no_database_is_one_sentence(tmp_path):
    (tmp_path / "t.duckdb").write_bytes(b"12345678DUCK" + b"\0" * 5000)
    (tmp_path / "t.sqlite").write_bytes(b"not a database at all")
    assert file_kind(tmp_path / "t.duckdb") == "duckdb"
    assert file_kind(tmp_path / "t.sqlite") is file_kind(tmp_path / "none") is None
    for name in ("t.duckdb", "t.sqlite", "none.sqlite"):
        with pytest.raises(DataError, match=r"t\.|none"):
            file_schema_text(tmp_path / name)


def test_a_file_that_a_program_writes_to_is_refused_with_the_remedy(tmp_path):
    path = make(tmp_path / "t.duckdb")
    import subprocess
    import sys

    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(DataError, match="close the program that has it open"):
            file_schema_text(path)
        assert other.stdin is not None
        other.stdin.close()
