"""What is too large to parse: sqlglot recurses, and its compiled parser crashes the process when that goes too deep.

Measured with sqlglot 30.30 compiled: 8,000 nested brackets end in a segmentation fault, 1,000 in a RecursionError. So
size is asked first, in one linear pass, and nothing beyond these limits is ever parsed.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 50_000
MAX_DEPTH = 100
"""Brackets, CASEs and prefix operators within each other."""
MAX_SUBSCRIPTS = 100

_EDGE = re.compile(r"[()\[\]{}]|\bCASE\b|\bEND\b", re.IGNORECASE)
_PREFIXES = re.compile(rf"(?:(?:\bNOT\b|[-+~!])\s*){{{MAX_DEPTH}}}|(?:\[[^\[\]]*\]){{{MAX_SUBSCRIPTS}}}", re.IGNORECASE)
_OPENING = frozenset("([{cC")


def parseable(sql: str) -> bool:
    """False for text no benchmark needs and no parser survives: too long, too deep, NUL or lone surrogates in it."""
    if len(sql) > MAX_CHARACTERS or "\0" in sql:
        return False
    if not sql.isascii():
        try:
            sql.encode()
        except UnicodeEncodeError:
            return False
    if len(sql) < MAX_DEPTH or (sql.isascii() and _openings(sql) < MAX_DEPTH):
        return True
    depth = 0
    for found in _EDGE.finditer(sql):
        depth += 1 if found.group()[0] in _OPENING else -1
        if depth > MAX_DEPTH:
            return False
        depth = max(depth, 0)
    return _PREFIXES.search(sql) is None


def _openings(sql: str) -> int:
    """How often there is anything that could nest: a bound on how deep it gets."""
    small = sql.lower()
    return sum(map(small.count, ("(", "[", "{", "-", "+", "~", "!", "case", "not")))
