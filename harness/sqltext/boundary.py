"""Where a statement ends that nobody closed: at prose, at the next question, at its own repetition."""

from __future__ import annotations

import re

from harness.sqltext.cleaning import outside_literals
from harness.sqltext.scan import COMMENT, OPERATOR, SPACE, WORD, Token, scan
from harness.sqltext.starts import starts_here

MAX_STATEMENTS = 50
"""Statements taken from one completion: more are a loop, and the count is no longer of interest."""

_HEADING = re.compile(
    r"\n[ \t>*#_-]*(?:(?:question|explanation|note|schema|context|answer|input|output|example|here|instruction|user|"
    r"assistant|human|model|sql|query|response|result|table|database)s?\b[\w ()*]{0,30}:(?!:)|###|"
    r"(?:this|the|it|note|explanation|please|however|alternatively|here|you|we|i)\b[ ,:]+(?=[A-Za-z`'’])(?!(?:as|on|"
    r"where|join|inner|left|set|order|group|limit|and|or|union)\b))",
    re.IGNORECASE,
)
_DASH = re.compile(r"\s[—–]\s")
"""No operator of SQL, but how an explanation starts on the same line."""
_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_CONTINUES = re.compile(
    r"(?:select|from|where|group|order|having|limit|offset|union|intersect|except|join|inner|left|right|full|cross|"
    r"natural|on|using|and|or|set|values|with|as|case|when|then|else|end|window|qualify|fetch|returning|in|not|exists|"
    r"between|like|is|over|partition|asc|desc|insert|update|delete|create|drop|alter)\b|[(),;+=<>*'\"|\x01/-]"
    r"|\w+\s*[,()=<>]|\w+\.\w",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[A-Z][a-z]+,? [a-z]")
_OPEN_ENDED = frozenset(
    [
        "UNION",
        "ALL",
        "DISTINCT",
        "EXCEPT",
        "INTERSECT",
        "AS",
        "INTO",
        "IN",
        "EXISTS",
        "THEN",
        "ELSE",
        "AND",
        "OR",
        "NOT",
        "ON",
        "RETURNING",
    ]
)


def _end_of_sql(sql: str) -> int:
    """Offset where SQL without a semicolon turns into prose, else its length."""
    shown = outside_literals(sql)
    heading = _HEADING.search(shown)
    end = heading.start() if heading else len(sql)
    if not sql.isascii() and (dash := _DASH.search(shown, 0, end)):
        end = dash.start()
    if "```" in sql:
        end = min(end, _fence(sql))
    sentences = not _SENTENCE.match(sql)
    for found in _BLANK_LINE.finditer(shown, 0, end):
        after = found.end()
        if after >= end:
            break
        if not _CONTINUES.match(shown, after) or (sentences and _SENTENCE.match(shown, after)):
            return found.start()
    return end


def _fence(sql: str) -> int:
    return next((token.start for token in scan(sql) if token.text.startswith("```")), len(sql))


def _normal(tokens: list[Token]) -> str:
    return " ".join(token.text.upper() for token in tokens if token.kind not in (SPACE, COMMENT))


def _end_of_first(sql: str) -> int:
    """Offset where the statement begins to repeat itself without a semicolon between, else its length."""
    tokens = [token for token in scan(sql) if token.kind not in (SPACE, COMMENT)]
    if not tokens:
        return len(sql)
    depth, first = 0, tokens[0].upper
    for index, token in enumerate(tokens[1:], 1):
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif (
            depth == 0
            and token.kind == WORD
            and token.upper == first
            and "\n" in sql[tokens[index - 1].end : token.start]
        ):
            before = tokens[index - 1]
            if before.upper in _OPEN_ENDED or (before.kind == OPERATOR and before.text != ")"):
                continue
            head, rest = _normal(tokens[:index]), _normal(tokens[index:])
            if rest.startswith(head) or head.startswith(rest):
                return token.start
    return len(sql)


def _trimmed(sql: str) -> str:
    return sql.strip().rstrip("`").rstrip(";").strip()


def statements(source: str) -> tuple[str, bool]:
    """(the statements `source` starts with, repeats dropped; was the last one closed, by ; or by what follows it)."""
    kept: list[str] = []
    seen: list[str] = []
    closed, at = False, 0
    ends = [token.start for token in scan(source) if token.kind == OPERATOR and token.text == ";"]
    for end in [*ends[:MAX_STATEMENTS], None]:
        body = source[at:end]
        if kept and not starts_here(source, at):
            break
        cut = _end_of_sql(body)
        cut = min(cut, _end_of_first(body[:cut]))
        statement = _trimmed(body[:cut])
        normal = _normal(list(scan(statement)))
        repeats = normal in seen or (end is None and cut == len(body) and any(old.startswith(normal) for old in seen))
        if not normal or repeats:
            break
        kept.append(statement)
        seen.append(normal)
        closed = end is not None or cut < len(body)
        if end is None or cut < len(body):
            break
        at = end + 1
    return ";\n".join(kept), closed
