"""Whether two statements are the same text, the same query, or the same query but for its constants."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from harness.sqltext.canonical import canonical
from harness.sqltext.kind import split_statements
from harness.sqltext.parsing import FAILURES
from harness.sqltext.scan import NUMBER, OPERATOR, WORD, Token, significant

Tables = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """The three grades of exact match; each implies the next."""

    string: bool
    """Equal but for spaces, comments, the case of words outside quotes, and a trailing semicolon."""
    exact: bool
    """The same canonical tree: what one answers, the other answers."""
    structural: bool
    """The same canonical tree once every literal is masked."""


@dataclass(frozen=True, slots=True)
class Form:
    """A gold's canonical form as digests: what has to be kept of it to compare others with it."""

    dialect: str
    tree: bytes
    masked: bytes


_SAME, _NEITHER = ExactMatch(True, True, True), ExactMatch(False, False, False)


@lru_cache(maxsize=8192)
def normal_text(sql: str) -> str:
    """The statement as one line of tokens: words in capitals, quoted text untouched, no comments, no last semicolon."""
    tokens = significant(sql)
    while tokens and tokens[-1].kind == OPERATOR and tokens[-1].text == ";":
        tokens.pop()
    return " ".join([token.text.upper() if token.kind == WORD else token.text for token in tokens])


def form_of(sql: str, dialects: tuple[str, ...], catalog: Tables | None = None) -> Form | None:
    """The canonical form in the first of the dialects that can read the text as one statement; None where none can."""
    found = canonical(sql, dialects, catalog)
    if found is None:
        return None
    try:
        return Form(found.dialect, _digest(found.tree), _digest(found.masked))
    except FAILURES:
        return None


def exact_match(gold: str, prediction: str, dialects: tuple[str, ...], catalog: Tables | None = None) -> ExactMatch:
    """The grades of one pair; both are read in the first of the benchmark's dialects that can read the gold.

    `catalog` (table -> column -> type, asked only for names that need it) lets unqualified columns and double-quoted
    strings be told for what they are; without it only what holds in any schema is called equal. Text that cannot be
    parsed, or several statements, match by string alone. Never raises.
    """
    if normal_text(gold) == normal_text(prediction):
        return _SAME
    form = form_of(gold, dialects, catalog)
    return _NEITHER if form is None else match_form(gold, form, prediction, catalog)


def match_form(gold: str, form: Form, prediction: str, catalog: Tables | None = None) -> ExactMatch:
    """As `exact_match`, for a gold whose `form_of` under the same catalog is at hand."""
    if normal_text(gold) == normal_text(prediction):
        return _SAME
    if _shape(gold) != _shape(prediction) or len(split_statements(prediction)) != 1:
        return _NEITHER
    found = canonical(prediction, (form.dialect,), catalog)
    if found is None:
        return _NEITHER
    if _digest(found.tree) == form.tree:
        return ExactMatch(False, True, True)
    try:
        return ExactMatch(False, False, _digest(found.masked) == form.masked)
    except FAILURES:
        return _NEITHER


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


_CLAUSES = frozenset(["GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "INTERSECT", "OVER", "EXISTS"])
_SET_WORDS = frozenset(["UNION", "INTERSECT", "EXCEPT", "MINUS"])


@lru_cache(maxsize=4096)
def _shape(sql: str) -> frozenset[str]:
    """Clauses that every statement of the same canonical tree has too: most wrong answers are told by these alone."""
    tokens = significant(sql)
    found = set()
    for index, token in enumerate(tokens):
        if token.kind != WORD:
            continue
        word = token.text.upper()
        if word in _CLAUSES and not _is_name(tokens, index):
            found.add(word)
        elif word == "TOP" and index + 1 < len(tokens) and tokens[index + 1].kind == NUMBER:
            found.add("LIMIT")
        elif word == "DISTINCT":
            before = tokens[index - 1].text.upper() if index else ""
            after = tokens[index + 1].text.upper() if index + 1 < len(tokens) else ""
            if before not in _SET_WORDS and after != "FROM":
                found.add(word)
    return frozenset(found)


def _is_name(tokens: list[Token], index: int) -> bool:
    """The word is used as a name: behind a dot or AS, or before a dot."""
    before = tokens[index - 1].text.upper() if index else ""
    after = tokens[index + 1].text if index + 1 < len(tokens) else ""
    return before in (".", "AS") or after == "."
