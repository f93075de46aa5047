"""Statements that write are judged by what they leave behind: tables and columns by name, rows as bags.

Names are compared in any case, and unlike in a query's result they count: whoever creates or alters a table names
its columns. The order of a table's columns does not count, alike types do (BIGINT for INTEGER is fine, VARCHAR is
not). Views count by their rows.
"""

from __future__ import annotations

from harness.answer import reasons
from harness.answer.bags import Bag, fits, pick
from harness.answer.encode import encode
from harness.answer.table import Comparison, State, Table
from harness.answer.values import kinds_of, types_alike
from harness.records import Outcome

_RULES = ("default", "strict", "lenient", "bird")


def compare_states(gold: State, prediction: State, *, tolerance: float = 1e-6) -> Comparison:
    """Judge a writing prediction by the tables and views it leaves; every rule gives the same verdict here."""
    theirs = {name.lower(): table for name, table in gold.items()}
    ours = {name.lower(): table for name, table in prediction.items()}
    faults = [f"{_it(name)} is missing" for name in theirs if name not in ours]
    faults += [f"{_it(name)} should not exist" for name in ours if name not in theirs]
    for name, table in theirs.items():
        if name in ours:
            fault = _difference(table, ours[name], tolerance)
            if fault:
                faults.append(f"{_it(name)}: {fault}")
    if not faults:
        return Comparison(dict.fromkeys(_RULES, True), Outcome.CORRECT)
    more = f"; and {reasons.counted(len(faults) - 1, 'more difference')}" if len(faults) > 1 else ""
    return Comparison(dict.fromkeys(_RULES, False), Outcome.WRONG_STATE, f"after the statement, {faults[0]}{more}")


def _it(name: str) -> str:
    return f"table or view {name}"


def _difference(gold: Table, prediction: Table, tolerance: float) -> str:
    """How one table differs; empty where it does not."""
    wanted = [name.lower() for name in gold.columns]
    given = [name.lower() for name in prediction.columns]
    missing = [name for name in wanted if name not in given]
    extra = [name for name in given if name not in wanted]
    if missing or extra:
        parts = [f"column {name} is missing" for name in missing] + [
            f"column {name} should not exist" for name in extra
        ]
        return ", ".join(parts)
    columns = _places(wanted, given)
    if len(wanted) != len(given):
        return reasons.column_count(gold, prediction)
    for name, one, place in zip(wanted, gold.types, columns, strict=True):
        other = prediction.types[place]
        if not types_alike((one,), (other,)):
            return f"column {name} is {other} instead of {one}"
    if gold.truncated or prediction.truncated:
        return (
            "too many rows to compare" if gold.rows != prediction.rows or gold.truncated != prediction.truncated else ""
        )
    rows = pick(prediction.rows, columns)
    if rows == gold.rows:
        return ""
    encoded = encode([gold.rows, rows], kinds_of(gold.rows) | kinds_of(rows), tolerance)
    reference, other_bag = (Bag(encoded.rows[i], None, encoded.exact_of(i)) for i in (0, 1))
    if len(gold.rows) == len(rows) and fits(reference, other_bag, None, encoded.pairing):
        return ""
    return reasons.row_difference(encoded.rows[0], encoded.rows[1], gold.rows, rows) or "the rows differ"


def _places(wanted: list[str], given: list[str]) -> list[int]:
    """Where each wanted column stands in the prediction; a view's repeated names are taken in order."""
    free = list(range(len(given)))
    places = []
    for name in wanted:
        place = next((i for i in free if given[i] == name), None)
        if place is not None:
            free.remove(place)
            places.append(place)
    return places
