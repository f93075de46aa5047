# ruff: noqa: E501, DTZ001 - one case a line reads as a table; DuckDB has timestamps without a zone
"""Digests of answers: equal for what the default rule calls the same as it stands, unequal for the rest."""

from __future__ import annotations

import random
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import duckdb
import pytest

from harness.answer import Table, answer_digest, compare, query, state_digest


def table(*rows: tuple, width: int | None = None) -> Table:
    names = tuple(f"c{i}" for i in range(width if width is not None else len(rows[0])))
    return Table(names, ("",) * len(names), list(rows))


SAME = [
    (1, 1.0),
    (1, Decimal("1.00")),
    (True, 1),
    (0.3, 0.1 + 0.2),
    (3, 2.9999999999),
    (12345678, 12345678.0000001),
    (-0.0, 0),
    (10**20, Decimal(10**20)),
    (date(2024, 1, 2), datetime(2024, 1, 2)),
    ({"a": 1, "b": [1.0, 2]}, {"B": [1, 2], "A": 1}),
    (float("nan"), float("nan")),
]
UNLIKE = ["1", 1, 2, None, "", "NULL", "-", 1.5, 1234567, 1234568, 10**20, 10**20 + 1, b"1", date(2024, 1, 2), "2024-01-02",
          float("nan"), float("inf"), float("-inf"), "nan", [1], [1, 1], ["1"], {"a": 1}, {"a": "1"}, {"b": 1}, [[1]],
          UUID(int=1), str(UUID(int=1))]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_value_has_one_digest(one, other):
    assert answer_digest(table((one,))) == answer_digest(table((other,)))
    assert compare(table((one,)), table((other,))).is_match


def test_unlike_values_have_unlike_digests():
    assert len({answer_digest(table((value,))) for value in UNLIKE}) == len(UNLIKE)


def test_rows_are_a_bag_and_columns_stand_in_order():
    rows = [(i % 3, f"x{i % 2}", None if i % 4 else 0.5) for i in range(40)]
    shuffled = rows[:]
    random.Random(1).shuffle(shuffled)
    assert answer_digest(table(*rows)) == answer_digest(table(*shuffled))
    assert answer_digest(table(*rows)) != answer_digest(table(*rows, rows[0]))
    assert answer_digest(table((1, 2))) != answer_digest(table((2, 1)))
    assert answer_digest(table((1, 2))) != answer_digest(table((1,), (2,)))
    assert answer_digest(table(width=1)) != answer_digest(table(width=2))
    assert answer_digest(table(("a", "b"))) != answer_digest(table(("a'b",)))
    assert len(answer_digest(table((1,)))) == 16


def test_nested_values_of_duckdb_have_digests_whatever_the_order_of_their_entries():
    connection = duckdb.connect()
    one = query(connection, "SELECT {'a': 1, 'b': [DATE '2024-01-02', NULL]}, MAP {'x': 1, 'y': 2}, INTERVAL 3 DAY", 10)
    two = query(
        connection, "SELECT {'b': [DATE '2024-01-02', NULL], 'a': 1.0}, MAP {'y': 2, 'x': 1}, INTERVAL 72 HOUR", 10
    )
    assert answer_digest(one) == answer_digest(two)


def test_states_are_told_by_names_columns_and_rows():
    state = {"t": table((1, "a"), (2, "b"))}
    turned = {"T": Table(("c1", "C0"), ("", ""), [("b", 2), ("a", 1)])}
    assert state_digest(state) == state_digest(turned)
    others = [{"u": state["t"]}, {"t": table((1, "a"))}, {**state, "u": table((1,))}, {"t": Table(("a", "b"), ("", ""), state["t"].rows)}]  # fmt: skip
    assert len({state_digest(one) for one in [state, *others]}) == 5
