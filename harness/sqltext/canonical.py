"""A statement as a canonical text: equal texts mean equal answers in every database where both statements run.

Only rewritings that hold for NULLs, for every type and for every row are made; where a rewriting might not hold (an
outer join's order, LIMIT without ORDER BY, a name whose owner is unknown) the statement stays as written.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from harness.sqltext.limits import parseable
from harness.sqltext.names import Tables
from harness.sqltext.parsing import FAILURES, parsed
from harness.sqltext.queries import QueryWriter


@dataclass(slots=True)
class Canonical:
    """The canonical form of one statement."""

    dialect: str
    """The dialect it was read in."""
    tree: str
    _parsed: exp.Expr = field(repr=False)
    _catalog: Tables | None = field(repr=False)
    _masked: str = field(default="", repr=False)

    @property
    def masked(self) -> str:
        """The tree with every literal masked; written when first asked for."""
        if not self._masked:
            self._masked = QueryWriter(self.dialect, self._catalog, mask=True).statement(self._parsed)
        return self._masked


def canonical(sql: str, dialects: tuple[str, ...], catalog: Tables | None = None) -> Canonical | None:
    """The canonical form in the first dialect that can read `sql` as one statement; None where none can."""
    if not parseable(sql):
        return None
    for dialect in dialects or ("duckdb",):
        try:
            trees = parsed(sql, dialect)
            if len(trees) == 1 and not isinstance(trees[0], exp.Command):
                text = QueryWriter(dialect, catalog, mask=False).statement(trees[0])
                return Canonical(dialect, text, trees[0], catalog)
        except FAILURES:
            continue
    return None
