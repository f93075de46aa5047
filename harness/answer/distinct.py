"""DISTINCT stripped from a statement, as the official Spider evaluator does before it runs either side."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|(?P<word>\bdistinct\b(?!\s+(?:from|on)\b))",
    re.IGNORECASE | re.DOTALL,
)


def strip_distinct(sql: str) -> str:
    """The statement without the keyword DISTINCT, in a select list or an aggregate.

    Literals, quoted names and comments stay, and so do IS DISTINCT FROM and DISTINCT ON, which would not survive it.
    """
    return _TOKEN.sub(lambda found: "" if found.group("word") else found.group(), sql)


def needs_second_execution(gold_sql: str, prediction_sql: str) -> bool:
    """True where either side has a DISTINCT, so that the rule `test_suite` needs both run again without it."""
    return any("distinct" in sql.lower() and strip_distinct(sql) != sql for sql in (gold_sql, prediction_sql))
