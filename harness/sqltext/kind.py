"""What a text would do: read, write, or something no statement of a benchmark may do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache

from harness.sqltext.scan import COMMENT, OPERATOR, QUOTED, SPACE, WORD, Token, scan


class Kind(StrEnum):
    """The strongest thing any statement of a text does."""

    READ = "read"
    WRITE = "write"
    FORBIDDEN = "forbidden"
    NONE = "none"
    """Nothing there, or nothing that starts like a statement."""


_READS = frozenset(["SELECT", "VALUES", "TABLE", "FROM", "PIVOT", "UNPIVOT", "SHOW", "DESCRIBE", "DESC", "SUMMARIZE"])
_WRITES = frozenset(
    ["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "TRUNCATE", "CREATE", "ALTER", "DROP", "COMMENT"]
)
_FORBIDDEN = frozenset(
    [
        "BEGIN",
        "START",
        "COMMIT",
        "ROLLBACK",
        "END",
        "ABORT",
        "SAVEPOINT",
        "RELEASE",
        "SET",
        "RESET",
        "PRAGMA",
        "ATTACH",
        "DETACH",
        "USE",
        "COPY",
        "EXPORT",
        "IMPORT",
        "INSTALL",
        "LOAD",
        "FORCE",
        "CALL",
        "EXEC",
        "EXECUTE",
        "PREPARE",
        "DEALLOCATE",
        "CHECKPOINT",
        "VACUUM",
        "ANALYZE",
        "REINDEX",
        "EXPLAIN",
        "GRANT",
        "REVOKE",
        "LOCK",
        "UNLOCK",
        "DECLARE",
        "DO",
        "KILL",
        "FLUSH",
        "HANDLER",
        "RENAME",
        "CLUSTER",
        "LISTEN",
        "NOTIFY",
        "DISCARD",
        "SHUTDOWN",
        "BACKUP",
        "RESTORE",
    ]
)
_FORBIDDEN_OBJECTS = frozenset(
    ["SECRET", "DATABASE", "EXTENSION", "EXTENSIONS", "USER", "ROLE", "SERVER", "FUNCTION", "PROCEDURE"]
)
_MODIFIERS = frozenset(["OR", "REPLACE", "TEMP", "TEMPORARY", "PERSISTENT", "LOCAL", "GLOBAL", "IF", "NOT", "EXISTS"])
_RANK = {Kind.NONE: 0, Kind.READ: 1, Kind.WRITE: 2, Kind.FORBIDDEN: 3}

# duckdb.StatementType names; whatever is not here is forbidden
_TYPES = {
    "SELECT": Kind.READ,
    "INSERT": Kind.WRITE,
    "UPDATE": Kind.WRITE,
    "DELETE": Kind.WRITE,
    "MERGE_INTO": Kind.WRITE,
    "CREATE": Kind.WRITE,
    "CREATE_FUNC": Kind.WRITE,
    "ALTER": Kind.WRITE,
    "DROP": Kind.WRITE,
    "MULTI": Kind.READ,  # PIVOT
}


def split_statements(sql: str) -> list[str]:
    """The statements of a text, without their semicolons; pieces of spaces and comments alone are left out."""
    return list(_split(sql))


_EDGES = re.compile(r"""'[^'\\]*+'|"[^"]*+"|;|--|/\*|[`'"\\$]""")
"""What may hide a semicolon, or be one."""


@lru_cache(maxsize=4096)
def _split(sql: str) -> tuple[str, ...]:
    pieces: list[str] = []
    start = 0
    for edge in _EDGES.finditer(sql):
        text = edge.group()
        if text == ";":
            pieces.append(sql[start : edge.start()].strip())
            start = edge.end()
        elif len(text) == 1 or text[0] in "-/":
            return _split_tokens(sql)
    pieces.append(sql[start:].strip())
    return tuple([piece for piece in pieces if piece])


def _split_tokens(sql: str) -> tuple[str, ...]:
    """As `_split`, for text with comments and unusual quotes."""
    pieces: list[str] = []
    start, filled = 0, False
    for token in scan(sql):
        if token.kind == OPERATOR and token.text == ";":
            if filled:
                pieces.append(sql[start : token.start].strip())
            start, filled = token.end, False
        elif token.kind not in (SPACE, COMMENT):
            filled = True
    if filled:
        pieces.append(sql[start:].strip())
    return tuple(pieces)


def _after_with(tokens: list[Token]) -> Kind:
    """The kind behind WITH ... : the main statement's, or WRITE where a CTE itself writes."""
    depth, main, opened, found = 0, Kind.NONE, False, False
    for token in tokens[1:]:
        if token.text == "(":
            depth, opened = depth + 1, True
            continue
        if token.text == ")":
            depth -= 1
        elif token.kind == WORD:
            if opened and token.upper in ("INSERT", "UPDATE", "DELETE", "MERGE"):
                return Kind.WRITE
            if depth == 0 and not found:
                kind = _of_word(token.upper)
                if kind is not Kind.NONE:
                    main, found = kind, True
        opened = False
    return main


def _of_word(word: str) -> Kind:
    if word in _READS:
        return Kind.READ
    if word in _WRITES:
        return Kind.WRITE
    return Kind.FORBIDDEN if word in _FORBIDDEN else Kind.NONE


_FIRST = re.compile(r"[\s(]*+(?:(SELECT)|INSERT|DELETE)\b", re.IGNORECASE)


def _of_statement(sql: str) -> Kind:
    plain = _FIRST.match(sql)
    if plain is not None:
        return Kind.READ if plain.group(1) else Kind.WRITE
    tokens = [token for token in scan(sql) if token.kind not in (SPACE, COMMENT)]
    at = 0
    while at < len(tokens) and tokens[at].text == "(":
        at += 1
    tokens = tokens[at:]
    if not tokens or tokens[0].kind != WORD:
        return Kind.NONE
    first = tokens[0].upper
    if first == "WITH":
        return _after_with(tokens)
    kind = _of_word(first)
    if first in ("CREATE", "DROP", "ALTER", "UPDATE", "COMMENT"):
        for token in tokens[1:6]:
            if token.kind == QUOTED or token.kind != WORD:
                break
            if token.upper in _FORBIDDEN_OBJECTS and not (first == "CREATE" and token.upper == "FUNCTION"):
                following = tokens[tokens.index(token) + 1 :]
                # `UPDATE extensions SET ...` writes a table of that name
                if first == "UPDATE" and following and following[0].upper == "SET":
                    break
                return Kind.FORBIDDEN
            if token.upper not in _MODIFIERS:
                break
    return kind


@lru_cache(maxsize=4096)
def statement_kind(sql: str) -> Kind:
    """READ, WRITE, FORBIDDEN or NONE: the strongest of the text's statements, judged from its words alone.

    Sees through WITH ... INSERT and writing CTEs. Never parses, so it neither recurses nor refuses; what runs
    untrusted text must also check the types DuckDB's own parser gives (`kind_of_types`).
    """
    strongest = Kind.NONE
    for piece in _split(sql):
        kind = _of_statement(piece)
        if _RANK[kind] > _RANK[strongest]:
            strongest = kind
    return strongest


def kind_of_types(types: Iterable[str]) -> Kind:
    """The strongest kind among `duckdb.Statement.type.name`s; an unknown type is forbidden."""
    kinds = [_TYPES.get(name, Kind.FORBIDDEN) for name in types]
    return max(kinds, key=_RANK.__getitem__, default=Kind.NONE)
