"""Text that DuckDB would run, but not as its dialect means it: the changes made before DuckDB ever sees it.

Token by token, so that a statement without such a place (most of them) costs a scan and nothing else. What tokens
cannot decide is left to the tree (`Meaning.needs_tree`).
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.dialect.catalog import Catalog
from harness.dialect.profile import Profile
from harness.sqltext.scan import NUMBER, QUOTED, WORD, Token, scan, significant

_COMPARES = frozenset(("=", "==", "<", ">", "<=", ">=", "<>", "!="))
_ARITHMETIC = frozenset(("+", "-", "*", "/", "%", "||"))


@dataclass(frozen=True, slots=True)
class Meaning:
    """A statement saying in DuckDB what it says in its dialect."""

    sql: str
    repairs: tuple[str, ...] = ()
    """What was changed in the text."""
    needs_tree: bool = False
    """Something is left that only a parsed statement can tell."""


def express(sql: str, profile: Profile, catalog: Catalog) -> Meaning:
    """The statement with the dialect's own meaning written out where tokens suffice to see it."""
    if profile.name == "duckdb":
        return Meaning(sql)
    changes: dict[int, str] = {}
    repairs: list[str] = []
    if profile.bracket_names and "[" in sql:
        unbracketed = _without_brackets(sql)
        if unbracketed != sql:
            sql = unbracketed
            repairs.append("bracket_name")
    tokens = significant(sql)
    needs_tree = False
    for index, token in enumerate(tokens):
        kind = token.kind
        if kind == WORD:
            word = token.upper
            if word == "LIKE" and profile.like_ignores_case:
                changes[token.start] = "ILIKE"
                _note(repairs, "like_case")
            elif profile.text_affinity and word in ("MAX", "MIN", "CAST") and _needs_reading(tokens, index):
                needs_tree = True
        elif kind == QUOTED and profile.double_quotes == "string" and token.text[0] == '"':
            changes[token.start] = as_string(token.text)
            _note(repairs, "double_quoted_string")
        elif profile.text_affinity:
            if kind == NUMBER:
                place = _compared_with(tokens, index)
                classes = _classes(tokens, place, catalog)
                if "text" in classes:
                    if len(classes) == 1 and _alone(tokens, place) and token.text.isdigit():
                        changes[token.start] = f"'{token.text}'"
                        _note(repairs, "text_vs_number")
                    else:
                        needs_tree = True
            elif token.text in _COMPARES and 0 < index < len(tokens) - 1:
                classes = _classes(tokens, index - 1, catalog)
                others = _classes(tokens, _last_part(tokens, index + 1), catalog)
                if classes and others and len((classes | others) & {"text", "number"}) > 1:
                    needs_tree = True
    if not changes:
        return Meaning(sql, tuple(repairs), needs_tree)
    return Meaning("".join(changes.get(token.start, token.text) for token in scan(sql)), tuple(repairs), needs_tree)


def _without_brackets(sql: str) -> str:
    """The text with [name] as "name": DuckDB reads a list there."""
    pieces: list[str] = []
    opened = -1
    for token in scan(sql):
        if opened < 0 and token.text == "[":
            opened = token.end
        elif opened >= 0 and token.text == "]":
            pieces.append('"' + sql[opened : token.start].replace('"', '""') + '"')
            opened = -1
        elif opened < 0:
            pieces.append(token.text)
    return sql if opened >= 0 else "".join(pieces)


def _note(repairs: list[str], name: str) -> None:
    if name not in repairs:
        repairs.append(name)


def as_string(quoted: str) -> str:
    """A double-quoted token as a string literal."""
    return "'" + quoted[1:-1].replace('""', '"').replace("'", "''") + "'"


def _needs_reading(tokens: list[Token], index: int) -> bool:
    """MAX(a, b), which SQLite reads as the greater; CAST(x AS INTEGER), which SQLite truncates."""
    if index + 1 >= len(tokens) or tokens[index + 1].text != "(":
        return False
    depth, cast = 0, tokens[index].upper == "CAST"
    for at in range(index + 1, len(tokens)):
        token = tokens[at]
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
            if depth == 0:
                return False
        elif depth == 1:
            if token.text == "," and not cast:
                return True
            if cast and token.upper == "AS" and at + 1 < len(tokens):
                return True
    return False


def _compared_with(tokens: list[Token], index: int) -> int:
    """Where the last part of the name lies that this number is compared with; -1: with none."""
    before = tokens[index - 1] if index else None
    if before is None:
        return -1
    if before.text in _COMPARES:
        return index - 2
    word = before.upper
    if word == "BETWEEN":
        return _skip_not(tokens, index - 2)
    if word == "AND" and index > 3 and tokens[index - 3].upper == "BETWEEN":
        return _skip_not(tokens, index - 4)
    if before.text in ("(", ","):
        at = index - 1
        while at > 0 and (tokens[at].kind in (NUMBER, "string") or tokens[at].text == ","):
            at -= 1
        if tokens[at].text == "(" and at > 0 and tokens[at - 1].upper == "IN":
            return _skip_not(tokens, at - 2)
    if index + 1 < len(tokens) and tokens[index + 1].text in _COMPARES:
        return _last_part(tokens, index + 2)
    return -1


def _skip_not(tokens: list[Token], at: int) -> int:
    return at - 1 if at > 0 and tokens[at].upper == "NOT" else at


def _last_part(tokens: list[Token], at: int) -> int:
    """From the first part of a qualified name to its last."""
    while at + 2 < len(tokens) and tokens[at + 1].text == ".":
        at += 2
    return at


def _classes(tokens: list[Token], at: int, catalog: Catalog) -> frozenset[str]:
    if not 0 <= at < len(tokens) or tokens[at].kind not in (WORD, QUOTED):
        return frozenset()
    text = tokens[at].text
    return catalog.column_classes(text.strip('"`') if tokens[at].kind == QUOTED else text)


def _alone(tokens: list[Token], at: int) -> bool:
    """The name is the whole operand, and no alias of the statement."""
    first = at
    while first >= 2 and tokens[first - 1].text == ".":
        first -= 2
    before = tokens[first - 1].text if first else ""
    after = tokens[at + 1].text if at + 1 < len(tokens) else ""
    if before in _ARITHMETIC or after in _ARITHMETIC:
        return False
    name = tokens[at].text.lower()
    return not any(
        tokens[i].upper == "AS" and i + 1 < len(tokens) and tokens[i + 1].text.lower() == name
        for i in range(len(tokens))
    )
