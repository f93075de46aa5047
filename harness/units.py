"""Numbers to text, each with its unit and its doubt; the only room that decides how a number looks.

Unknown is `NONE`, never a guess and never zero. Groups of digits are parted by a space, decimals by a point, so the
same text reads well in a terminal, in Markdown and on the page.

    >>> share(0.6131, 0.5829, 0.6427, 1034)
    '61.3 % [58.3, 64.3] n=1034'
    >>> rate(1240.2)
    '1 240 tok/s'
"""

from __future__ import annotations

import math

NONE = "–"
"""What stands where a number is unknown."""

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_THOUSANDS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUS = "−"


def number(value: float | None, digits: int = 3) -> str:
    """A plain number with `digits` significant digits, whole numbers kept whole: `1 240`, `0.0312`, `7`."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == int(value):
        return _grouped(f"{int(value)}")
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    # rounding may carry into a further digit (9.996 -> 10.00), which would show one digit too many
    rounded = round(value, places)
    if rounded and math.floor(math.log10(abs(rounded))) > math.floor(math.log10(abs(value))):
        places = max(0, places - 1)
    return _grouped(f"{value:.{places}f}")


def percent(value: float | None, digits: int = 1) -> str:
    """A share between 0 and 1 as per cent: `61.3 %`."""
    return NONE if value is None or not math.isfinite(value) else f"{_fixed(100 * value, digits)} %"


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """Bounds of a share in per cent, without the sign that stands before them: `[58.2, 64.3]`."""
    if low is None or high is None:
        return NONE
    return f"[{_fixed(100 * low, digits)}, {_fixed(100 * high, digits)}]"


def share(value: float | None, low: float | None, high: float | None, n: int, digits: int = 1) -> str:
    """A share with its interval and its count: `61.3 % [58.2, 64.3] n=1034`."""
    if value is None:
        return f"{NONE} n={n}"
    bounds = "" if low is None or high is None else f" {interval(low, high, digits)}"
    return f"{percent(value, digits)}{bounds} n={n}"


def points(value: float | None, digits: int = 1, *, sign: bool = True) -> str:
    """A difference of two shares in percentage points, signed unless `sign` is off: `+2.1`."""
    if value is None or not math.isfinite(value):
        return NONE
    text = _fixed(100 * value, digits)
    return text if value < 0 or not sign or not float(text) else f"+{text}"


def point_difference(value: float | None, low: float | None, high: float | None, n: int) -> str:
    """A paired difference with its interval and count: `+2.1 points [-0.4, +4.6] n=1034`."""
    if value is None or low is None or high is None:
        return f"{NONE} n={n}"
    return f"{points(value)} points [{points(low)}, {points(high)}] n={n}"


def p_value(p: float | None) -> str:
    """A p-value as one reads it: `0.013`, `0.34`, `< 0.001`."""
    if p is None:
        return NONE
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def rate(value: float | None, unit: str = "tok/s") -> str:
    """A speed with its unit: `1 240 tok/s`, `37.4 items/s`."""
    return NONE if value is None or not math.isfinite(value) else f"{_whole_or_short(value)} {unit}"


def duration(seconds: float | None) -> str:
    """A span of time in the units a person would say: `1 h 03 min`, `2 min 05 s`, `12.3 s`, `41.0 ms`."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 0:
        return f"{_MINUS}{duration(-seconds)}"
    if round(seconds, 1) >= 60:
        minutes, rest = divmod(round(seconds), 60)
        if minutes < 60:
            return f"{minutes} min {rest:02d} s"
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{_grouped(str(hours))} h {minutes:02d} min"
    for factor, unit in _TIMES:
        if seconds >= factor:
            return f"{_short(seconds / factor)} {unit}"
    return "0 s" if seconds == 0 else "< 1 ns"


def size(count: float | None) -> str:
    """Bytes in binary units: `1.50 GiB`, `512 B`."""
    if count is None or not math.isfinite(count):
        return NONE
    for factor, unit in _SIZES:
        if abs(count) >= factor:
            return f"{_short(count / factor)} {unit}"
    return f"{int(count)} B"


def count(value: float | None) -> str:
    """A whole number with its digits grouped: `12 500`."""
    return NONE if value is None or not math.isfinite(value) else _grouped(f"{round(value)}")


def quantity(value: float | None, unit: str) -> str:
    """A physical quantity with an SI prefix: `3.41 kJ`, `700 W`, `41.2 TFLOP/s`."""
    if value is None or not math.isfinite(value):
        return NONE
    for factor, prefix in _THOUSANDS:
        if abs(value) >= factor:
            return f"{_short(value / factor)} {prefix}{unit}"
    return f"{number(value)} {unit}"


def plural(n: int, noun: str, many: str | None = None) -> str:
    """A count with its noun: `1 item`, `2 500 items`."""
    return f"{count(n)} {noun if n == 1 else many or noun + 's'}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    if text.startswith("-"):
        # -0.0 is a rounding artefact, not a direction
        return text[1:] if not float(text) else _MINUS + text[1:]
    return text


def _short(value: float) -> str:
    """Three significant digits, trailing zeros kept: they say how well the number is known."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return _grouped(f"{value:.{max(0, 2 - magnitude)}f}")


def _whole_or_short(value: float) -> str:
    return _grouped(f"{value:.0f}") if abs(value) >= 100 else number(value)


def _grouped(text: str) -> str:
    sign, digits = (_MINUS, text[1:]) if text.startswith("-") else ("", text)
    whole, point, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}".replace(",", " ") + point + fraction
