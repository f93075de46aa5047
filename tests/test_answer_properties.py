"""Laws of the comparison, over random small tables rich in near misses."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.answer import OrderPlan, Table, compare, compare_states, compare_test_suite, order_plan
from harness.answer.numbers import close_cells
from harness.answer.values import canonical
from harness.records import Outcome

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2),
    st.sampled_from([1.0, 1.0 + 4e-7, 1.0 + 9e-7, 1.0 + 1.8e-6, 2.0, math.nan, math.inf, 0.0, -0.0]),
    st.sampled_from([Decimal("1"), Decimal("1.0000005"), Decimal("0.30")]),
    st.sampled_from(["", "1", "1.0", "a", "NaN"]),
    st.sampled_from([b"a", [1], [1.0000001], {"a": 1}, {"a": [None]}]),
)


@st.composite
def tables(draw, width=None, cells=CELLS, most=6):
    width = width or draw(st.integers(1, 4))
    rows = draw(st.lists(st.tuples(*[cells] * width), max_size=most))
    types = tuple(draw(st.sampled_from(["INTEGER", "DOUBLE", "VARCHAR"])) for _ in range(width))
    return Table(tuple(f"c{i}" for i in range(width)), types, rows)


@st.composite
def pairs(draw, cells=CELLS):
    """Two tables of which the second is often a shuffle of the first with little changed."""
    gold = draw(tables(cells=cells))
    if draw(st.booleans()):
        return gold, draw(tables(cells=cells))
    order = draw(st.permutations(range(len(gold.columns))))
    rows = [tuple(row[i] for i in order) for row in draw(st.permutations(gold.rows))]
    if rows and draw(st.booleans()):
        place, column = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(order) - 1))
        rows[place] = (*rows[place][:column], draw(cells), *rows[place][column + 1 :])
    return gold, Table(tuple(gold.columns[i] for i in order), tuple(gold.types[i] for i in order), rows)


def picked(table, order):
    return Table(
        tuple(table.columns[i] for i in order),
        tuple(table.types[i] for i in order),
        [tuple(row[i] for i in order) for row in table.rows],
    )


def by_force(gold, prediction, tolerance=1e-6):
    """The default rule without ORDER BY by definition: some column order, some pairing of rows, every cell the same."""
    if len(gold.columns) != len(prediction.columns) or len(gold.rows) != len(prediction.rows):
        return False
    theirs = [tuple(map(canonical, row)) for row in gold.rows]
    for order in permutations(range(len(gold.columns))):
        ours = [tuple(map(canonical, row)) for row in picked(prediction, order).rows]
        if _pair_by_force(theirs, ours, tolerance):
            return True
    return False


def _pair_by_force(theirs, ours, tolerance):
    if not theirs:
        return True
    first, *others = theirs
    return any(
        all(close_cells(a, b, tolerance) for a, b in zip(first, row, strict=True))
        and _pair_by_force(others, [*ours[:i], *ours[i + 1 :]], tolerance)
        for i, row in enumerate(ours)
    )


@settings(max_examples=300, deadline=None)
@given(pairs())
def test_default_is_what_the_definition_says(pair):
    assert compare(*pair).matches["default"] is by_force(*pair)


NEAR = st.sampled_from([1.0 + k * 3e-7 for k in range(8)] + [1, 2, None])


@settings(max_examples=300, deadline=None)
@given(pairs(cells=NEAR))
def test_default_is_what_the_definition_says_for_chains_of_near_values(pair):
    assert compare(*pair).matches["default"] is by_force(*pair)


@settings(max_examples=100, deadline=None)
@given(tables())
def test_every_rule_but_strict_types_is_reflexive(table):
    again = Table(table.columns, table.types, [tuple(row) for row in table.rows])
    found = compare(table, again)
    assert all(found.matches.values())
    assert found.outcome is (Outcome.CORRECT if table.rows else Outcome.VACUOUS_MATCH)
    assert compare_test_suite(table, again, "SELECT a FROM t ORDER BY a")
    assert compare_states({"t": table}, {"T": again}).is_match


@settings(max_examples=200, deadline=None)
@given(pairs())
def test_default_strict_bird_and_test_suite_are_symmetric(pair):
    one, other = pair
    there, back = compare(one, other), compare(other, one)
    for rule in ("default", "strict", "bird"):
        assert there.matches[rule] is back.matches[rule]
    assert compare_test_suite(one, other, "SELECT a FROM t") is compare_test_suite(other, one, "SELECT a FROM t")


@settings(max_examples=150, deadline=None)
@given(pairs(), st.data())
def test_without_order_the_prediction_may_be_shuffled(pair, data):
    gold, prediction = pair
    shuffled = Table(prediction.columns, prediction.types, data.draw(st.permutations(prediction.rows)))
    assert dict(compare(gold, prediction).matches) == dict(compare(gold, shuffled).matches)


@settings(max_examples=150, deadline=None)
@given(pairs(), st.data())
def test_default_and_lenient_ignore_the_order_of_columns(pair, data):
    gold, prediction = pair
    turned = picked(prediction, data.draw(st.permutations(range(len(prediction.columns)))))
    for rule in ("default", "lenient"):
        assert compare(gold, prediction).matches[rule] is compare(gold, turned).matches[rule]


@settings(max_examples=200, deadline=None)
@given(pairs(cells=st.one_of(NEAR, CELLS)), st.floats(0, 0.01), st.floats(0, 0.01))
def test_more_tolerance_never_loses_a_match(pair, one, other):
    small, large = sorted((one, other))
    before, after = compare(*pair, tolerance=small).matches, compare(*pair, tolerance=large).matches
    for rule in ("default", "strict", "lenient"):
        assert before[rule] <= after[rule]


PLANS = st.sampled_from(
    [None, *map(order_plan, ("SELECT 1 ORDER BY 1", "SELECT 1 ORDER BY ALL", "SELECT 1 ORDER BY x"))]
)


@settings(max_examples=200, deadline=None)
@given(pairs(), PLANS)
def test_strict_implies_default_implies_lenient_and_outcomes_agree(pair, plan: OrderPlan | None):
    found = compare(*pair, plan)
    assert found.matches["strict"] <= found.matches["default"] <= found.matches["lenient"]
    assert found.outcome.is_match is found.matches["default"]
    assert bool(found.reason) is (found.outcome is not Outcome.CORRECT)
    assert compare(*pair, None).matches["default"] >= found.matches["default"]


@settings(max_examples=150, deadline=None)
@given(pairs(), CELLS)
def test_lenient_ignores_one_column_more(pair, value):
    gold, prediction = pair
    if compare(gold, prediction).matches["default"] and prediction.rows:
        wider = Table(
            ("extra", *prediction.columns), ("VARCHAR", *prediction.types), [(value, *row) for row in prediction.rows]
        )
        assert compare(gold, wider).matches["lenient"]
        assert compare(gold, wider).outcome is Outcome.WRONG_COLUMN_COUNT


@settings(max_examples=150, deadline=None)
@given(pairs())
def test_every_mismatch_is_explained_truly(pair):
    gold, prediction = pair
    found = compare(gold, prediction)
    if found.outcome is Outcome.WRONG_COLUMN_COUNT:
        assert len(gold.columns) != len(prediction.columns)
    if found.outcome is Outcome.WRONG_ROW_COUNT:
        assert len(gold.rows) != len(prediction.rows)
    if found.outcome is Outcome.WRONG_MULTIPLICITY:
        theirs = {tuple(map(canonical, row)) for row in gold.rows}
        assert len(theirs) <= len(gold.rows)
    if found.outcome is Outcome.WRONG_VALUES:
        assert len(gold.rows) == len(prediction.rows)
