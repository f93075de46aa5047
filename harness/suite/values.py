"""Values for columns: round the gold's constants, of the column's type, and small enough to meet each other.

A cell holds None, bool, int, float or str; dates and everything else travel as the text DuckDB casts on INSERT.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

from harness.suite.conditions import Condition, Constant
from harness.suite.schema import Column, type_family
from harness.suite.steps import stepped_days, stepped_numbers

WORDS = ("alpha", "Beta", "gamma", "Delta", "epsilon", "Zeta", "eta", "Theta", "iota", "Kappa")
DATES = ("2020-01-15", "2019-12-31", "2021-06-30", "2020-02-29", "2022-11-05", "2018-03-01")
NUMERALS = ("3", "12", "7", "45", "100", "9", "21", "60")

_INTEGER_LIMITS = {"TINYINT": 127, "UTINYINT": 255, "SMALLINT": 32767, "USMALLINT": 65535, "INTEGER": 2**31 - 1}
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)\((\d+),\s*(\d+)\)")


def near(condition: Condition, column: Column, style: str) -> list[Constant]:
    """Values at, just below and just above a condition's constants, in the column's type."""
    family = style or type_family(column.type)
    found: list[Constant] = []
    for value in condition.values:
        if condition.measure in ("year", "month", "day"):
            found += _days_with(condition.measure, value)
        elif condition.operator in ("like", "ilike") and isinstance(value, str):
            found += matching(value)
        elif condition.measure == "length":
            found += ["abcdefghijklmnopqrstuvwxyz"[: max(0, n)] for n in _integers(value)]
        elif condition.measure != "count":
            found += _NEAR.get(family, _near_text)(value)
    return fitting(found, column, style)


def plain(column: Column, style: str, shipped: Iterable[Any] = ()) -> list[Constant]:
    """Ordinary values of a column's type: shipped ones first, then a stock."""
    stock: dict[str, list[Constant]] = {
        "integer": [1, 2, 3, 5, 8, 4, 0, 13, 6, 21],
        "number": [1.5, 2.0, 3.25, 10.0, 0.5, 7.75, 4.0, 12.5],
        "text": list(WORDS),
        "numeral": list(NUMERALS),
        "date": list(DATES),
        "timestamp": [f"{d} {t}" for d, t in zip(DATES, ("00:00:00", "12:30:00", "08:15:00") * 2, strict=True)],
        "time": ["08:00:00", "12:30:00", "23:59:59", "00:00:00"],
        "boolean": [True, False],
    }
    values = [as_cell(v) for v in shipped if v is not None][:4]
    family = style or type_family(column.type)
    if family == "other":
        return _special(column, values)
    return fitting([*values, *stock[family]], column, style)


def as_cell(value: Any) -> Constant:
    """A fetched value as a cell: numbers and truth values as they are, everything else as text."""
    if isinstance(value, bool | int | float | str):
        return value
    return str(value)


def fitting(values: Iterable[Constant], column: Column, style: str = "") -> list[Constant]:
    """The values as the column stores them, each once; what the type cannot hold is left out."""
    family = type_family(column.type)
    kept: dict[tuple[str, str], Constant] = {}
    for value in values:
        fitted = _fit(value, column, family)
        if fitted is not None:
            kept.setdefault((type(fitted).__name__, str(fitted)), fitted)
    return list(kept.values())


def matching(pattern: str) -> list[Constant]:
    """Texts that match a LIKE pattern and texts that just miss it."""
    body = pattern.replace("_", "q").replace("\\", "")
    core = body.replace("%", "")
    upper = core.swapcase()
    return [
        body.replace("%", ""),
        body.replace("%", "zz"),
        f"zz{core}",
        f"{core}zz",
        f"zz{core}zz",
        body.replace("%", "zz").replace(core, upper) if core and core in body else upper,
        core[:-1],
        core[:1] + "~" + core[1:],
        "none",
    ]


def holds(condition: Condition, value: Constant) -> bool:
    """Whether a value satisfies a condition, as far as Python can tell; NULL satisfies only IS NULL."""
    if condition.operator == "null":
        return value is None
    if value is None or condition.measure in ("count", "sum"):
        return condition.measure in ("count", "sum")
    subject = _measured(condition.measure, value)
    if condition.operator in ("like", "ilike"):
        return any(_like(str(subject), str(v), condition.operator == "ilike") for v in condition.values)
    keys = [comparable(subject, v) for v in condition.values]
    match condition.operator:
        case "eq" | "in":
            return any(a == b for a, b in keys)
        case "ne":
            return all(a != b for a, b in keys)
        case "between":
            return keys[0][0] >= keys[0][1] and keys[1][0] <= keys[1][1]
        case "lt":
            return bool(keys[0][0] < keys[0][1])
        case "le":
            return bool(keys[0][0] <= keys[0][1])
        case "gt":
            return bool(keys[0][0] > keys[0][1])
        case _:
            return bool(keys[0][0] >= keys[0][1])


def literal(value: Constant) -> str:
    """A cell as a DuckDB literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value)
    return "'" + value.replace("'", "''") + "'"


def _special(column: Column, shipped: list[Constant]) -> list[Constant]:
    name = column.type.upper()
    if name.startswith("ENUM"):
        return list(re.findall(r"'((?:[^']|'')*)'", column.type))
    if name.startswith("UUID"):
        return [f"00000000-0000-4000-8000-{n:012d}" for n in range(1, 9)]
    if name.endswith("[]"):
        return [*shipped, "[]"]
    stock = {"INTERVAL": ["1 day", "2 hours"], "BLOB": ["ab", "cd"], "BIT": ["101", "011"], "JSON": ['{"a": 1}', "[]"]}
    return shipped or list(stock.get(name.split("(")[0], []))


def _fit(value: Constant, column: Column, family: str) -> Constant:
    if family == "integer":
        number = _number(value)
        limit = _INTEGER_LIMITS.get(column.type, 2**53)
        if number is None or abs(number) > limit or (column.type.startswith("U") and number < 0):
            return None
        return int(number // 1)
    if family == "number":
        number = _number(value)
        shape = _DECIMAL.match(column.type.upper())
        if number is None or (shape and abs(number) >= 10 ** (int(shape[1]) - int(shape[2]))):
            return None
        return round(float(number), int(shape[2]) if shape else 6)
    if family == "text":
        return str(value)
    if family in ("date", "timestamp"):
        return _fit_date(str(value), family)
    if family == "boolean":
        return (
            value
            if isinstance(value, bool)
            else {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())
        )
    return str(value) if re.fullmatch(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?", str(value)) else None


def _fit_date(text: str, family: str) -> str | None:
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    moment = moment.replace(tzinfo=None)
    return moment.date().isoformat() if family == "date" else moment.isoformat(" ")


def _number(value: Constant) -> float | int | None:
    if isinstance(value, bool | int | float):
        return value
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None


def _integers(value: Constant) -> list[int]:
    number = _number(value)
    return [] if number is None else [int(number), int(number) - 1, int(number) + 1]


def _near_integer(value: Constant) -> list[Constant]:
    number = _number(value)
    return [] if number is None else [int(number), int(number) + 1, int(number) - 1]


def _near_number(value: Constant) -> list[Constant]:
    number = _number(value)
    if number is None:
        return []
    step = 0.01 if isinstance(value, float) else 0.5
    return [float(number), number + step, number - step, number + 1, number - 1]


def _near_numeral(value: Constant) -> list[Constant]:
    number = _number(value)
    if number is None:
        return []
    if float(number).is_integer():
        return [str(value), str(int(number) + 1), str(int(number) - 1)]
    return [str(value), f"{number + 0.1:.6g}", f"{number - 0.1:.6g}", str(int(number))]


def _near_text(value: Constant) -> list[Constant]:
    text = str(value)
    return [text, f"{text}x", text.swapcase(), text[:-1], *(stepped_days(text) or stepped_numbers(text))]


def _near_date(value: Constant) -> list[Constant]:
    text = str(value).strip()
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return []
    return [(moment + datetime.timedelta(days=d)).isoformat(" ") for d in (0, 1, -1, 366, -366)]


_NEAR = {
    "integer": _near_integer,
    "number": _near_number,
    "numeral": _near_numeral,
    "text": _near_text,
    "date": _near_date,
    "timestamp": _near_date,
}


def _days_with(measure: str, value: Constant) -> list[Constant]:
    numbers = _integers(value)
    if not numbers or abs(numbers[0]) > 9000:
        return []
    if measure == "year":
        years = [f"{n:04d}" for n in numbers if n > 0]
        return [f"{y}-{d}" for y in years for d in ("06-15", "01-01", "12-31")]
    if measure == "month":
        return [f"{y}-{n:02d}-10" for n in numbers if 1 <= n <= 12 for y in (2020, 2021)]
    return [f"2020-05-{n:02d}" for n in numbers if 1 <= n <= 28]


def _measured(measure: str, value: Constant) -> Constant:
    if measure == "length":
        return len(str(value))
    place = {"year": slice(0, 4), "month": slice(5, 7), "day": slice(8, 10)}.get(measure)
    if place is None:
        return value
    return _number(str(value)[place])


def comparable(subject: Constant, value: Constant) -> tuple[Any, Any]:
    """Both sides as numbers where both are, else both as text."""
    left, right = _number(subject), _number(value)
    if left is not None and right is not None:
        return left, right
    return str(subject), str(value)


def _like(text: str, pattern: str, ignore_case: bool) -> bool:
    parts = [".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern]
    return re.fullmatch("".join(parts), text, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None
