"""Every DuckDB type on the whole way: fetched in a worker, compared, kept in the cache of golds, compared again."""

from __future__ import annotations

import hashlib

import pytest
from test_answer_fetch import FETCHED

from harness.records import Database, Item
from harness.scoring import ScoreSettings, score

NEAR_MISSES = {
    "1.250::DECIMAL(18,3)": "1.251::DECIMAL(18,3)",
    "170141183460469231731687303715884105727::HUGEINT": "-170141183460469231731687303715884105727::HUGEINT",
    "340282366920938463463374607431768211455::UHUGEINT": "1::UHUGEINT",
    "TIMESTAMPTZ '2020-01-01 02:00:00+02'": "TIMESTAMPTZ '2020-01-01 02:00:00+01'",
    "TIMESTAMPTZ 'infinity'": "TIMESTAMPTZ '-infinity'",
    "TIMESTAMP_NS '2020-01-01 00:00:00.123456789'": "TIMESTAMP_NS '2020-01-01 00:00:00.123456788'",
    "INTERVAL '1 month 2 days 3 seconds'": "INTERVAL '1 month 2 days 4 seconds'",
    "'a\\x00b'::BLOB": "'a\\x00c'::BLOB",
    "'00000000-0000-0000-0000-000000000005'::UUID": "'00000000-0000-0000-0000-000000000006'::UUID",
    "[1, NULL, 3]": "[1, 3]",
    "{'a': 1, 'b': {'c': 'x'}}": "{'a': 1, 'b': {'c': 'y'}}",
    "MAP {'k': 1, 'j': NULL}": "MAP {'k': 1, 'j': 0}",
    "'nan'::DOUBLE": "'inf'::DOUBLE",
    "'inf'::DOUBLE": "'-inf'::DOUBLE",
    "'nan'::FLOAT": "NULL::FLOAT",
    "['nan'::DOUBLE, 'inf'::DOUBLE]": "['inf'::DOUBLE, 'nan'::DOUBLE]",
    "1 AS a, 2": "1 AS a, 3",
    "DATE 'infinity'": "DATE '9999-12-31'",
}
VALUES = [*FETCHED, *(text for text in NEAR_MISSES if text not in FETCHED)]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """The verdicts with golds unknown, and with golds out of the cache."""
    items, given = [], {}
    for text in VALUES:
        gold = f"SELECT {text} AS a"
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        others = {"same": f"SELECT * FROM ({gold}) AS t", "near": f"SELECT {NEAR_MISSES.get(text, text)} AS a LIMIT 1"}
        for kind, sql in others.items():
            if kind == "same" or text in NEAR_MISSES:
                base = Database(key="none", script="CREATE TABLE t (a INT)")
                items.append(Item(id=f"{kind} {name}", question="", context="", golds=(gold,), database=base))
                given[f"{kind} {name}"] = sql
    folder = str(tmp_path_factory.mktemp("cache"))
    settings = ScoreSettings(workers=1, suite=False, cache_dir=folder, reuse_verdicts=False)
    return [{verdict.id: verdict for verdict in score(items, given, settings)} for _ in range(2)]


@pytest.mark.parametrize("golds", ["asked", "cached"])
@pytest.mark.parametrize("text", VALUES)
def test_a_value_of_every_type_is_right_and_its_near_miss_wrong(verdicts, text, golds):
    found = verdicts[golds == "cached"]
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    same = found[f"same {name}"]
    assert same.execution_match is True, same.reason
    assert same.matches["strict"] is True
    if text in NEAR_MISSES:
        near = found[f"near {name}"]
        assert near.execution_match is False
        assert near.reason
