"""The next number and the next day of a constant, as text: what neighbours change it to, and witnesses hold."""

from __future__ import annotations

import datetime


def stepped_numbers(text: str) -> list[str]:
    """A number's neighbours, one up and one down in its last digit, as text; none where the text is no number."""
    try:
        return [str(int(text) + 1), str(int(text) - 1)] if int(text) > 0 else [str(int(text) + 1)]
    except ValueError:
        pass
    digits = len(text.partition(".")[2])
    try:
        step = 10.0**-digits
        return [f"{float(text) + step:.{digits}f}", f"{float(text) - step:.{digits}f}"]
    except ValueError:
        return []


def stepped_days(text: str) -> list[str]:
    """The day after and the day before, what follows the day kept; none where the text begins with no day."""
    try:
        day = datetime.date.fromisoformat(text[:10]) if len(text) >= 10 else None
        step = datetime.timedelta(days=1)
        return [] if day is None else [(day + step).isoformat() + text[10:], (day - step).isoformat() + text[10:]]
    except (ValueError, OverflowError):
        return []
