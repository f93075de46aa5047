"""From what a model said to the SQL it meant: the one function every completion goes through.

In this order: chat markers and thinking are cut away; HTML entities and typographic quotes become SQL's where they
stand outside string literals; then the statement is looked for in a fenced block, behind a label ("SQL:",
"Final answer:"), at the start, or within prose; it ends at its semicolon, at the closing fence, or where prose or
the next question begins. A statement that merely repeats an earlier one is dropped; different statements are kept,
for counting statements is the scorer's business. Of several fenced candidates the first is taken, unless a later
one is announced as final or corrected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.sqltext.scan import COMMENT, OPERATOR, SPACE, WORD, Token, is_open, scan

MAX_COMPLETION = 200_000
"""Characters looked at: no model answers a question with more, and a looping one must not cost seconds."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was taken from a completion."""

    sql: str
    """The statement or statements, trimmed, without trailing semicolon; empty where there is none."""
    how: str
    """`fenced`, `labelled`, `plain` (nothing but SQL), `prose` (found within text) or `none`."""
    truncated: bool
    """The completion was cut at max_new_tokens within this SQL."""


_MARKER = re.compile(
    r"<(?:end_of_turn|start_of_turn|eos|bos|pad|s|/s|unk)>(?:model|user|assistant)?"
    r"|<\|[a-z0-9_]{1,40}\|>(?:assistant|user|system)?|\[/?INST\]|<<?/?SYS>>?",
    re.IGNORECASE,
)
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.IGNORECASE | re.DOTALL)
_TAGGED = re.compile(r"<(sql|query|answer|code)>(.*?)(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"(?:```|~~~)[ \t]*([A-Za-z]*)[^\S\n]*\n?(.*?)(```|~~~|\Z)", re.DOTALL)
_FINAL = re.compile(r"\b(?:final|correct(?:ed)?|fixed|revised|improved)\b[^`\n]{0,60}(?:\n|:)\s*\Z", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:^|\n|[.!?]\s)[ \t>*#_-]*(?:final |generated |corrected |the )?"
    r"(?:answer|sql(?:[ _](?:query|statement|code))?|query|output|response|result|solution)"
    r"(?: is)?[ \t*_]*[:=][ \t*_]*\s*",
    re.IGNORECASE,
)
_NAME = r"(?:[\w$.]+|\"[^\"\n]+\"|`[^`\n]+`|\[[^\]\n]+\])"
_START = re.compile(
    r"\b(?:SELECT\b(?!\s+(?:the|all\s+(?:the|rows)|from\s+the)\s)"
    rf"|WITH\s+(?:RECURSIVE\s+)?{_NAME}\s*(?:\([^()]*\)\s*)?AS\s*(?:NOT\s+)?(?:MATERIALIZED\s*)?\("
    rf"|INSERT\s+(?:OR\s+\w+\s+)?INTO\s+{_NAME}|REPLACE\s+INTO\s+{_NAME}|UPDATE\s+(?:OR\s+\w+\s+)?{_NAME}\s+"
    rf"(?:(?:AS\s+)?\w+\s+)?SET\b|DELETE\s+FROM\s+{_NAME}|MERGE\s+INTO\s+{_NAME}|TRUNCATE\s+(?:TABLE\s+)?{_NAME}"
    r"|CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+|UNIQUE\s+|MATERIALIZED\s+)*"
    r"(?:TABLE|VIEW|INDEX|SCHEMA|TYPE|SEQUENCE|FUNCTION|MACRO|TRIGGER|PROCEDURE|DATABASE|SECRET)\b"
    r"|DROP\s+(?:TABLE|VIEW|INDEX|SCHEMA|TYPE|SEQUENCE|FUNCTION|MACRO|TRIGGER|PROCEDURE|DATABASE)\b"
    rf"|ALTER\s+(?:TABLE|VIEW)\s+{_NAME}|VALUES\s*\(|PRAGMA\s+\w+|ATTACH\s+'|COPY\s+\S+\s+(?:TO|FROM)\b"
    r"|EXPLAIN\s+\w+)",
    re.IGNORECASE,
)
_LEAD = re.compile(r"\s*(?:sql|sqlite|mysql|duckdb|postgres(?:ql)?)?\s*\n?[\s(]*", re.IGNORECASE)
_PROSE_LINE = re.compile(
    r"\n[ \t>*#_-]*(?:(?:question|explanation|note|schema|context|answer|input|output|example|here|instruction|user|"
    r"assistant|human|sql|query|response|result|table|database)s?\b[^\n]{0,40}?:|###|(?:this|the|it|in this|here|"
    r"note|explanation|i|we|you|please|let|however|alternatively|where the|question|answer)\b(?=[ ,:]+[A-Za-z`'’]))",
    re.IGNORECASE,
)
_CONTINUES = re.compile(
    r"\s*(?:select|from|where|group|order|having|limit|offset|union|intersect|except|join|inner|left|right|full|"
    r"cross|natural|on|using|and|or|set|values|with|as|case|when|then|else|end|window|qualify|fetch|returning|"
    r"in|not|exists|between|like|is|over|partition|asc|desc|insert|update|delete|create|drop|alter|--|/\*|[(),;+=<>*'\"|-]"
    r"|\w+\s*[,(.)=<>])",
    re.IGNORECASE,
)
_ENTITY = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&#x27;": "'", "&apos;": "'", "&nbsp;": " "}
_ENTITIES = re.compile("|".join(_ENTITY) + "|&amp;", re.IGNORECASE)
_SMART = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "′": "'", "\u00a0": " ", "\u200b": " "})
_SMART_ANY = re.compile("[‘’“”„′\u00a0\u200b]")


def _unmark(text: str) -> str:
    """The model's own turn: leading markers skipped, everything from the next marker on cut away."""
    text = _THINKING.sub("", text)
    start = 0
    while True:
        found = _MARKER.search(text, start)
        if found is None:
            return text[start:]
        if text[start : found.start()].strip():
            return text[start : found.start()]
        start = found.end()


def _outside_strings(text: str, change: re.Pattern[str]) -> bool:
    rest = "".join(" " if token.kind in ("string", "quoted", "comment") else token.text for token in scan(text))
    return change.search(rest) is not None


def _plain_characters(sql: str) -> str:
    """Entities and typographic quotes turned into SQL's, only where they cannot be part of a literal."""
    if "&" in sql and _ENTITIES.search(sql) and _outside_strings(sql, _ENTITIES):
        sql = _ENTITIES.sub(lambda found: _ENTITY.get(found.group().lower(), "&"), sql)
    if _SMART_ANY.search(sql) and _outside_strings(sql, _SMART_ANY):
        pieces = [
            token.text if token.kind == "string" and not is_open(token) else token.text.translate(_SMART)
            for token in scan(sql)
        ]
        sql = "".join(pieces)
    return sql


def _end_of_prose(sql: str, tokens: list[Token]) -> int:
    """Offset where SQL without a semicolon turns into prose, else its length."""
    inside = [(token.start, token.end) for token in tokens if token.kind in ("string", "quoted", "comment")]

    def within(at: int) -> bool:
        return any(start < at < end for start, end in inside if end <= len(sql) and not sql[start:end].endswith("\n"))

    cuts = [found.start() for found in _PROSE_LINE.finditer(sql) if not within(found.start() + 1)]
    for found in re.finditer(r"\n[ \t]*\n", sql):
        if not within(found.start() + 1) and not _CONTINUES.match(sql, found.end()):
            cuts.append(found.start())
            break
    return min(cuts, default=len(sql))


def _normal(sql: str) -> str:
    return " ".join(token.upper for token in scan(sql) if token.kind not in (SPACE, COMMENT))


def _statements(text: str) -> tuple[str, bool]:
    """(the statements at the start of `text`, repeats dropped; whether the last one was closed)."""
    kept: list[str] = []
    seen: set[str] = set()
    closed = False
    while True:
        lead = _LEAD.match(text)
        if kept and not _START.match(text, lead.end() if lead else 0):
            break
        tokens = scan(text)
        end = next((token for token in tokens if token.kind == OPERATOR and token.text == ";"), None)
        body = text[: end.start] if end else text
        stop = _end_of_prose(body, tokens)
        statement = _trim(body[:stop])
        normal = _normal(statement)
        if not normal or normal in seen:
            break
        if kept and end is None and stop == len(body) and any(old.startswith(normal) for old in seen):
            break  # the loop was cut while it repeated itself
        closed = end is not None or stop < len(body)
        seen.add(normal)
        kept.append(statement)
        if end is None or stop < len(body):
            break
        text = text[end.end :]
    return ";\n".join(kept), closed


def _trim(sql: str) -> str:
    return sql.strip().strip("`").rstrip(";").strip()


def _lead_in(text: str) -> str:
    found = re.match(r"\s*(?:sql|sqlite|mysql|duckdb|postgresql)\s*(?:\n|:)", text, re.IGNORECASE)
    return text[found.end() :] if found else text


def _fenced(text: str) -> tuple[str, bool] | None:
    """(content, closed) of the fenced or tagged block to believe."""
    blocks: list[tuple[int, str, bool]] = []
    for found in _FENCE.finditer(text):
        language, content, close = found.groups()
        if language and not language.islower() and _START.match(language + " " + content.lstrip()):
            content = language + " " + content
        if _START.search(content):
            blocks.append((found.start(), content, bool(close)))
    for found in _TAGGED.finditer(text):
        if _START.search(found.group(2)) and "```" not in found.group(2):
            blocks.append((found.start(), found.group(2), found.group(0).rstrip().endswith(">")))
    if not blocks:
        return None
    blocks.sort()
    for start, content, closed in reversed(blocks[1:]):
        if _FINAL.search(text[:start]):
            return content, closed
    return blocks[0][1], blocks[0][2]


def extract(completion: str, finished: bool = True) -> Extraction:
    """The SQL of a completion; `finished=False` says the model was cut at max_new_tokens. Never raises."""
    text = _unmark(completion[:MAX_COMPLETION])
    how, closed, source = "none", False, text
    block = _fenced(text)
    if block is not None:
        how, (source, closed) = "fenced", block
    else:
        labels = list(_LABEL.finditer(text))
        chosen = next((label for label in labels if _START.match(text, _skip(text, label.end()))), None)
        if chosen is not None:
            how, source = "labelled", text[chosen.end() :]
    source = _plain_characters(source)
    lead = _LEAD.match(source)
    if not _START.match(source, lead.end() if lead else 0):
        found = _START.search(source)
        if found is None:
            return Extraction("", "none", not finished and not source.strip())
        opening = found.start()
        while opening and source[opening - 1] == "(":
            opening -= 1
        source = source[opening:]
        how = how if how in ("fenced", "labelled") else "prose"
    else:
        source = _lead_in(source)
        how = "plain" if how == "none" else how
    sql, ended = _statements(source)
    return Extraction(sql, how, not finished and not closed and not ended)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\n(`*":
        at += 1
    return at
