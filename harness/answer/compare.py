"""One gold against one prediction: every rule from the same pair of fetched tables.

`default`: bags of rows (module `bags`), columns in any order (`columns`), numbers within the tolerance (`numbers`),
row order between the gold's sort keys (`ordered`). `strict`: besides, columns by position and of alike types.
`lenient`: besides `default`, extra columns in the prediction and text that spells a number. `bird`: sets of rows by
position under Python's ==. Always strict => default => lenient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.answer import reasons
from harness.answer.bags import Bag
from harness.answer.columns import UndecidedError, assign_columns
from harness.answer.embed import embed_columns
from harness.answer.encode import Encoded, encode
from harness.answer.order import OrderPlan
from harness.answer.ordered import Expected, expected
from harness.answer.table import Comparison, Table
from harness.answer.values import has_numeric_text, kinds_of, plain_rows, types_alike
from harness.records import Outcome

_ALL = ("default", "strict", "lenient", "bird")
_UNDECIDED = "; the columns are too much alike to find out which is which, so the search was given up"


def compare(
    gold: Table,
    prediction: Table,
    order: OrderPlan | None = None,
    keyed: Table | None = None,
    *,
    tolerance: float = 1e-6,
) -> Comparison:
    """Judge a prediction by the rules default, strict, lenient and bird.

    `order`: the gold's plan, `keyed`: its keyed run where `order.needs_keyed` asked for one. `tolerance` is
    relative, 0 <= tolerance < 0.5. A truncated prediction is `too_many_rows`; a truncated gold must not come here
    (ValueError).
    """
    if not 0 <= tolerance < 0.5:
        raise ValueError(f"tolerance must be in [0, 0.5), got {tolerance}")
    if gold.truncated:
        raise ValueError("the gold's result is truncated: it cannot be compared")
    if prediction.truncated:
        reason = (
            f"the prediction returns more than {reasons.counted(len(prediction.rows), 'row')}, gold {len(gold.rows)}"
        )
        return Comparison(dict.fromkeys(_ALL, False), Outcome.TOO_MANY_ROWS, reason)
    if gold.rows == prediction.rows and len(gold.columns) == len(prediction.columns):
        return _same(gold, prediction)
    if keyed is not None and keyed.truncated:
        keyed = None
    return _Judge(gold, prediction, order, keyed, tolerance).comparison()


def _same(gold: Table, prediction: Table) -> Comparison:
    matches = {"default": True, "strict": types_alike(gold.types, prediction.types), "lenient": True, "bird": True}
    if gold.rows:
        return Comparison(matches, Outcome.CORRECT)
    return Comparison(matches, Outcome.VACUOUS_MATCH, "both results are empty", vacuous=True)


class _Judge:
    """One comparison under way: what several rules need is computed once."""

    def __init__(
        self, gold: Table, prediction: Table, order: OrderPlan | None, keyed: Table | None, tolerance: float
    ) -> None:
        self.gold, self.prediction, self.order, self.keyed, self.tolerance = gold, prediction, order, keyed, tolerance
        self.width, self.width_given = len(gold.columns), len(prediction.columns)
        self.same_width = self.width == self.width_given
        self.same_length = len(gold.rows) == len(prediction.rows)
        self.kinds = kinds_of(gold.rows) | kinds_of(prediction.rows)
        if keyed is not None:
            self.kinds |= kinds_of(keyed.rows)
        self.undecided = False
        self.encoded = self._encode(numeric_text=False)
        self.expected = expected(gold, self.encoded, order, keyed)

    def comparison(self) -> Comparison:
        """Every rule, then the outcome and its reason."""
        columns = self._default()
        default = columns is not None
        strict = columns == tuple(range(self.width)) and types_alike(self.gold.types, self.prediction.types)
        lenient = default or self._lenient()
        matches = {"default": default, "strict": strict, "lenient": lenient, "bird": self._bird()}
        note = self.expected.note
        if default:
            return Comparison(matches, Outcome.CORRECT, note=note)
        outcome, reason = self._fault()
        if lenient:
            reason += "; equal under the rule lenient (extra columns allowed, numeric text = number)"
        return Comparison(matches, outcome, reason + (_UNDECIDED if self.undecided else ""), note=note)

    def _encode(self, *, numeric_text: bool) -> Encoded:
        tables = [self.gold.rows, self.prediction.rows]
        if self.keyed is not None:
            tables.append(self.keyed.rows)
        return encode(tables, self.kinds, self.tolerance, numeric_text=numeric_text)

    def _default(self) -> tuple[int, ...] | None:
        """For each gold column the prediction's, or None where the default rule says no."""
        if not self.same_width or not self.same_length:
            return None
        return self._lay(self.encoded, self.expected)

    def _lay(self, encoded: Encoded, wanted: Expected) -> tuple[int, ...] | None:
        bag = Bag(encoded.rows[1], wanted.labels, encoded.exact_of(1))
        hint = self._by_name() if self.gold.columns != self.prediction.columns else None
        try:
            if self.same_width and not wanted.cut:
                return assign_columns(wanted.pool, bag, encoded.pairing, hint=hint)
            return embed_columns(wanted.pool, bag, self.width, encoded.pairing, hint=hint)
        except UndecidedError:
            self.undecided = True
            return None

    def _by_name(self) -> tuple[int, ...] | None:
        """The columns as their names suggest, where names are unique and stand elsewhere: a hint, never a demand."""
        theirs = [name.lower() for name in self.gold.columns]
        ours = {name.lower(): i for i, name in enumerate(self.prediction.columns)}
        if len(ours) < self.width_given or len(set(theirs)) < self.width or not all(name in ours for name in theirs):
            return None
        columns = tuple(ours[name] for name in theirs)
        return None if columns == tuple(range(self.width)) else columns

    def _lenient(self) -> bool:
        if self.width_given < self.width or not self.same_length:
            return False
        if not self.gold.rows:
            return True
        if self.same_width and not self._has_numeric_text():
            return False
        encoded = self._encode(numeric_text=True)
        return self._lay(encoded, expected(self.gold, encoded, self.order, self.keyed)) is not None

    def _has_numeric_text(self) -> bool:
        return str in self.kinds and (has_numeric_text(self.gold.rows) or has_numeric_text(self.prediction.rows))

    def _bird(self) -> bool:
        gold, prediction = plain_rows(self.gold.rows, self.kinds), plain_rows(self.prediction.rows, self.kinds)
        return set(gold) == set(prediction)

    def _fault(self) -> tuple[Outcome, str]:
        """Outcome and reason of a default mismatch."""
        gold, prediction, rows = self.gold, self.prediction, self.encoded.rows
        if not self.same_width:
            return Outcome.WRONG_COLUMN_COUNT, reasons.column_count(gold, prediction)
        if self.same_length and self.expected.labels is not None:
            columns = self._unordered(
                Bag(rows[0], None, self.encoded.exact_of(0)), Bag(rows[1], None, self.encoded.exact_of(1))
            )
            if columns is not None:
                return Outcome.WRONG_ORDER, reasons.misplaced(
                    rows[0], self.expected.labels, rows[1], prediction.rows, columns
                )
        distinct = list(dict.fromkeys(rows[0])), list(dict.fromkeys(rows[1]))
        repeats = len(distinct[0]) < len(rows[0]) or len(distinct[1]) < len(rows[1])
        if repeats and len(distinct[0]) == len(distinct[1]) > 0:
            columns = self._unordered(Bag(distinct[0]), Bag(distinct[1]))
            if columns is not None and self.encoded.pairing is None:
                return Outcome.WRONG_MULTIPLICITY, reasons.multiplicity(rows[0], rows[1], gold.rows, columns)
        difference = reasons.row_difference(rows[0], rows[1], gold.rows, prediction.rows)
        if not self.same_length:
            counts = f"gold has {reasons.counted(len(gold.rows), 'row')}, the prediction {len(prediction.rows)}"
            return Outcome.WRONG_ROW_COUNT, f"{counts}; {difference}" if difference else counts
        return Outcome.WRONG_VALUES, difference or "the rows differ in how their values go together"

    def _unordered(self, gold: Bag, prediction: Bag) -> tuple[int, ...] | None:
        try:
            return assign_columns(gold, prediction, self.encoded.pairing if gold.exact is not None else None)
        except UndecidedError:
            return None


def compare_test_suite(gold: Table, prediction: Table, gold_sql: str) -> bool:
    """The official `result_eq` of Spider's test-suite evaluator, on values as sqlite3 would hand them over.

    Both empty is equal whatever the columns; row order counts where the text 'order by' is anywhere in the gold; any
    column order; bags; no tolerance. DISTINCT has to be stripped from both statements before
    (`needs_second_execution`, `strip_distinct`). Unlike the original, a row's cells are never sorted as text first,
    so 1 and 1.0 are the same in every position.
    """
    if not gold.rows and not prediction.rows:
        return True
    if len(gold.rows) != len(prediction.rows) or len(gold.columns) != len(prediction.columns):
        return False
    if gold.rows == prediction.rows:
        return True
    kinds = kinds_of(gold.rows) | kinds_of(prediction.rows)
    labels = range(len(gold.rows)) if "order by" in gold_sql.lower() else None
    theirs, ours = plain_rows(gold.rows, kinds), plain_rows(prediction.rows, kinds)
    try:
        return assign_columns(Bag(theirs, labels), Bag(ours, labels)) is not None
    except UndecidedError:
        return False


_CLOSENESS = (
    Outcome.CORRECT,
    Outcome.VACUOUS_MATCH,
)


def best_of(comparisons: Sequence[Comparison]) -> tuple[int, Comparison]:
    """The judgement against several acceptable golds: (index of the gold it speaks of, comparison).

    The first gold that is matched on rows, else one matched by two empty results, else the first. A rule counts as
    matched where any gold is matched under it.
    """
    if not comparisons:
        raise ValueError("no gold to compare with")
    index = next((i for wanted in _CLOSENESS for i, one in enumerate(comparisons) if one.outcome is wanted), 0)
    if len(comparisons) == 1:
        return 0, comparisons[0]
    rules = dict.fromkeys(rule for one in comparisons for rule in one.matches)
    merged = {rule: any(one.matches.get(rule, False) for one in comparisons) for rule in rules}
    return index, replace(comparisons[index], matches=merged)
