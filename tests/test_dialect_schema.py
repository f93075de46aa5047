# ruff: noqa: E501 - one case a line reads as a table
from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import duckdb
import pytest

from harness.dialect import declared_catalog, materialise_sqlite, read_catalog, sqlite_schema_text, translate_schema
from harness.errors import DataError

MIXED = ("duckdb", "mysql", "sqlite", "postgres", "tsql")


def _load(script: str, dialects: tuple[str, ...] = MIXED):
    connection = duckdb.connect()

    def run(sql: str) -> str | None:
        try:
            connection.execute(sql)
        except duckdb.Error as error:
            return str(error)
        return None

    return connection, translate_schema(script, dialects, run)


CREATES = [
    ("CREATE TABLE t (a INT, b TEXT)", "duckdb"),
    ("CREATE TABLE t (a INT(11), b TINYINT(1))", "mysql+type_width"),
    ("CREATE TABLE t (a INT) ENGINE=InnoDB DEFAULT CHARSET=utf8", "mysql"),
    ("CREATE TABLE t (a INT, INDEX (a))", "mysql+index_clause"),
    ("CREATE TABLE t (a INT, KEY idx_a (a))", "mysql+index_clause"),
    ("CREATE TABLE t (a VARCHAR(MAX), b NVARCHAR(MAX))", "mysql+type_width"),
    ("CREATE TABLE t (a MONEY)", "sqlite+unknown_type"),
    ("CREATE TABLE t (a POINT, b YEAR)", "sqlite+unknown_type"),
    ("CREATE TABLE t (a INT COMMENT 'x', b TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)", "mysql+column_option"),
    ("CREATE TABLE t (a INT, order INT)", "mysql"),
    ("CREATE TABLE t (a INT REFERENCES nowhere(id))", "mysql+foreign_key"),
    ("CREATE TABLE t (a INT, b INT, FOREIGN KEY (b) REFERENCES nowhere(id))", "mysql+foreign_key"),
    ("CREATE TABLE t (a, b)", "mysql+unknown_type"),
    ("CREATE TABLE t (a INT PRIMARY KEY, PRIMARY KEY (a))", "mysql+repeated_key"),
    ("CREATE TABLE t (a INT, A INT)", "mysql+repeated_column"),
    ("CREATE TABLE t (a DATETIME DEFAULT getdate())", "mysql+default_value"),
    ("CREATE TABLE t ([a] INT)", "sqlite"),
    ("SET FOREIGN_KEY_CHECKS = 0; CREATE TABLE t (a INT)", "duckdb+session_statement"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "road"), CREATES, ids=[script for script, _ in CREATES])
def test_a_foreign_create_table_loads_by_a_named_road(script: str, road: str) -> None:
    connection, loaded = _load(script)
    assert loaded.errors == ()
    assert road in [str(one) for one in loaded.roads]
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    again = duckdb.connect()
    for statement in loaded.statements:
        again.execute(statement)
    assert again.execute("DESCRIBE t").fetchall() == connection.execute("DESCRIBE t").fetchall()


@pytest.mark.parametrize(
    "create",
    [
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n TEXT)",
        "CREATE TABLE t (id SERIAL PRIMARY KEY, n TEXT)",
        "CREATE TABLE t (id BIGSERIAL, n TEXT)",
        "CREATE TABLE t (id INT IDENTITY(1,1) PRIMARY KEY, n TEXT)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n TEXT)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT)",
    ],
)
def test_counting_columns_count(create: str) -> None:
    connection, loaded = _load(f"{create}; INSERT INTO t (n) VALUES ('a'), ('b'); INSERT INTO t (n) VALUES (\"c\");")
    assert loaded.errors == ()
    assert connection.execute("SELECT id, n FROM t ORDER BY id").fetchall() == [(1, "a"), (2, "b"), (3, "c")]


def test_reals_are_64_bit_where_the_first_dialect_has_them_so() -> None:
    script = "CREATE TABLE t (a REAL, b FLOAT); INSERT INTO t VALUES (0.1, 0.1)"
    connection, loaded = _load(script, ("sqlite",))
    assert connection.execute("SELECT a + b FROM t").fetchall() == [(0.2,)]
    assert str(loaded.roads[0]) == "duckdb+real_is_double"
    _, loaded = _load(script, ("duckdb",))
    assert str(loaded.roads[0]) == "duckdb"


def test_a_table_created_twice_has_the_columns_of_both() -> None:
    connection, loaded = _load("CREATE TABLE t (a INT); CREATE TABLE T (a INT, b TEXT)", ("sqlite", "mysql"))
    assert loaded.errors == ()
    assert [row[0] for row in connection.execute("DESCRIBE t").fetchall()] == ["a", "b"]


def test_rows_that_break_an_unenforced_foreign_key_are_loaded() -> None:
    script = (
        "CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE c (id INT, p INT, FOREIGN KEY (p) REFERENCES p(id));"
        "INSERT INTO c VALUES (1, 9); INSERT INTO p VALUES (1);"
    )
    connection, loaded = _load(script, ("sqlite",))
    assert loaded.errors == ()
    assert connection.execute("SELECT * FROM c").fetchall() == [(1, 9)]
    assert "foreign_key" in loaded.roads[1].repairs
    _, loaded = _load(script, ("postgres",))
    assert len(loaded.errors) == 1


def test_statements_that_make_nothing_are_passed_over_and_schemas_are_where_the_dialect_has_them() -> None:
    for script, query in [
        ("CREATE TABLE t (a INT); INSERT INTO t VALUES (1); SELECT * FROM t", "SELECT a FROM t"),
        ("CREATE TABLE public.t (a INT); INSERT INTO public.t VALUES (1)", "SELECT a FROM t"),
        ("CREATE TABLE dbo.t (a INT); INSERT INTO dbo.t VALUES (1)", "SELECT a FROM t"),
        ("CREATE TABLE sales.t (a INT); INSERT INTO sales.t VALUES (1)", "SELECT a FROM sales.t"),
    ]:
        connection, loaded = _load(script)
        assert loaded.errors == ()
        assert connection.execute(query).fetchall() == [(1,)]


def test_what_does_not_load_is_told() -> None:
    _, loaded = _load("CREATE TABLE t (a INT); INSERT INTO t VALUES ('x'); INSERT INTO nowhere VALUES (1)")
    assert len(loaded.errors) == 2
    assert "nowhere" in loaded.errors[1]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE parent (id INTEGER PRIMARY KEY, "odd name" TEXT);
        CREATE TABLE child (id INT, parent_id INT REFERENCES parent(id), dirty INT, mixed REAL, empty DATE, raw BLOB,
                            big INTEGER, PRIMARY KEY (id, parent_id));
        INSERT INTO parent VALUES (1, 'a"b'), (2, NULL);
        INSERT INTO child VALUES (1, 1, 5, 1.5, NULL, x'00ff', 9007199254740993), (2, 1, 'n/a', 2, NULL, NULL, 1);
        CREATE VIEW pairs AS SELECT p.id FROM parent p JOIN child c ON p.id = c.parent_id;
        """
    )
    connection.commit()
    connection.close()
    return path


def test_an_sqlite_file_comes_over_without_loss(database: Path) -> None:
    duck = duckdb.connect()
    catalog = materialise_sqlite(database, duck)
    assert duck.execute("SELECT * FROM parent ORDER BY id").fetchall() == [(1, 'a"b'), (2, None)]
    assert duck.execute("SELECT dirty, mixed, empty, raw, big FROM child ORDER BY id").fetchall() == [
        ("5", 1.5, None, b"\x00\xff", 9007199254740993),
        ("n/a", 2.0, None, None, 1),
    ]
    assert catalog["CHILD"]["dirty"] == "VARCHAR"
    assert catalog.primary_keys["child"] == ("id", "parent_id")
    assert [(key.table, key.columns, key.parent, key.parent_columns) for key in catalog.foreign_keys] == [
        ("child", ("parent_id",), "parent", ("id",))
    ]
    assert duck.execute("SELECT * FROM pairs").fetchall() == [(1,), (1,)]
    assert catalog["pairs"]["id"] == "BIGINT"


def test_the_schema_text_is_what_the_file_says(database: Path) -> None:
    text = sqlite_schema_text(database)
    assert 'CREATE TABLE parent (id INTEGER PRIMARY KEY, "odd name" TEXT);' in text
    assert "REFERENCES parent(id)" in text
    assert "rows of" not in text
    sampled = sqlite_schema_text(database, sample_rows=1)
    assert '/*\n1 rows of parent:\nid\todd name\n1\ta"b\n*/' in sampled
    assert "2\tNULL" not in sampled


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no SQLite database at"):
        materialise_sqlite(tmp_path / "absent.sqlite", duckdb.connect())
    (tmp_path / "text.sqlite").write_text("not a database, only text that is long enough to be read as a header" * 20)
    with pytest.raises(DataError, match="not a readable SQLite database"):
        sqlite_schema_text(tmp_path / "text.sqlite")


def _same_catalog(script: str, dialects: tuple[str, ...]) -> bool:
    """Whether a catalog was declared; it must be DuckDB's own where it was."""
    connection, loaded = _load(script, dialects)
    declared = declared_catalog(loaded.statements)
    if declared is None or loaded.errors:
        return False
    known = read_catalog(connection)
    assert {table: list(columns) for table, columns in declared.items()} == {
        table: list(columns) for table, columns in known.items()
    }
    for table in known:
        for column in known[table]:
            assert declared.column_classes(column) == known.column_classes(column), (script, table, column)
    return True


@pytest.mark.parametrize(
    ("script", "declared"),
    [
        ("CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(20) NOT NULL, c DECIMAL(10, 2) DEFAULT 3, UNIQUE (a, b))", True),
        (
            'CREATE TABLE IF NOT EXISTS "T x" ("a, b" TEXT, c TIMESTAMP, PRIMARY KEY ("a, b")); INSERT INTO "T x" VALUES (\'CREATE TABLE u(i INT)\', NULL)',
            True,
        ),
        ("CREATE TABLE t (a DOUBLE PRECISION CHECK (a > 0), b BOOLEAN, c DATE, e TIMESTAMP WITH TIME ZONE)", True),
        ("CREATE TABLE t (a INT[])", False),
        ("CREATE TABLE t (a DECIMAL(10, 2)[])", False),
        ("CREATE TABLE t (a STRUCT(b INT))", False),
        ("CREATE TABLE t AS SELECT 1 AS a", False),
        ("CREATE TABLE t (a INT); ALTER TABLE t ADD COLUMN b INT", False),
        ("CREATE TABLE t (a INT); CREATE VIEW v AS SELECT a FROM t", False),
        ("CREATE TABLE t (a INT); CREATE TABLE IF NOT EXISTS T (b INT)", False),
        ("CREATE TABLE s.t (a INT)", False),
        ("CREATE TABLE t (a INT); DROP TABLE t", False),
    ],
)
def test_a_declared_catalog_is_duckdbs_own(script: str, declared: bool) -> None:
    assert _same_catalog(script, ("duckdb",)) is declared


def test_declared_catalogs_of_real_schemas_are_duckdbs_own(shared_data: Path) -> None:
    lines = (shared_data / "sql_create_context" / "rows.jsonl").read_text("utf-8").splitlines()
    contexts = [json.loads(line)["context"] for line in random.Random(3).sample(lines, 40)]
    declared = sum(_same_catalog(context, ("sqlite", "mysql")) for context in contexts)
    assert declared > 25
