"""Are two result tables the same answer? Rules, outcomes and reasons on small tables."""

# ruff: noqa: DTZ001 (naive datetimes are what DuckDB hands over)
from __future__ import annotations

import math
import time as clock
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from harness.answer import (
    Comparison,
    Table,
    best_of,
    compare,
    compare_states,
    compare_test_suite,
    needs_second_execution,
    order_plan,
    strip_distinct,
)
from harness.records import Outcome

_NAMES = {int: "INTEGER", float: "DOUBLE", str: "VARCHAR", bool: "BOOLEAN", Decimal: "DECIMAL(18,3)"}


def table(*rows, columns=None, types=None):
    width = len(rows[0]) if rows else len(columns or ())
    columns = columns or tuple(f"c{i}" for i in range(width))
    types = types or tuple(_NAMES.get(type(v), "VARCHAR") for v in (rows[0] if rows else [""] * width))
    return Table(tuple(columns), tuple(types), list(rows))


EMPTY_ONE = Table(("a",), ("INTEGER",), [])
EMPTY_TWO = Table(("a", "b"), ("INTEGER", "INTEGER"), [])

ADVERSARIAL = {
    "duplicate counts differ": (table((1,), (1,), (2,)), table((1,), (2,), (2,)), "SELECT a FROM t", False),
    "ORDER BY gold, reversed": (table((1,), (2,), (3,)), table((3,), (2,), (1,)), "SELECT a FROM t ORDER BY a", False),
    "row pairs broken": (table(("a", "x"), ("b", "y")), table(("a", "y"), ("b", "x")), "SELECT a, b FROM t", False),
    "tied rows swapped under ORDER BY": (
        table(("a", 1), ("b", 1), ("c", 2)),
        table(("b", 1), ("a", 1), ("c", 2)),
        "SELECT a, n FROM t ORDER BY n",
        True,
    ),
    "columns permuted": (table((1, "x"), (2, "y")), table(("y", 2), ("x", 1)), "SELECT a, b FROM t", True),
    "0.3 vs 0.1 + 0.2": (table((0.3,)), table((0.1 + 0.2,)), "SELECT a FROM t", True),
    "1.00 vs 1.005": (table((Decimal("1.00"),)), table((Decimal("1.005"),)), "SELECT a FROM t", False),
    "NULL vs 0": (table((None,)), table((0,)), "SELECT a FROM t", False),
    "1 vs 1.0": (table((1,)), table((1.0,)), "SELECT a FROM t", True),
    "empty gold, one-row prediction": (EMPTY_ONE, table((1,)), "SELECT a FROM t", False),
    "both empty, different column counts": (EMPTY_ONE, EMPTY_TWO, "SELECT a FROM t", False),
    "duplicate column names": (
        table((1, 2), columns=("a", "a")),
        table((2, 2), columns=("a", "a")),
        "SELECT a, a FROM t",
        False,
    ),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_twelve_adversarial_pairs_are_all_judged_right(name):
    gold, prediction, sql, truth = ADVERSARIAL[name]
    assert compare(gold, prediction, order_plan(sql)).matches["default"] is truth
    if "ORDER BY" not in sql:
        assert compare(prediction, gold).matches["default"] is truth


SAME = [
    (1, Decimal("1.000")),
    (10**30, Decimal(10**30)),
    (1e22, 10**22),
    (0.0, -0.0),
    (0.1 + 0.2 - 0.3, 0),
    (1000000.0, 1000000.4),
    (math.nan, float("nan")),
    (math.inf, math.inf),
    (True, 1),
    (False, 0.0),
    (date(2020, 1, 1), datetime(2020, 1, 1)),
    (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1)),
    (b"\x00", b"\x00"),
    (UUID(int=5), UUID(int=5)),
    (timedelta(days=30), timedelta(hours=720)),
    ([1, 2.0], [1.0, 2]),
    ([0.3], [0.1 + 0.2]),
    ((1, 2), [1, 2]),
    ({"a": 1, "B": "x"}, {"b": "x", "A": 1.0}),
    ({"key": [[1], [2]], "value": [3, 4]}, {"key": [[2], [1]], "value": [4, 3]}),
    ([{"a": [math.nan]}], [{"a": [math.nan]}]),
    ([], []),
    (None, None),
    (time(10, tzinfo=UTC), time(10, tzinfo=UTC)),
]
DIFFERENT = [
    ("007", "7"),
    ("1", 1),
    ("a", "A"),
    ("a", "a "),
    ("", None),
    (None, 0),
    (None, math.nan),
    (math.nan, 0.0),
    (math.inf, -math.inf),
    (math.inf, 1e308),
    (1000000, 1000001),
    (2**62, 2**62 + 1),
    (1.0, 1.0001),
    (1e-9, 2e-9),
    (date(2020, 1, 1), "2020-01-01"),
    (date(2020, 1, 1), datetime(2020, 1, 1, 0, 0, 1)),
    (b"a", "a"),
    (UUID(int=5), str(UUID(int=5))),
    ([1, 2], [2, 1]),
    ([1], 1),
    ({"a": 1}, {"b": 1}),
    ({"a": None}, {}),
    ([None], []),
    (True, "true"),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=repr)
def test_values_that_are_the_same(one, other):
    assert compare(table((one,)), table((other,))).matches["default"]
    assert compare(table((other, 5), (None, 6)), table((None, 6), (one, 5))).matches["default"]


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=repr)
def test_values_that_differ(one, other):
    assert not compare(table((one,)), table((other,))).matches["default"]
    assert not compare(table((other,)), table((one,))).matches["default"]


def test_a_pair_that_straddles_a_rounding_border_is_the_same():
    gold = table(*((1.0 + k * 1e-4 + 4.99999e-7,) for k in range(50)))
    prediction = table(*((1.0 + k * 1e-4 + 5.00001e-7,) for k in range(50)))
    assert compare(gold, prediction).matches["default"]


def test_a_chain_of_near_values_is_paired_not_melted():
    step = 0.9e-6
    chain = [1.0, 1.0 + step, 1.0 + 2 * step]
    assert compare(table((chain[0],), (chain[2],)), table((chain[1],), (chain[1],))).matches["default"]
    assert not compare(table((chain[0],), (chain[0],)), table((chain[1],), (chain[2],))).matches["default"]
    assert not compare(table((chain[0], 1)), table((chain[2], 1))).matches["default"]


def test_pairing_in_a_chain_needs_an_augmenting_path():
    gold = table((1.0,), (1.0 + 0.8e-6,))
    prediction = table((1.0 - 0.8e-6,), (1.0,))
    assert compare(gold, prediction).matches["default"]


def test_integers_stay_exact_beside_a_float_that_is_near_both():
    assert compare(table((1000000,), (1000001,)), table((1000000.5,), (1000000.5,))).matches["default"]
    assert not compare(table((1000000,), (1000000.5,)), table((1000001,), (1000002.2,))).matches["default"]


def test_the_tolerance_is_a_parameter_and_is_checked():
    assert not compare(table((1.0,)), table((1.0000001,)), tolerance=0).matches["default"]
    assert compare(table((1.0,)), table((1.01,)), tolerance=0.02).matches["default"]
    with pytest.raises(ValueError, match="tolerance"):
        compare(table((1.0,)), table((1.0,)), tolerance=0.5)


def test_whole_rows_stay_together_when_columns_are_permuted():
    gold = table((1, 2, 3), (2, 3, 1), (3, 1, 2))
    assert compare(gold, table((3, 1, 2), (1, 2, 3), (2, 3, 1))).matches["default"]
    assert not compare(gold, table((1, 2, 3), (2, 1, 3), (3, 3, 2))).matches["default"]


def test_equal_gold_columns_need_equal_prediction_columns():
    assert not compare(table((1, 1), (2, 2)), table((1, 2), (2, 1))).matches["default"]
    assert not compare(table((1, 1), (2, 2)), table((1, 5), (2, 6))).matches["default"]


def outcome(gold, prediction, sql="SELECT 1") -> Comparison:
    return compare(gold, prediction, order_plan(sql))


def test_every_mismatch_has_its_outcome_and_a_reason():
    two = table((1, "x"), (2, "y"))
    cases = [
        (
            two,
            table((1,), (2,)),
            "SELECT 1",
            Outcome.WRONG_COLUMN_COUNT,
            "gold has 2 columns (c0, c1), the prediction 1 column (c0)",
        ),
        (two, table((1, "x")), "SELECT 1", Outcome.WRONG_ROW_COUNT, "1 row only in gold, e.g. (2, 'y')"),
        (two, table((2, "y"), (1, "x")), "SELECT a FROM t ORDER BY 1", Outcome.WRONG_ORDER, "first at row 1: (2, 'y')"),
        (
            table((1,), (1,), (2,)),
            table((1,), (2,), (2,)),
            "SELECT 1",
            Outcome.WRONG_MULTIPLICITY,
            "(1): 2 in gold, 1 in the prediction",
        ),
        (table((1,), (1,), (2,)), table((1,), (2,)), "SELECT 1", Outcome.WRONG_MULTIPLICITY, "the same distinct rows"),
        (
            two,
            table((1, "x"), (3, "z")),
            "SELECT 1",
            Outcome.WRONG_VALUES,
            "1 row only in the prediction, e.g. (3, 'z')",
        ),
        (EMPTY_ONE, table((1,)), "SELECT 1", Outcome.WRONG_ROW_COUNT, "gold has 0 rows, the prediction 1"),
        (EMPTY_ONE, EMPTY_TWO, "SELECT 1", Outcome.WRONG_COLUMN_COUNT, "gold has 1 column (a)"),
    ]
    for gold, prediction, sql, wanted, words in cases:
        found = outcome(gold, prediction, sql)
        assert found.outcome is wanted, (gold, prediction, found)
        assert words in found.reason
        assert not found.is_match


def test_a_match_has_no_reason_and_a_vacuous_one_says_so():
    assert outcome(table((1,)), table((1.0,))) == Comparison(
        {"default": True, "strict": False, "lenient": True, "bird": True}, Outcome.CORRECT
    )
    found = outcome(EMPTY_ONE, EMPTY_ONE)
    assert found.outcome is Outcome.VACUOUS_MATCH
    assert found.vacuous
    assert found.is_match
    assert found.reason


def test_the_reason_names_the_rule_that_would_have_matched():
    assert "lenient" in outcome(table(("7",)), table((7,))).reason


def test_a_long_value_is_cut_in_the_reason():
    assert len(outcome(table(("x" * 10_000,)), table(("y" * 10_000,))).reason) < 250


def test_strict_asks_for_positions_and_alike_types():
    gold = table((1, "x"), (2, "y"))
    assert compare(gold, table((2, "y"), (1, "x"))).matches["strict"]
    assert not compare(gold, table(("x", 1), ("y", 2))).matches["strict"]
    assert not compare(table((1,)), table((1.0,))).matches["strict"]
    assert compare(table((1,)), Table(("n",), ("HUGEINT",), [(1,)])).matches["strict"]
    assert not compare(table((True,)), table((1,))).matches["strict"]
    assert compare(table((None,), types=("INTEGER",)), table((None,), types=('"NULL"',))).matches["strict"]
    assert compare(table(([1],), types=("INTEGER[]",)), table(([1],), types=("BIGINT[]",))).matches["strict"]
    assert not compare(table(([1],), types=("INTEGER[]",)), table(([1.0],), types=("DOUBLE[]",))).matches["strict"]


def test_names_in_another_order_do_not_mislead_strict():
    gold = table((1, 1), columns=("a", "b"))
    assert compare(gold, table((1.0, 1), columns=("b", "a"), types=("INTEGER", "INTEGER"))).matches["strict"]


def test_lenient_allows_extra_columns_and_numeric_text():
    gold = table(("Ann", 2), ("Bob", 3))
    cases = {
        table(("Bob", 9, 3), ("Ann", 8, 2)).rows.__repr__(): (table(("Bob", 9, 3), ("Ann", 8, 2)), True),
        "numeric text": (table(("Ann", "2.0"), ("Bob", "3")), True),
        "numeric text beside an extra column": (table(("x", "2", "Ann"), ("x", "3", "Bob")), True),
        "row pairs broken": (table(("Bob", 9, 2), ("Ann", 8, 3)), False),
        "a column missing": (table(("Ann",), ("Bob",)), False),
        "a row more": (table(("Ann", 2, 0), ("Bob", 3, 0), ("Bob", 3, 0)), False),
    }
    for name, (prediction, truth) in cases.items():
        assert compare(gold, prediction).matches["lenient"] is truth, name
        assert not compare(gold, prediction).matches["default"]
    assert compare(EMPTY_ONE, EMPTY_TWO).matches["lenient"]
    assert not compare(EMPTY_TWO, EMPTY_ONE).matches["lenient"]
    assert not compare(table(("nan",)), table((math.nan,))).matches["lenient"]
    assert not compare(table((2, 2)), table((2, 3, 4))).matches["lenient"]


def test_lenient_keeps_the_order_rule():
    gold = table(("a", 1), ("b", 2))
    plan = order_plan("SELECT a, n FROM t ORDER BY n")
    assert compare(gold, table((0, "a", 1), (0, "b", 2)), plan).matches["lenient"]
    assert not compare(gold, table((0, "b", 2), (0, "a", 1)), plan).matches["lenient"]


def test_bird_is_a_set_by_position_under_pythons_equality():
    assert compare(table((1,), (1,), (2,)), table((2,), (1,), (2,))).matches["bird"]
    assert compare(table((1,), (2,)), table((2,), (1,)), order_plan("SELECT a FROM t ORDER BY a")).matches["bird"]
    assert not compare(table((1, "x")), table(("x", 1))).matches["bird"]
    assert not compare(table((0.3,)), table((0.1 + 0.2,))).matches["bird"]
    assert compare(EMPTY_ONE, EMPTY_TWO).matches["bird"]
    assert compare(table((Decimal("0.5"),)), table((0.5,))).matches["bird"]


def test_the_test_suite_rule_follows_result_eq():
    def eq(gold, prediction, sql="SELECT a FROM t"):
        return compare_test_suite(gold, prediction, sql)

    assert eq(EMPTY_ONE, EMPTY_TWO)
    assert eq(table((1, "x"), (2, "y")), table(("y", 2), ("x", 1)))
    assert not eq(table((1,), (1,), (2,)), table((1,), (2,), (2,)))
    assert not eq(table((0.3,)), table((0.1 + 0.2,)))
    assert not eq(table((1,)), table((1, 2)))
    assert eq(table((None,)), table((None,)))
    assert not eq(table((1,)), table(("1",)))
    tied = table(("a", 1), ("b", 1)), table(("b", 1), ("a", 1))
    assert eq(*tied)
    assert not eq(*tied, "SELECT a FROM t ORDER BY n")
    assert not eq(*tied, "SELECT a FROM (SELECT * FROM t Order By n)")
    assert eq(table((1, "x"), (2, "y")), table(("x", 1), ("y", 2)), "SELECT a FROM t ORDER BY n")
    assert not eq(table((1, 1), (2, 2)), table((1, 2), (2, 1)))


def test_distinct_is_stripped_as_a_word_of_the_statement():
    cases = {
        "SELECT DISTINCT a FROM t": "SELECT  a FROM t",
        "select count(distinct a) from t": "select count( a) from t",
        "SELECT 'distinct' FROM t": "SELECT 'distinct' FROM t",
        'SELECT "distinct", distinct_id FROM t': 'SELECT "distinct", distinct_id FROM t',
        "SELECT a FROM t -- distinct\n": "SELECT a FROM t -- distinct\n",
        "SELECT a IS DISTINCT FROM b FROM t": "SELECT a IS DISTINCT FROM b FROM t",
        "SELECT a is not distinct from b FROM t": "SELECT a is not distinct from b FROM t",
        "SELECT DISTINCT ON (a) a, b FROM t": "SELECT DISTINCT ON (a) a, b FROM t",
    }
    for sql, bare in cases.items():
        assert strip_distinct(sql) == bare
        assert needs_second_execution("SELECT 1", sql) is (sql != bare)
        assert needs_second_execution(sql, "SELECT 1") is (sql != bare)


def test_the_best_of_several_golds_is_the_one_that_matches():
    wrong, vacuous, right = (
        compare(table((1,)), table((2,))),
        compare(EMPTY_ONE, EMPTY_ONE),
        compare(table((2,)), table((2,))),
    )
    assert best_of([wrong, vacuous, right]) == (2, right)
    assert best_of([wrong, vacuous])[0] == 1
    assert best_of([wrong, wrong])[0] == 0
    by_lenient = compare(table(("2",)), table((2,)))
    index, merged = best_of([wrong, by_lenient])
    assert (index, merged.matches["default"], merged.matches["lenient"]) == (0, False, True)
    with pytest.raises(ValueError, match="no gold"):
        best_of([])


def state(**tables):
    return tables


def test_states_are_compared_by_names_columns_and_bags():
    people = Table(("id", "name"), ("INTEGER", "VARCHAR"), [(1, "Ann"), (2, "Bob")])
    same = Table(("NAME", "Id"), ("VARCHAR", "BIGINT"), [("Bob", 2), ("Ann", 1)])
    assert compare_states(state(People=people), state(people=same)).is_match
    cases = [
        (state(), "table or view people is missing"),
        (state(people=people, other=people), "table or view other should not exist"),
        (state(people=Table(("id",), ("INTEGER",), [(1,), (2,)])), "column name is missing"),
        (
            state(people=Table(("id", "nick"), people.types, people.rows)),
            "column name is missing, column nick should not exist",
        ),
        (
            state(people=Table(people.columns, ("VARCHAR", "VARCHAR"), people.rows)),
            "column id is VARCHAR instead of INTEGER",
        ),
        (state(people=Table(people.columns, people.types, people.rows[:1])), "1 row only in gold, e.g. (2, 'Bob')"),
        (state(people=Table(people.columns, people.types, [*people.rows, (2, "Bob")])), "1 row only in the prediction"),
    ]
    for prediction, words in cases:
        found = compare_states(state(people=people), prediction)
        assert found.outcome is Outcome.WRONG_STATE
        assert words in found.reason, found.reason
        assert not any(found.matches.values())


def test_states_allow_for_the_tolerance_but_not_for_swapped_columns():
    gold = Table(("a", "b"), ("DOUBLE", "DOUBLE"), [(0.3, 1.0)])
    assert compare_states(state(t=gold), state(t=Table(("a", "b"), gold.types, [(0.1 + 0.2, 1.0)]))).is_match
    assert not compare_states(state(t=gold), state(t=Table(("a", "b"), gold.types, [(1.0, 0.3)]))).is_match


def test_a_truncated_prediction_is_too_many_rows_and_a_truncated_gold_is_refused():
    cut = Table(("a",), ("INTEGER",), [(1,), (2,)], truncated=True)
    found = compare(table((1,)), cut)
    assert found.outcome is Outcome.TOO_MANY_ROWS
    assert "more than 2 rows" in found.reason
    with pytest.raises(ValueError, match="truncated"):
        compare(cut, table((1,)))


def test_thousands_of_rows_in_one_chain_of_near_values_are_decided_fast():
    gold = table(*((1.7e9 + k, k % 7) for k in range(3000)))
    shifted = table(*((1.7e9 + k + 0.5, k % 7) for k in reversed(range(3000))))
    other = table(*((1.7e9 + 5000 + k, k % 7) for k in range(3000)))
    start = clock.process_time()
    assert compare(gold, shifted).matches["default"]
    assert not compare(gold, other).matches["default"]
    assert clock.process_time() - start < 5
