# ruff: noqa: E501 - one case a line reads as a table
from __future__ import annotations

import time

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sqltext import Kind, kind_of_types, parseable, split_statements, statement_kind
from harness.sqltext.scan import scan

READS = [
    "SELECT 1", "select 1;", "SELECT 1; -- the end", "(SELECT 1) UNION (SELECT 2)", "WITH a AS (SELECT 1) SELECT * FROM a",
    "VALUES (1)", "FROM t", "/* x */ SELECT 1", "SELECT 'DROP TABLE t'", 'SELECT "delete" FROM t', "SHOW TABLES",
    "WITH a AS MATERIALIZED (SELECT 1), b(x) AS (SELECT 2) SELECT * FROM a, b", "SELECT 1 /* ; DROP TABLE t */",
    "DESCRIBE t", "SUMMARIZE t", "PIVOT t ON a", "SELECT replace(a, 'b', 'c') FROM t", "SELECT E'it\\'s; DROP TABLE t'",
    "SELECT $$; DROP TABLE t$$", "SELECT /* /* nested */ ; DROP TABLE t */ 1",
]  # fmt: skip
WRITES = [
    "INSERT INTO t VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t", "CREATE TABLE t (a INT)", "DROP TABLE t",
    "ALTER TABLE t ADD COLUMN b INT", "CREATE OR REPLACE VIEW v AS SELECT 1", "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
    "WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a", "TRUNCATE t", "SELECT 1; DROP TABLE t",
    "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "REPLACE INTO t VALUES (1)", "CREATE MACRO f() AS 1",
    "COMMENT ON TABLE t IS 'x'", "UPDATE extensions SET a = 1",
]  # fmt: skip
FORBIDDEN = [
    "BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "ABORT", "END", "SAVEPOINT a", "SET threads = 1", "RESET threads",
    "PRAGMA database_list", "ATTACH 'x.db'", "DETACH x", "USE x", "COPY t TO 'x.csv'", "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'", "INSTALL httpfs", "LOAD httpfs", "CALL pragma_version()", "CHECKPOINT", "VACUUM", "ANALYZE",
    "EXPLAIN SELECT 1", "EXPLAIN ANALYZE DELETE FROM t", "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p",
    "CREATE SECRET s (TYPE s3)", "CREATE OR REPLACE PERSISTENT SECRET s (TYPE s3)", "DROP SECRET s", "UPDATE EXTENSIONS",
    "SELECT 1; COMMIT", "WITH a AS (SELECT 1) COPY a TO 'x'", "FORCE INSTALL httpfs", "SELECT 1;; /* x */ ATTACH 'y'",
    "COPY FROM DATABASE a TO b", "SET VARIABLE x = 1", "CREATE DATABASE x",
]  # fmt: skip


@pytest.mark.parametrize("sql", READS)
def test_reading_statements_read(sql: str) -> None:
    assert statement_kind(sql) is Kind.READ


@pytest.mark.parametrize("sql", WRITES)
def test_writing_statements_write(sql: str) -> None:
    assert statement_kind(sql) is Kind.WRITE


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_what_leaves_the_item_is_forbidden(sql: str) -> None:
    assert statement_kind(sql) is Kind.FORBIDDEN


@pytest.mark.parametrize("sql", ["", " \n", ";;", "-- only", "/* only */", "I do not know.", "42", "'text'"])
def test_no_statement_is_none(sql: str) -> None:
    assert statement_kind(sql) is Kind.NONE


@pytest.mark.parametrize("sql", [*READS, *WRITES, *FORBIDDEN])
def test_duckdbs_own_parser_never_sees_more_than_the_words_say(sql: str) -> None:
    rank = [Kind.NONE, Kind.READ, Kind.WRITE, Kind.FORBIDDEN]
    try:
        types = [statement.type.name for statement in duckdb.extract_statements(sql)]
    except (duckdb.Error, ValueError):
        return
    assert rank.index(kind_of_types(types)) <= rank.index(statement_kind(sql))
    assert len(types) == len(split_statements(sql))


@pytest.mark.parametrize(
    ("sql", "pieces"),
    [
        ("SELECT 1; -- done", ["SELECT 1"]),
        ("SELECT 'a;b'; SELECT \"c;d\";", ["SELECT 'a;b'", 'SELECT "c;d"']),
        ("SELECT 1 -- a;b\n; SELECT 2", ["SELECT 1 -- a;b", "SELECT 2"]),
        ("SELECT 'it''s; x'", ["SELECT 'it''s; x'"]),
        ("SELECT 'it\\'s; x'", ["SELECT 'it\\'s; x'"]),
        ("SELECT `a;b`", ["SELECT `a;b`"]),
        (";;;", []),
        ("SELECT $x$ ; $x$; SELECT 2", ["SELECT $x$ ; $x$", "SELECT 2"]),
    ],
)
def test_statements_split_at_semicolons_outside_literals(sql: str, pieces: list[str]) -> None:
    assert split_statements(sql) == pieces


@given(st.text(alphabet="ab01 '\"`;-/*$(),.\\\nEe", max_size=80))
@settings(max_examples=400, deadline=None)
def test_the_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(token.text for token in scan(text)) == text
    statement_kind(text)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "SELECT 1 WHERE 1 IN (" + ",".join(map(str, range(200_000))) + ")",
        "SELECT '" + "x" * 1_000_000,
        "SELECT 1\0",
        "SELECT '\ud800'",
        "SELECT " + "NOT " * 5_000 + "TRUE",
        "SELECT " + "CASE WHEN 1 THEN " * 2_000,
        "SELECT 1" + "+1" * 40_000,
        "SELECT " + "-" * 5_000 + "1",
        "SELECT a" + "[1]" * 5_000,
        "SELECT 1 " + "UNION SELECT 1 " * 5_000,
        "SELECT * FROM " + "(SELECT * FROM " * 2_000 + "t",
    ],
    ids=[
        "parentheses",
        "in-list",
        "long",
        "nul",
        "surrogate",
        "not",
        "case",
        "sum",
        "minus",
        "subscripts",
        "union",
        "from",
    ],
)
def test_the_worst_statement_is_judged_in_a_moment_and_not_parsed(sql: str) -> None:
    started = time.process_time()
    assert statement_kind(sql) in (Kind.READ, Kind.NONE)
    assert time.process_time() - started < 2
    assert not parseable(sql)
