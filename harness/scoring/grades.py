"""Exact match of one prediction against an item's golds: the best grade against any of them."""

from __future__ import annotations

from functools import lru_cache

from harness.dialect import Catalog
from harness.sqltext import ExactMatch, Form, form_of, match_form, normal_text

# asked for when jobs are prepared, found again when they are answered
_form, _match = lru_cache(maxsize=64)(form_of), lru_cache(maxsize=64)(match_form)


def gold_form(gold: str, dialects: tuple[str, ...], catalog: Catalog | None) -> Form | None:
    """As `form_of`, kept for a while where the catalog is at hand."""
    return _form(gold, dialects, catalog) if type(catalog) is Catalog else form_of(gold, dialects, catalog)


def graded(gold: str, form: Form, sql: str, catalog: Catalog | None) -> ExactMatch:
    """As `match_form`, kept likewise."""
    return _match(gold, form, sql, catalog) if type(catalog) is Catalog else match_form(gold, form, sql, catalog)


class Grades:
    """Filled gold by gold as their tables come to hand: names are told by the tables wherever there are some."""

    def __init__(self, golds: tuple[str, ...], sql: str, dialects: tuple[str, ...]) -> None:
        self._sql, self._dialects = sql, dialects
        self.string = self.exact = self.structural = bool(sql) and normal_text(sql) in map(normal_text, golds)
        self._left = list(golds) if sql and not self.string else []

    def compare(self, gold: str, form: Form | None, catalog: Catalog | None) -> None:
        """Take one gold's form under the catalog into account."""
        if gold not in self._left:
            return
        self._left.remove(gold)
        if form is None or self.exact:
            return
        found = graded(gold, form, self._sql, catalog)
        self.exact |= found.exact
        self.structural |= found.structural

    def compare_rest(self, catalog: Catalog | None) -> None:
        """The golds that were not asked: those behind the one that matched, those that cannot be scored."""
        for gold in list(self._left):
            self.compare(gold, None if self.exact else gold_form(gold, self._dialects, catalog), catalog)

    def document(self) -> dict[str, bool]:
        """The three grades as a verdict's document has them."""
        return {"string_match": self.string, "exact_match": self.exact, "structural_match": self.structural}
