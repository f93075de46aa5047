"""What must go from a completion before SQL is looked for: chat markers, thinking, entities, typographic quotes."""

from __future__ import annotations

import re

from harness.sqltext.scan import COMMENT, QUOTED, STRING, is_open, scan

_MARKER = re.compile(
    r"<(?:end_of_turn|start_of_turn|eos|bos|pad|s|/s|unk)>(?:model|user|assistant)?"
    r"|<\|start_header_id\|>\w{1,20}<\|end_header_id\|>"
    r"|<\|[a-z0-9_]{1,40}\|>(?:assistant|user|system)?|\[/?INST\]|<<?/?SYS>>?",
    re.IGNORECASE,
)
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.IGNORECASE | re.DOTALL)
_QUOTE_LINES = re.compile(r"\s*(?:>[^\n]*(?:\n|\Z))+\s*\Z")
_ENTITY = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&#x27;": "'", "&apos;": "'", "&nbsp;": " "}
_ENTITIES = re.compile("|".join(_ENTITY) + "|&amp;", re.IGNORECASE)
_TYPOGRAPHIC = {"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "′": "'", "\u00a0": " ", "\u200b": " "}
_ANY_TYPOGRAPHIC = re.compile(r"(?<!\w)[‘’“”„′]|[‘’“”„′](?!\w)|[\u00a0\u200b]")
"""Typographic marks, but for an apostrophe within a word."""


def own_turn(completion: str) -> str:
    """The model's own turn: leading markers and thinking skipped, everything from the next marker on cut away."""
    text = _THINKING.sub("", completion) if "<think" in completion.lower() else completion
    start = 0
    while True:
        found = _MARKER.search(text, start)
        if found is None:
            text = text[start:]
            break
        if text[start : found.start()].strip():
            text = text[start : found.start()]
            break
        start = found.end()
    if text.lstrip().startswith(">") and _QUOTE_LINES.match(text):
        text = re.sub(r"(?m)^[ \t]*> ?", "", text)
    return text


def outside_literals(text: str) -> str:
    """The text with the inside of every closed string, quoted name and comment blanked; offsets stay."""
    pieces = []
    for token in scan(text):
        hidden = (token.kind in (STRING, QUOTED) and not is_open(token)) or token.kind == COMMENT
        pieces.append("\x01" * len(token.text) if hidden else token.text)
    return "".join(pieces)


def plain_characters(sql: str) -> str:
    """Entities and typographic quotes turned into SQL's, only where they cannot be part of a literal."""
    if "&" in sql and _ENTITIES.search(sql) and _ENTITIES.search(outside_literals(sql)):
        sql = _ENTITIES.sub(lambda found: _ENTITY.get(found.group().lower(), "&"), sql)
    if not sql.isascii() and _ANY_TYPOGRAPHIC.search(sql) and _ANY_TYPOGRAPHIC.search(outside_literals(sql)):
        hidden = [token for token in scan(sql) if token.kind == STRING and not is_open(token)]
        pieces, at = [], 0
        for token in hidden:
            pieces += [_straightened(sql, at, token.start), token.text]
            at = token.end
        sql = "".join((*pieces, _straightened(sql, at, len(sql))))
    return sql


def _straightened(sql: str, start: int, end: int) -> str:
    """One stretch with its typographic marks made plain, judged by what stands around them."""
    pieces, at = [], start
    for found in _ANY_TYPOGRAPHIC.finditer(sql, start, end):
        pieces += [sql[at : found.start()], _TYPOGRAPHIC[found.group()]]
        at = found.end()
    return "".join((*pieces, sql[at:end]))
