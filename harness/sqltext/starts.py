"""Where a statement starts: words that only SQL puts together, so that prose about SQL is not taken for it."""

from __future__ import annotations

import re

_NAME = r"(?:[\w$.]+|\"[^\"\n]+\"|`[^`\n]+`|\[[^\]\n]+\])"
_NO_ALIAS = (
    r"(?!(?:FROM|AS|INTO|IS|IN|NOT|AND|OR|LIKE|ILIKE|GLOB|BETWEEN|COLLATE|WHERE|GROUP|ORDER|HAVING|LIMIT|UNION|EXCEPT"
    r"|INTERSECT|JOIN|INNER|LEFT|RIGHT|FULL|CROSS|NATURAL)\b)"
)
_ENGLISH = (
    r"\s+(?:(?:every|each|any|only|those|these|some|which|and|or|your|our|one\s+of)\s+"
    rf"{_NO_ALIAS}[A-Za-z]+\b(?!\s*[(.])|an?(?:\s+{_NO_ALIAS}[A-Za-z]+\b){{2}}"
    rf"|[\w, ]{{1,80}}?\bFROM\s+(?:(?:the|this|these|those|your|our)\s+{_NO_ALIAS}[A-Za-z]"
    r"|\w+\s+(?:who|whose|that|which|and|because)\b"
    r"|\w+\.\s+(?=(?-i:[A-Z]))(?=[\s\S]*?\bSELECT\b)))"
)
"""How a sentence that says "select" goes on, and no statement does; one that a period ends counts where SQL follows."""
_STATEMENT = (
    r"(?:SELECT\b(?!\s+(?:the(?!\s+FROM\b)|all\s+(?:the|rows|of)|from\s+the|statements?|query|queries)\s)"
    rf"(?!{_ENGLISH})"
    rf"|WITH\s+(?:RECURSIVE\s+)?{_NAME}\s*(?:\([^()]*\)\s*)?AS\s*(?:NOT\s+)?(?:MATERIALIZED\s*)?\("
    rf"|INSERT\s+(?:OR\s+\w+\s+)?INTO\s+{_NAME}|REPLACE\s+INTO\s+{_NAME}|UPDATE\s+(?:OR\s+\w+\s+)?{_NAME}\s+"
    rf"(?:(?:AS\s+)?\w+\s+)?SET\b|DELETE\s+FROM\s+{_NAME}|MERGE\s+INTO\s+{_NAME}|TRUNCATE\s+(?:TABLE\s+)?{_NAME}"
    r"|CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+|UNIQUE\s+|MATERIALIZED\s+)*"
    r"(?:TABLE|VIEW|INDEX|SCHEMA|TYPE|SEQUENCE|FUNCTION|MACRO|TRIGGER|PROCEDURE|DATABASE|SECRET)\s+\S"
    r"|DROP\s+(?:TABLE|VIEW|INDEX|SCHEMA|TYPE|SEQUENCE|FUNCTION|MACRO|TRIGGER|PROCEDURE|DATABASE)\s+\S"
    rf"|ALTER\s+(?:TABLE|VIEW)\s+{_NAME}|VALUES\s*\(|PRAGMA\s+\w+|ATTACH\s+'|COPY\s+\S+\s+(?:TO|FROM)\b"
    r"|EXPLAIN\s+(?:ANALYZE\s+)?(?:QUERY\s+PLAN\s+)?(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b"
    r"|BEGIN(?:\s+TRANSACTION)?\s*;|(?:COMMIT|ROLLBACK)\s*(?:;|\Z)|SET\s+\w+\s*=|(?:INSTALL|LOAD)\s+'?\w+'?\s*(?:;|\Z)"
)
ANYWHERE = re.compile(rf"\b{_STATEMENT})", re.IGNORECASE)
"""A statement within other text."""
_FROM_FIRST = rf"|FROM\s+{_NAME}(?=\s+(?:SELECT|WHERE|JOIN|LIMIT|ORDER|GROUP|AS)\b|\s*[;,]|\s*\Z))"
_HERE = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*+\*/)*+(?:(?:sql|sqlite|mysql|duckdb|postgres(?:ql)?)[ \t]*\n\s*)?[\s(]*"
    rf"{_STATEMENT}{_FROM_FIRST}",
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"\s*(?:sql|sqlite|mysql|duckdb|postgres(?:ql)?)[ \t]*\n\s*(?=\S)", re.IGNORECASE)


def starts_here(text: str, at: int = 0) -> bool:
    """True where a statement starts at this offset, brackets, comments and the word `sql` aside."""
    return _HERE.match(text, at) is not None


def without_language(text: str) -> str:
    """The text without a first line that only names the language."""
    found = _LANGUAGE.match(text)
    return text[found.end() :] if found else text
