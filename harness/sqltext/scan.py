"""SQL text to tokens, in linear time and for any dialect: strings, comments and semicolons told apart.

A full parser answers more, but refuses what it does not know, recurses, and costs half a millisecond; this one never
fails. It reads what DuckDB reads ('' and "" doubled, E'' with backslashes, $tag$ strings, nested comments) and the
backticks and backslash escapes of MySQL; so its view of a statement is a guess outside DuckDB's dialect, and whoever
runs untrusted text also asks DuckDB what it sees (`kind.kind_of_types`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

SPACE, COMMENT, STRING, QUOTED, NUMBER, WORD, OPERATOR = "space", "comment", "string", "quoted", "number", "word", "op"


class Token(NamedTuple):
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


_STRINGS = {
    False: r"(?P<string>[eE]'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+(?:'|\Z) | '[^']*+(?:''[^']*+)*+(?:'|\Z))",
    True: r"(?P<string>[eE]?+'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+(?:'|\Z))",
}
_REST = r"""
    (?P<space>\s++)
  | {strings}
  | (?P<word>[^\W\d][\w$]*+)
  | (?P<number>(?:\d[\d_]*+(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?+\d++)?+)
  | (?P<quoted>"[^"]*+(?:""[^"]*+)*+(?:"|\Z) | `[^`]*+(?:``[^`]*+)*+(?:`|\Z))
  | (?P<comment>--[^\n]*+)
  | (?P<block>/\*)
  | (?P<dollar>\$(?:[A-Za-z_]\w*+)?+\$)
  | (?P<op><>|!=|<=|>=|==|\|\||::|->>|->|\S)
"""
_READERS = {
    backslash: re.compile(_REST.format(strings=strings), re.VERBOSE | re.DOTALL)
    for backslash, strings in _STRINGS.items()
}
_READERS_COARSE = {
    backslash: re.compile(
        _REST.format(strings=strings).replace(r"(?P<space>\s++)", r"(?P<space>[\s\d,]++)", 1), re.VERBOSE | re.DOTALL
    )
    for backslash, strings in _STRINGS.items()
}
_COARSE = 20_000
"""Characters from which on numbers and commas pass as space: a list of 200,000 constants is then one token."""
_new = tuple.__new__
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
    reader = (_READERS if len(sql) < _COARSE else _READERS_COARSE)[backslash]
    if "/*" not in sql and "$" not in sql:
        # a named tuple's own constructor takes twice as long as the reading
        return [_new(Token, (found.lastgroup, found.group(), found.start())) for found in reader.finditer(sql)]
    tokens: list[Token] = []
    at = 0
    while at < len(sql):
        for found in reader.finditer(sql, at):
            group, text, start = found.lastgroup or OPERATOR, found.group(), found.start()
            if group == "block" or group == "dollar":
                if group == "block":
                    group, end = COMMENT, _block_end(sql, start)
                else:
                    close = sql.find(text, found.end())
                    group, end = STRING, len(sql) if close < 0 else close + len(text)
                tokens.append(Token(group, sql[start:end], start))
                at = end
                break
            tokens.append(Token(group, text, start))
        else:
            break
    return tokens


def is_open(token: Token) -> bool:
    """True for a string or quoted name whose closing quote is missing."""
    text = token.text
    if token.kind == STRING and text[0] != "$":
        body = text[1:] if text[0] in "eE" else text
        return len(body) < 2 or body[-1] != "'" or (body.count("'") % 2 == 1 and "\\" not in body)
    if token.kind == QUOTED:
        return len(text) < 2 or text[-1] != text[0] or text.count(text[0]) % 2 == 1
    return False


def _scan(sql: str) -> tuple[Token, ...]:
    tokens = _read(sql, backslash=False)
    if "\\" in sql and tokens and tokens[-1].kind == STRING and is_open(tokens[-1]):
        other = _read(sql, backslash=True)
        if not (other[-1].kind == STRING and is_open(other[-1])):
            return tuple(other)
    return tuple(tokens)


_recent = lru_cache(maxsize=512)(_scan)
_KEPT = 4_000
"""Characters of the longest text whose tokens are kept: long ones come once and would fill the memory."""


def scan(sql: str) -> tuple[Token, ...]:
    """All tokens of the text, spaces and comments included; joined they are the text again.

    Backslash escapes (MySQL) are believed only where the standard reading leaves a string open.
    """
    return _recent(sql) if len(sql) <= _KEPT else _scan(sql)


def significant(sql: str) -> list[Token]:
    """The tokens that mean something: no spaces, no comments."""
    return [token for token in scan(sql) if token.kind != SPACE and token.kind != COMMENT]
