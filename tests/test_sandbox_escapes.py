"""Attacks as predictions: each is held in memory and time, leaves nothing, and the next item is judged as ever."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from harness.records import Database, Item, Outcome
from harness.sandbox.engine import Engine
from harness.sandbox.pool import Pool
from harness.scoring import ScoreSettings, score_with
from harness.sqltext import Kind

CONTEXT = "CREATE TABLE t(i INT, s TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"
SETTINGS = ScoreSettings(floor_seconds=0.4, gold_factor=1.0, workers=2, suite=False)
DATABASE = Database(key=hashlib.sha256(CONTEXT.encode()).hexdigest(), script=CONTEXT)
GOOD = "SELECT i FROM t ORDER BY i"

REFUSED = {
    "read a file": "SELECT * FROM read_csv('/etc/passwd')",
    "read text": "SELECT * FROM read_text('/etc/passwd')",
    "read bytes": "SELECT * FROM read_blob('/proc/self/environ')",
    "list a folder": "SELECT * FROM glob('/*')",
    "a file as a table": "SELECT * FROM '/etc/passwd'",
    "a parquet file as a table": "SELECT * FROM 'x.parquet'",
    "the network": "SELECT * FROM read_csv('http://127.0.0.1:1/x')",
    "object storage": "SELECT * FROM read_parquet('s3://bucket/x')",
    "attach": "ATTACH '/tmp/escaped.db' AS x",
    "attach in memory": "ATTACH ':memory:' AS x",
    "copy out": "COPY t TO '/tmp/escaped.csv'",
    "copy a query out": "COPY (SELECT 1) TO '/tmp/escaped.csv'",
    "export": "EXPORT DATABASE '/tmp/escaped'",
    "install": "INSTALL httpfs",
    "load": "LOAD '/tmp/escaped.so'",
    "set": "SET enable_external_access = true",
    "set memory": "SET memory_limit = '100GB'",
    "set variable": "SET VARIABLE x = 1",
    "reset": "RESET lock_configuration",
    "pragma": "PRAGMA enable_profiling",
    "secret": "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "secret on disk": "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "prepare": "PREPARE p AS SELECT 1",
    "call": "CALL pragma_version()",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
    "commit and go on": "COMMIT; CREATE TABLE left_behind(i INT)",
    "hidden commit": "SELECT 1 /* ' */; COMMIT; CREATE TABLE left_behind(i INT); --'",
    "checkpoint": "CHECKPOINT",
    "vacuum": "VACUUM",
    "use": "USE system",
    "an address": "SELECT * FROM pandas_scan(140000000000000)",
    "addresses": "SELECT * FROM arrow_scan(1::UBIGINT::POINTER, 2::UBIGINT::POINTER, 3::UBIGINT::POINTER)",
    "quoted address": 'SELECT * FROM "python_arrow_scan"(1)',
    "text as a query": "SELECT * FROM query('SELECT * FROM pan' || 'das_scan(1)')",
    "serialised text": "SELECT json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "logging": "SELECT * FROM enable_logging('QueryLog', storage := 'file', storage_path := '/tmp/escaped.log')",
    "profiling": "SELECT * FROM enable_profiling()",
    "python variable": "SELECT * FROM payload",
    "drop": "DROP TABLE t",
    "temporary table": "CREATE TEMP TABLE left_behind AS SELECT 1",
    "macro": "CREATE MACRO now() AS 1",
    "import": "IMPORT DATABASE '/tmp/escaped'",
    "detach": "DETACH memory",
}
HELD = {
    "endless recursion": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "growing recursion": "WITH RECURSIVE r(n) AS (SELECT 'a' UNION ALL SELECT n || n FROM r) SELECT max(len(n)) FROM r",
    "cross join": "SELECT count(*) FROM range(10000000) a, range(10000000) b",
    "a list of 5e8": "SELECT len(range(500000000))",
    "a list unnested": "SELECT count(*) FROM (SELECT unnest(range(300000000)))",
    "a long string": "SELECT repeat('a', 1000000000)",
    "strings many": "SELECT string_agg(repeat('a', 10000), '') FROM range(1000000)",
    "padding": "SELECT lpad('', 2000000000, 'x')",
    "brackets": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "unary minus": "SELECT " + "- " * 50_000 + "1",
    "not not not": "SELECT " + "NOT " * 30_000 + "true",
    "a long IN": "SELECT i FROM t WHERE i IN (" + ",".join(map(str, range(200_000))) + ")",
    "a long OR": "SELECT i FROM t WHERE " + " OR ".join(f"i = {n}" for n in range(20_000)),
    "a regular expression": "SELECT regexp_matches(repeat('a', 40000), '(a|aa)+$|(.*a){20}b')",
    "a hidden regular expression": "SELECT count(*) FROM range(90000) WHERE repeat('a', 9999) SIMILAR TO '(a*)*(a*)*b'",
    "NUL": "SELECT 'a\0b'",
    "a lone surrogate": "SELECT '\ud800'",
    "all characters": "SELECT '" + "".join(map(chr, range(1, 0x300))).replace("'", "''") + "'",
    "a wide table": "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(20_000)),
    "many joins": "SELECT count(*) FROM " + ", ".join(f"t t{n}" for n in range(24)),
    "many ctes": "WITH "
    + ", ".join(f"c{n} AS (SELECT * FROM {'t' if n == 0 else f'c{n - 1}'})" for n in range(500))
    + " SELECT count(*) FROM c499",
    "sleep": "SELECT sleep_ms(100000)",
    "big rows": "SELECT repeat('x', 100000) FROM range(150000)",
    "deep list": "SELECT " + "[" * 500 + "1" + "]" * 500,
    "huge number": "SELECT " + "9" * 100_000,
    "factorial": "SELECT 100000!",
    "pivot": "SELECT * FROM (PIVOT (SELECT range % 5000 AS k, 1 AS v FROM range(100000)) ON k USING sum(v))",
}


class Watch(threading.Thread):
    """Highest resident memory of any worker."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(daemon=True)
        self.pool, self.peak, self.stopped = pool, 0, False

    def run(self) -> None:
        while not self.stopped:
            for pid in self.pool.pids():
                try:
                    text = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                for line in text.splitlines():
                    if line.startswith("VmHWM"):
                        self.peak = max(self.peak, int(line.split()[1]) * 1024)
            time.sleep(0.02)


NEVER_CALLED = [
    "arrow_scan",
    "arrow_scan_dumb",
    "python_arrow_scan",
    "pandas_scan",
    "python_map_function",
    "json_execute_serialized_sql",
    "query",
    "query_table",
    "enable_logging",
    "enable_profiling",
    "enable_profile",
    "register_external_resource",
    "create_external_resource",
    "deregister_external_resource",
    "destroy_external_resource",
    "disable_logging",
    "disable_profiling",
    "write_log",
    "setseed",
    "truncate_duckdb_logs",
    "copy_database",
    "import_database",
    "checkpoint",
    "force_checkpoint",
    "sleep_ms",
]


@pytest.mark.parametrize("name", NEVER_CALLED)
def test_a_function_that_is_never_called_is_refused_however_it_is_spelt(name):
    engine = Engine.__new__(Engine)
    for spelt in (
        name,
        name.upper(),
        name.title(),
        f'"{name}"',
        f"main.{name} ",
        f"main.{name}\n",
        f"é, {name.upper()}",
    ):
        assert engine.kind(f"SELECT {spelt}(1)") is Kind.FORBIDDEN
        assert engine.kind(f"SELECT a FROM {spelt} (1) AS t") is Kind.FORBIDDEN


@pytest.fixture(scope="module")
def pool():
    with Pool("harness.scoring.judge:build", SETTINGS, workers=2) as running:
        yield running


def item(name: str, gold: str = GOOD) -> Item:
    return Item(id=name, question="", context=CONTEXT, golds=(gold,), database=DATABASE)


def judged(pool: Pool, *predictions: str, gold: str = GOOD) -> list:
    items = [item(str(n), gold) for n in range(len(predictions))]
    given = {str(n): sql for n, sql in enumerate(predictions)}
    return list(score_with(pool, items, given, SETTINGS))


@pytest.mark.parametrize("attack", REFUSED.values(), ids=REFUSED)
def test_a_forbidden_thing_is_refused_and_the_next_item_is_unharmed(pool, attack):
    bad, good = judged(pool, attack, GOOD.lower())
    assert not bad.outcome.is_match
    assert not bad.outcome.is_gold_fault
    assert good.outcome is Outcome.CORRECT
    assert not list(Path("/tmp").glob("escaped*"))


@pytest.mark.parametrize("attack", HELD.values(), ids=HELD)
def test_a_greedy_statement_is_held_and_the_next_item_is_unharmed(pool, attack):
    watch = Watch(pool)
    watch.start()
    begun = time.monotonic()
    bad, good = judged(pool, attack, "select i from t order by i, s")
    took = time.monotonic() - begun
    watch.stopped = True
    watch.join()
    assert not bad.outcome.is_match or "IN (" in attack or "OR i" in attack
    assert not bad.outcome.is_gold_fault
    assert "scorer itself" not in bad.reason
    assert good.outcome is Outcome.CORRECT
    # two attempts, each a deadline and its grace, each perhaps with a fresh worker
    assert took < 12
    assert watch.peak <= 2 * 2**30


@pytest.mark.parametrize(
    "writes",
    [
        "CREATE TABLE left_behind(i INT)",
        "CREATE TEMP TABLE left_behind(i INT)",
        "CREATE VIEW left_behind AS SELECT 1",
        "CREATE SCHEMA left_behind",
        "CREATE SEQUENCE left_behind",
        "CREATE TYPE left_behind AS ENUM ('a')",
        "CREATE MACRO left_behind() AS 1",
        "CREATE TABLE memory.main.left_behind(i INT)",
        "DROP TABLE t",
        "UPDATE t SET i = 99",
        "INSERT INTO t VALUES (1, 'x'); COMMIT; BEGIN",
        "ALTER TABLE t RENAME TO left_behind",
        "CREATE OR REPLACE MACRO abs(x) AS 17",
    ],
)
def test_what_a_writing_prediction_leaves_is_not_there_for_the_next(pool, writes):
    probe = (
        "SELECT (SELECT count(*) FROM duckdb_tables() WHERE table_name = 'left_behind') + "
        "(SELECT count(*) FROM duckdb_views() WHERE view_name = 'left_behind') + "
        "(SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'left_behind') + "
        "(SELECT count(*) FROM duckdb_sequences() WHERE sequence_name = 'left_behind') + "
        "(SELECT count(*) FROM duckdb_types() WHERE type_name = 'left_behind') + "
        "(SELECT count(*) FROM duckdb_functions() WHERE function_name = 'left_behind'), abs(-1), "
        "(SELECT sum(i) FROM t)"
    )
    gold = "UPDATE t SET s = 'z' WHERE i = 1"
    items, given = [], {}
    for n in range(24):
        items += [item(f"w{n}", gold), item(f"r{n}", "SELECT 0, 1, 6")]
        given |= {f"w{n}": f"{writes} -- {n}", f"r{n}": f"{probe} -- {n}"}
    verdicts = list(score_with(pool, items, given, SETTINGS))
    assert {(v.outcome, v.reason) for v in verdicts if v.id.startswith("r")} == {(Outcome.CORRECT, "")}
    assert not any(v.outcome.is_match for v in verdicts if v.id.startswith("w"))


def mixed(good: int, poisoned: int) -> tuple[list[Item], dict[str, str]]:
    """Good items with poisoned ones strewn among them, in an order that is always the same."""
    attacks = [*REFUSED.values(), *HELD.values()]
    items = [item(f"good{n}", f"SELECT i + {n} FROM t WHERE i > {n % 4} ORDER BY i") for n in range(good)]
    given = {f"good{n}": f"select {n} + i from t where not i <= {(n + (n % 7 == 0)) % 4}" for n in range(good)}
    for n in range(poisoned):
        items.insert((n * 7919) % len(items), item(f"bad{n}", f"SELECT i, {n} FROM t"))
        given[f"bad{n}"] = attacks[n % len(attacks)]
    return items, given


@pytest.mark.slow
def test_poisoned_items_change_no_verdict_of_the_good_ones():
    settings = ScoreSettings(floor_seconds=0.4, gold_factor=1.0, workers=2, suite=False)
    items, given = mixed(good=400, poisoned=40)
    with Pool("harness.scoring.judge:build", settings, workers=2) as one:
        dirty = {v.id: v for v in score_with(one, items, given, settings)}
    clean_items = [i for i in items if i.id.startswith("good")]
    with Pool("harness.scoring.judge:build", settings, workers=1) as other:
        clean = {v.id: v for v in score_with(other, clean_items, given, settings)}
    facts = lambda v: (v.outcome, v.reason, v.matches, v.rows, v.exact_match, v.road)  # noqa: E731
    assert len(dirty) == 440
    assert {name: facts(v) for name, v in clean.items()} == {n: facts(v) for n, v in dirty.items() if n in clean}
    assert {v.outcome for v in clean.values()} >= {Outcome.CORRECT, Outcome.WRONG_ROW_COUNT}
