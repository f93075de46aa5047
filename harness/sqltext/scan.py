"""SQL text to tokens, in linear time and for any dialect: where are the strings, the comments, the semicolons?

A full parser answers more, but refuses what it does not know, recurses, and costs half a millisecond; this one never
fails. It reads what DuckDB reads ('' and "" doubled, E'' with backslashes, $tag$ strings, nested comments) and the
backticks and backslash escapes of MySQL; so its view of a statement is a guess outside DuckDB's dialect, and whoever
runs untrusted text also asks DuckDB what it sees (`kind.kind_of_types`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SPACE, COMMENT, STRING, QUOTED, NUMBER, WORD, OPERATOR = "space", "comment", "string", "quoted", "number", "word", "op"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is a constant of this module, `text` the characters as written, `start` their offset."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset behind the last character."""
        return self.start + len(self.text)

    @property
    def upper(self) -> str:
        """The text in capitals: how keywords are compared."""
        return self.text.upper()


_REST = r"""
    (?P<space>\s++)
  | (?P<line>--[^\n]*+)
  | (?P<block>/\*)
  | (?P<dollar>\$(?P<tag>[A-Za-z_]\w*+)?+\$)
  | (?P<quoted>"[^"]*+(?:""[^"]*+)*+(?:"|\Z) | `[^`]*+(?:``[^`]*+)*+(?:`|\Z))
  | (?P<number>(?:\d[\d_]*+(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?+\d++)?+)
  | (?P<word>[^\W\d][\w$]*+)
  | (?P<op><>|!=|<=|>=|==|\|\||::|->>|->|\S)
"""
_STANDARD = r"(?P<string>[eE]'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+(?:'|\Z) | '[^']*+(?:''[^']*+)*+(?:'|\Z)) |"
_BACKSLASH = r"(?P<string>'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+(?:'|\Z)) |"
_READERS = {
    False: re.compile(_STANDARD + _REST, re.VERBOSE | re.DOTALL),
    True: re.compile(_BACKSLASH + _REST, re.VERBOSE | re.DOTALL),
}
_BLOCK_EDGE = re.compile(r"/\*|\*/")


def _block_end(sql: str, start: int) -> int:
    """Offset behind the block comment that opens at `start`; comments nest, an open one runs to the end."""
    depth, at = 0, start
    while True:
        edge = _BLOCK_EDGE.search(sql, at)
        if edge is None:
            return len(sql)
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
        if depth == 0:
            return at


def _read(sql: str, backslash: bool) -> list[Token]:
    match = _READERS[backslash].match
    tokens: list[Token] = []
    at, length = 0, len(sql)
    while at < length:
        found = match(sql, at)
        if found is None:  # unreachable: every character is a space or \S
            break
        group = found.lastgroup or OPERATOR
        end = found.end()
        if group == "line":
            group = COMMENT
        elif group == "block":
            group, end = COMMENT, _block_end(sql, at)
        elif group == "dollar" or group == "tag":
            close = sql.find(found.group(), end)
            group, end = STRING, length if close < 0 else close + len(found.group())
        tokens.append(Token(group, sql[at:end], at))
        at = end
    return tokens


def is_open(token: Token) -> bool:
    """True for a string or quoted name whose closing quote is missing."""
    if token.kind == STRING and token.text[0] != "$":
        body = token.text[1:] if token.text[0] in "eE" else token.text
        return len(body) < 2 or body[-1] != "'" or (body.count("'") % 2 == 1 and "\\" not in body)
    if token.kind == QUOTED:
        return len(token.text) < 2 or token.text[-1] != token.text[0] or token.text.count(token.text[0]) % 2 == 1
    return False


def scan(sql: str) -> list[Token]:
    """All tokens of the text, spaces and comments included; joined they are the text again.

    Backslash escapes (MySQL) are believed only where the standard reading leaves a string open.
    """
    tokens = _read(sql, backslash=False)
    if "\\" in sql and tokens and tokens[-1].kind == STRING and is_open(tokens[-1]):
        other = _read(sql, backslash=True)
        if not (other[-1].kind == STRING and is_open(other[-1])):
            return other
    return tokens


def significant(sql: str) -> list[Token]:
    """The tokens that mean something: no spaces, no comments."""
    return [token for token in scan(sql) if token.kind not in (SPACE, COMMENT)]
