"""What is too large to parse: sqlglot recurses and DuckDB's parser is quadratic in places, so size is asked first."""

from __future__ import annotations

import re

MAX_CHARACTERS = 50_000
MAX_DEPTH = 100
"""Brackets within brackets; sqlglot takes several Python frames a level."""
MAX_TOKENS = 10_000

_BRACKET = re.compile(r"[()\[\]{}]|\bCASE\b|\bNOT\b", re.IGNORECASE)


def parseable(sql: str) -> bool:
    """False for text no benchmark needs and no parser survives: too long, too deep, NUL or lone surrogates in it."""
    if len(sql) > MAX_CHARACTERS or "\0" in sql:
        return False
    if not sql.isascii():
        try:
            sql.encode()
        except UnicodeEncodeError:
            return False
    depth = deepest = 0
    for found in _BRACKET.finditer(sql):
        depth += 1 if found.group() not in ")]}" else -1
        deepest = max(deepest, depth)
        depth = max(depth, 0)
    return deepest <= MAX_DEPTH * 2
