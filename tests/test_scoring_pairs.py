"""Pairs a grader might ask on bare rows: each gold and prediction with the verdict of the default rule."""

from __future__ import annotations

import hashlib

import pytest

from harness.records import Database, Item
from harness.scoring import ScoreSettings, score

SCRIPT = (
    "CREATE TABLE t (id INT, name TEXT, v DOUBLE, d DATE); INSERT INTO t VALUES (1, 'a', 1.5, '2020-01-01'), "
    "(2, 'b', NULL, '2020-01-02'), (3, 'b', 2.5, NULL), (4, NULL, 2.5, '2020-01-04');"
)
PAIRS = [
    ("SELECT name FROM t ORDER BY v DESC NULLS LAST LIMIT 1", "SELECT name FROM t WHERE id=4", True),
    ("SELECT name FROM t ORDER BY v DESC NULLS LAST LIMIT 1", "SELECT name FROM t WHERE id=1", False),
    ("SELECT id FROM t ORDER BY length(name), v NULLS FIRST", "SELECT id FROM t ORDER BY id", False),
    ("SELECT id, name FROM t", "SELECT name, id FROM t", True),
    ("SELECT id, id+1 FROM t", "SELECT id+1, id FROM t", True),
    ("SELECT count(*) FROM t", "SELECT 4.0", True),
    ("SELECT avg(v) FROM t", "SELECT sum(v)/count(*) FROM t", False),
    ("SELECT DISTINCT name FROM t", "SELECT name FROM t", False),
    ("SELECT name FROM t WHERE name='b'", "SELECT DISTINCT name FROM t WHERE name='b'", False),
    ("SELECT name FROM t UNION SELECT name FROM t", "SELECT DISTINCT name FROM t", True),
    ("SELECT id FROM t WHERE v IS NULL", "SELECT id FROM t WHERE v = NULL", False),
    ("SELECT id FROM t WHERE 1=0", "SELECT id FROM t WHERE name='zz'", True),
    ("SELECT id FROM t WHERE 1=0", "SELECT id,name FROM t WHERE 1=0", False),
    ("UPDATE t SET v=0 WHERE v IS NULL", "UPDATE t SET v=coalesce(v,0)", True),
    ("UPDATE t SET v=0 WHERE v IS NULL", "UPDATE t SET v=0", False),
    ("DELETE FROM t WHERE id>2", "DELETE FROM t WHERE id IN (3,4)", True),
    ("CREATE VIEW w AS SELECT id FROM t", "CREATE VIEW w AS SELECT id FROM t WHERE id>0", True),
    ("INSERT INTO t (id) VALUES (9)", "INSERT INTO t VALUES (9,NULL,NULL,NULL)", True),
    ("SELECT id FROM t", "SELECT id FROM t; DROP TABLE t", False),
    ("SELECT id FROM t ORDER BY 1 DESC", "SELECT id FROM t ORDER BY id", False),
    ("SELECT id FROM t", "SELECT id FROM t ORDER BY id DESC", True),
    (
        "SELECT name, count(*) FROM t GROUP BY name ORDER BY count(*) DESC",
        "SELECT name, count(*) c FROM t GROUP BY 1 ORDER BY c DESC, name DESC",
        True,
    ),
    ("SELECT name FROM (SELECT * FROM t ORDER BY id) s", "SELECT name FROM t ORDER BY id DESC", True),
    (
        "SELECT id AS k FROM t UNION ALL SELECT id FROM t ORDER BY k",
        "SELECT id FROM t UNION ALL SELECT id FROM t ORDER BY 1 DESC",
        False,
    ),
    ("SELECT 0.1+0.2", "SELECT 0.3::DOUBLE", True),
    ("SELECT 1000000", "SELECT 1000002", False),
    ("SELECT NULL", "SELECT ''", False),
    ("SELECT 'NaN'::DOUBLE", "SELECT NULL", False),
    ("SELECT '7'", "SELECT 7", False),
    ("SELECT 'A'", "SELECT 'a'", False),
    ("SELECT 'a '", "SELECT 'a'", False),
    (
        "SELECT t1.id, t2.id FROM t t1, t t2 WHERE t1.id<t2.id",
        "SELECT t2.id, t1.id FROM t t1, t t2 WHERE t1.id<t2.id",
        True,
    ),
    ("SELECT id, 5-id FROM t", "SELECT 5-id, id FROM t", True),
    ("SELECT max(id) FROM t", "SELECT id FROM t ORDER BY id DESC LIMIT 1", True),
    ("SELECT now()", "SELECT current_timestamp", True),
    ("SELECT id FROM t", "WITH x AS (SELECT id FROM t) SELECT * FROM x", True),
    ("SELECT id FROM t", "SELECT id FROM t LIMIT 3", False),
    ("SELECT name FROM t ORDER BY name LIMIT 2", "SELECT name FROM t WHERE id IN (1,3) ORDER BY name", True),
    ("SELECT id FROM t", "DELETE FROM t RETURNING id", False),
    ("SELECT id FROM t", "COPY t TO 'x.csv'", False),
    ("SELECT * FROM t", "SELECT id,name,v,d FROM t", True),
]


@pytest.fixture(scope="module")
def verdicts():
    """All pairs in one scoring."""
    base = Database(key=hashlib.sha256(SCRIPT.encode()).hexdigest(), script=SCRIPT)
    items = [
        Item(id=str(n), question="", context=SCRIPT, golds=(gold,), database=base) for n, (gold, *_) in enumerate(PAIRS)
    ]
    given = {str(n): prediction for n, (_, prediction, _) in enumerate(PAIRS)}
    return list(score(items, given, ScoreSettings(workers=1, suite=False)))


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=[f"{gold} | {prediction}" for gold, prediction, _ in PAIRS])
def test_a_pair_on_four_rows_gets_the_verdict_that_a_person_gives_it(verdicts, number):
    assert verdicts[number].execution_match is PAIRS[number][2], verdicts[number].reason
    assert verdicts[number].reason or verdicts[number].outcome == "correct"
