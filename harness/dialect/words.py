"""Words by which a text shows whose it is, and spellings that a change of words settles before anything is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator

_OWNERS = (
    (re.compile(r"\bTO_(?:CHAR|DATE)\s*\(", re.IGNORECASE), frozenset(["postgres", "oracle", "snowflake", "redshift"])),
    (re.compile(r"\bISNULL\s*\((?:[^(),]|\([^()]*\))*,", re.IGNORECASE), frozenset(["tsql"])),
)
"""Functions that sqlglot reads in any dialect, in most as something else: MySQL's ISNULL asks, T-SQL's replaces."""
_REPLACE = re.compile(r"\s*REPLACE\s+INTO\b", re.IGNORECASE)
_DEFAULT_SCHEMA = {"public": "postgres", "dbo": "tsql"}
_QUALIFIED = re.compile(
    r'(?<![\w."])(?:(public|dbo)|"(public|dbo)"|\[(public|dbo)\])\s*\.\s*(?=[\w"`\[])', re.IGNORECASE
)


def readers(text: str, dialects: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the dialects that may read the text: all, unless it has a function that only some of them have."""
    for word, owners in _OWNERS:
        own = tuple(dialect for dialect in dialects if dialect in owners)
        if own and word.search(text):
            return own
    return dialects


def without_default_schema(text: str, dialects: tuple[str, ...]) -> str:
    """The text with `public.t` (PostgreSQL) and `dbo.t` (T-SQL) as `t`, which is what they mean there."""

    def plain(found: re.Match[str]) -> str:
        name = next(filter(None, found.groups())).lower()
        return "" if _DEFAULT_SCHEMA[name] in dialects else found.group()

    # outside strings: every second piece is one
    pieces = re.split(r"('(?:[^']|'')*')", text)
    return "".join(piece if i % 2 else _QUALIFIED.sub(plain, piece) for i, piece in enumerate(pieces))


def respelt(text: str, dialects: tuple[str, ...], error: str) -> Iterator[tuple[str, str]]:
    """(text, name of the change), one change after the other, each on top of the one before."""
    if _REPLACE.match(text) and {"mysql", "sqlite"} & set(dialects):
        text = _REPLACE.sub("INSERT OR REPLACE INTO", text, count=1)
        yield text, "replace_into"
    if "does not exist" in error:
        plain = without_default_schema(text, dialects)
        if plain != text:
            yield plain, "default_schema"
