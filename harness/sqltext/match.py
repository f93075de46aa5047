"""Whether two statements are the same text, the same query, or the same query but for its constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from harness.sqltext.canonical import Canonical, canonical
from harness.sqltext.kind import split_statements
from harness.sqltext.scan import OPERATOR, WORD, significant


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """The three grades of exact match; each implies the next."""

    string: bool
    """Equal but for spaces, comments, the case of words outside quotes, and a trailing semicolon."""
    exact: bool
    """The same canonical tree: what one answers, the other answers."""
    structural: bool
    """The same canonical tree once every literal is masked."""


@lru_cache(maxsize=8192)
def normal_text(sql: str) -> str:
    """The statement as one line of tokens: words in capitals, quoted text untouched, no comments, no last semicolon."""
    tokens = significant(sql)
    while tokens and tokens[-1].kind == OPERATOR and tokens[-1].text == ";":
        tokens.pop()
    return " ".join(token.upper if token.kind == WORD else token.text for token in tokens)


@lru_cache(maxsize=8192)
def _gold(sql: str, dialects: tuple[str, ...], catalog: Mapping[str, Mapping[str, str]] | None) -> Canonical | None:
    return canonical(sql, dialects, catalog)


def exact_match(
    gold: str,
    prediction: str,
    dialects: tuple[str, ...],
    catalog: Mapping[str, Mapping[str, str]] | None = None,
) -> ExactMatch:
    """The grades of one pair; both are read in the first of the benchmark's dialects that can read them.

    `catalog` (table -> column -> type; hashable, as `harness.dialect.Catalog` is) lets unqualified columns and
    double-quoted strings be told for what they are; without it only what holds in any schema is called equal.
    Text that cannot be parsed, or several statements, match by string alone. Never raises.
    """
    if normal_text(gold) == normal_text(prediction):
        return ExactMatch(True, True, True)
    if len(split_statements(prediction)) != 1:
        return ExactMatch(False, False, False)
    left = _gold(gold, dialects, catalog)
    if left is None:
        return ExactMatch(False, False, False)
    right = canonical(prediction, (left.dialect,), catalog)
    if right is None:
        return ExactMatch(False, False, False)
    return ExactMatch(False, left.tree == right.tree, left.masked == right.masked)
