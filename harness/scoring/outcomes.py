"""DuckDB's failures as outcomes, with a reason a person can act on."""

from __future__ import annotations

import re

from harness.records import Outcome
from harness.sandbox.engine import Failure

_KINDS = {
    "timeout": Outcome.TIMEOUT,
    "memory": Outcome.OUT_OF_MEMORY,
    "syntax": Outcome.SYNTAX_ERROR,
    "type": Outcome.TYPE_ERROR,
    "forbidden": Outcome.FORBIDDEN,
}
_FUNCTION = re.compile(r"\bFunction with name|No function matches|function", re.IGNORECASE)
_TABLE = re.compile(
    r"(?:Table|View|Schema|Database) (?:with name )?.{1,200}? (?:does not exist|not found)|"
    r"Catalog \".{1,200}?\" does not exist",
    re.IGNORECASE,
)
_COLUMN = re.compile(
    r"Referenced column|does not have a column named|column .* (?:not found|does not exist)|"
    r"Values list .* does not have a column|Ambiguous reference to column|Column with name|"
    r"could not be resolved|not found in (?:FROM|any)|no FROM clause",
    re.IGNORECASE,
)
_TYPE = re.compile(
    r"No function matches|Cannot compare values of type|Could not convert|Cannot mix values of type|explicit type cast|"
    r"Unimplemented type for cast|must be of type|Cannot combine types|Invalid type|Type Error|"
    r"can only be used with|Could not choose a best candidate function|Failed to cast|Cannot cast",
    re.IGNORECASE,
)

_OWN_TABLES = re.compile(
    r' ?Did you mean "(?:(?:temp|system|information_schema)\.|pg_|duckdb_|sqlite_|pragma_)[^"]*"\?'
)
"""A suggestion of a table that is DuckDB's own, not the benchmark's."""


def outcome_of(failure: Failure) -> Outcome:
    """The outcome that a prediction's failure counts as."""
    known = _KINDS.get(failure.kind)
    if known is not None:
        return known
    if failure.kind not in ("catalog", "binder"):
        return Outcome.RUNTIME_ERROR
    text = failure.message.removeprefix("Catalog Error: ").removeprefix("Binder Error: ")
    if _TYPE.search(text):
        return Outcome.TYPE_ERROR
    if _FUNCTION.search(text.split("\n", 1)[0]) and failure.kind == "catalog":
        return Outcome.RUNTIME_ERROR
    if _TABLE.search(text):
        return Outcome.UNKNOWN_TABLE
    if _COLUMN.search(text):
        return Outcome.UNKNOWN_COLUMN
    # what is left of binding is grammar: a column outside GROUP BY, an aggregate in WHERE, a star without FROM
    return Outcome.SYNTAX_ERROR if failure.kind == "binder" else Outcome.RUNTIME_ERROR


def reason_of(failure: Failure) -> str:
    """DuckDB's words on one line, without the pointer to the place in the text."""
    head = re.split(r"\n\s*\n?LINE \d+:", failure.message, maxsplit=1)[0]
    words = _OWN_TABLES.sub("", " ".join(head.split()))
    return words if len(words) <= 300 else words[:297] + "..."
