"""From what a model said to the SQL it meant: the one function every completion goes through.

1. Only the model's own turn counts: chat markers, thinking and what follows the turn are cut away.
2. The SQL is looked for, first hit taken: the completion starts with a statement (`plain`); a fenced or tagged block
   (`fenced`; of several the first, unless a later one is announced as final or corrected); a JSON field named sql or
   query (`json`); behind a label such as "SQL:" or "Final answer:" (`labelled`); anywhere in the text (`prose`).
3. HTML entities and typographic quotes become SQL's where they stand outside literals.
4. It ends at its semicolon, at the closing fence, or where prose or the next question begins. A statement that repeats
   an earlier one is dropped, for a looping model said it once; different ones are kept, for counting statements is the
   scorer's business.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from harness.sqltext.boundary import statements
from harness.sqltext.cleaning import own_turn, plain_characters
from harness.sqltext.starts import ANYWHERE, starts_here, without_language

MAX_COMPLETION = 100_000
"""Characters looked at: no model answers a question with more, and a looping one must not cost seconds."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was taken from a completion."""

    sql: str
    """The statement or statements, trimmed, without trailing semicolon; empty where there is none."""
    how: str
    """`plain`, `fenced`, `json`, `labelled`, `prose` or `none` (module docstring)."""
    truncated: bool
    """The completion was cut at max_new_tokens before the SQL was whole."""


_FENCE = re.compile(r"(?:```|~~~)[ \t]*([A-Za-z]*)([^\S\n]*\n?)(.*?)(```|~~~|\Z)", re.DOTALL)
_TAGGED = re.compile(r"<(sql|query|answer|code)>(.*?)(</\1>|\Z)", re.IGNORECASE | re.DOTALL)
_SQL_LANGUAGES = frozenset(("sql", "sqlite", "mysql", "duckdb", "postgres", "postgresql", "tsql", "plsql"))
_FINAL = re.compile(r"\b(?:final|correct(?:ed)?|fixed|revised|improved)\b[^`\n]{0,60}[\n:]\s*\Z", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:^|\n|[.!?]\s)[ \t>*#_-]*(?P<final>final |corrected )?(?:generated |the )?"
    r"(?:answer|sql(?:[ _](?:query|statement|code))?|query|output|response|result|solution)"
    r"(?: is)?[ \t*_]*[:=][ \t*_`]*\s*",
    re.IGNORECASE,
)
_JSON = re.compile(
    r'"(?:sql|query|sql_query|statement|answer|code)"\s*:\s*("(?:[^"\\]|\\.)*+")', re.IGNORECASE | re.DOTALL
)
_QUOTATION = re.compile(r"(\"\"\"|'''|[`\"'])\s*\Z")
_STATEMENT_SO_FAR = re.compile(r"\bFROM\b|\bVALUES\b|;", re.IGNORECASE)


def extract(completion: str, finished: bool = True) -> Extraction:
    """The SQL of a completion; `finished=False` says the model was cut at max_new_tokens. Never raises."""
    text = own_turn(completion[:MAX_COMPLETION])
    source, how, closed = _find(text)
    if how == "none":
        return Extraction("", "none", not finished)
    sql, ended = statements(without_language(plain_characters(source)))
    if not sql:
        return Extraction("", "none", not finished)
    return Extraction(sql, how, not finished and not closed and not ended)


def _find(text: str) -> tuple[str, str, bool]:
    """(text that starts with the statement, how it was found, whether something closes it)."""
    block = _fenced(text)
    if starts_here(text) and (block is None or _STATEMENT_SO_FAR.search(text, 0, block[2])):
        return text, "plain", False
    quoted = _JSON.search(text) if "{" in text else None
    if quoted is not None:
        try:
            value = json.loads(quoted.group(1), strict=False)
        except ValueError:
            value = ""
        if starts_here(value):
            return value, "json", True
    if block is not None:
        return block[0], "fenced", block[1]
    labels = [label for label in _LABEL.finditer(text) if starts_here(text, label.end())]
    if labels:
        chosen = next((label for label in reversed(labels) if label.group("final")), labels[0])
        return text[chosen.end() :], "labelled", False
    return _in_prose(text)


def _in_prose(text: str) -> tuple[str, str, bool]:
    found = ANYWHERE.search(text)
    if found is None:
        return "", "none", False
    start = found.start()
    while start and text[start - 1] == "(":
        start -= 1
    sql, closed = _from(text, start)
    return sql, "prose", closed


def _from(text: str, start: int) -> tuple[str, bool]:
    """(the text from here to the end of the quotation that it opens, if it does, was there one)."""
    opening = _QUOTATION.search(text, max(0, start - 8), start)
    if opening is None:
        return text[start:], False
    mark = opening.group(1)
    close = text.find(mark, start)
    # within one kind of quotes the statement's own are the other kind, or doubled: then nobody can tell
    return (text[start:close], True) if close > 0 else (text[start:], False)


def _fenced(text: str) -> tuple[str, bool, int] | None:
    """(content, is it closed, offset) of the fenced or tagged block to believe."""
    blocks: list[tuple[int, str, bool]] = []
    spare: tuple[str, bool, int] | None = None
    if "```" in text or "~~~" in text:
        for found in _FENCE.finditer(text):
            language, gap, content, close = found.groups()
            if language and language.lower() not in _SQL_LANGUAGES and starts_here(language + gap + content):
                content = language + gap + content
            if starts_here(content):
                blocks.append((found.start(), content, bool(close)))
            elif (inside := ANYWHERE.search(content)) and not content.lstrip().startswith("{"):
                quoted, ended = _from(content, inside.start())
                blocks.append((found.start(), quoted, ended or bool(close)))
            elif language.lower() in _SQL_LANGUAGES and content.strip() and spare is None:
                spare = content, bool(close), found.start()
    tagged = _TAGGED.finditer(text) if "<" in text else ()
    blocks += [(found.start(), found.group(2), bool(found.group(3))) for found in tagged if starts_here(found.group(2))]
    if not blocks:
        return spare
    blocks.sort()
    for start, content, closed in reversed(blocks[1:]):
        if _FINAL.search(text, max(0, start - 120), start):
            return content, closed, start
    return blocks[0][1], blocks[0][2], blocks[0][0]
