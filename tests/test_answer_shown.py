"""Tables cut for people: the rows that differ come first, whatever else is cut away."""

from __future__ import annotations

import json
from datetime import date

from harness.answer.shown import CELL, COLUMNS, ROWS, shown_states, shown_tables
from harness.answer.table import Table


def table(rows, *names) -> Table:
    return Table(names or ("a", "b")[: len(rows[0]) if rows else 1], ("INTEGER",) * len(names or ("a",)), rows)


def test_rows_that_only_one_side_has_come_first_and_are_counted():
    gold, given = shown_tables(table([(1,), (2,), (2,), (3,)], "a"), table([(3,), (2,), (9,)], "x"))
    assert gold["rows"] == [["1"], ["2"], ["2"], ["3"]]
    assert (gold["only"], gold["total"], given["only"], given["total"]) == (2, 4, 1, 3)
    assert given["rows"] == [["9"], ["3"], ["2"]]


def test_much_is_cut_to_little_and_the_total_stays():
    wide = [tuple("x" * 200 for _ in range(40)) for _ in range(500)]
    gold, _ = shown_tables(table(wide, *map(str, range(40))), table([], *map(str, range(40))))
    assert (len(gold["rows"]), len(gold["rows"][0]), len(gold["columns"])) == (ROWS, COLUMNS, COLUMNS)
    assert all(len(cell) == CELL for row in gold["rows"] for cell in row)
    assert (gold["total"], gold["only"]) == (500, ROWS)


def test_columns_of_the_same_names_are_laid_side_by_side():
    gold, given = shown_tables(table([(1, "a")], "id", "name"), table([("a", 1.0)], "NAME", "id"))
    assert (gold["only"], given["only"]) == (0, 0)


def test_cells_are_text_or_null_and_go_into_json():
    gold, _ = shown_tables(table([(None, True, date(2020, 1, 2), b"x")], *"abcd"), table([], *"abcd"))
    assert gold["rows"] == [[None, "true", "2020-01-02", "b'x'"]]
    assert json.loads(json.dumps(gold)) == gold


def test_of_states_the_first_table_that_differs_is_shown():
    same, gold = table([(1,)], "a"), {"one": table([(1,)], "a"), "two": table([(5,)], "a")}
    left, right = shown_states(gold, {"One": same, "two": same})
    assert (left["table"], left["rows"], right["rows"]) == ("two", [["5"]], [["1"]])
    left, right = shown_states(gold, {"one": same})
    assert (right["table"], right["total"]) == ("two", 0)
