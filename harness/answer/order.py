"""The gold's top-level ORDER BY and LIMIT, parsed: which rows must come in which order, and which are free.

Only the outermost ORDER BY counts: one inside a subquery, a window, an aggregate, a literal or a comment says
nothing about the order of the answer. sqlglot reads the statement in DuckDB's dialect; DuckDB's own way of resolving
a sort term is followed: an integer is a position; a bare name is an output alias before it is a column of FROM;
inside an expression a column of FROM comes before an alias, just as in the select list, so that any such term can be
appended there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp
from sqlglot.errors import SqlglotError

from harness.answer.keyed import keyed_sql, outermost, terms_of
from harness.answer.table import Table
from harness.sqltext import parse_statements, parsed, write_duckdb


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """How far the order and the choice of the gold's rows is fixed. Nothing is run here.

    The caller runs the gold; where `needs_keyed(gold)` (or, cheaper, `needs_keyed(gold, prediction)`) it also runs
    `keyed_sql` on the same connection under the same row limit, and hands both tables to `compare`. A keyed run that
    fails or is truncated is handed over as None: rows whose keys are unknown then count as untied.
    """

    n_keys: int
    """Sort terms of the top-level ORDER BY; 0 where there is only a LIMIT or OFFSET."""
    positions: tuple[int | None, ...] | None
    """Output column of each term, from 0; None where it is not known to be one. None as a whole: ORDER BY ALL."""
    names: tuple[str, ...]
    """Bare lower-case name of each term, to be looked up among the output columns of a star; '' where there is none."""
    limit: int | None
    """Most rows wanted; None = no LIMIT, or one that is not a plain number."""
    offset: int
    """Rows skipped (0 where not a plain number; then there is no `keyed_sql`)."""
    limited: bool
    """There is a LIMIT, an OFFSET or a FETCH."""
    sql: str
    """The statement itself, where `keyed_sql` may be made of it; else empty."""

    @property
    def keyed_sql(self) -> str | None:
        """All candidates for the gold's rows, made when first asked for; None where it cannot be written.

        The gold without LIMIT, in order, cut after the last row tied with its last one; behind the gold's columns come
        helper columns, the last of them the number of the tie group.
        """
        return _keyed(self.sql) if self.sql else None

    def key_columns(self, gold: Table) -> tuple[int, ...] | None:
        """The output columns that are the sort keys, or None where some term is not one of them."""
        if self.positions is None:
            return tuple(range(len(gold.columns)))
        lowered = [name.lower() for name in gold.columns]
        found: list[int] = []
        for position, name in zip(self.positions, self.names, strict=True):
            if position is not None and position < len(lowered):
                found.append(position)
            elif name and lowered.count(name) == 1:
                found.append(lowered.index(name))
            else:
                return None
        return tuple(found)

    def may_cut(self, gold: Table) -> bool:
        """True where LIMIT or OFFSET may have left out a row that is as good as one in `gold`."""
        if not self.limited or not gold.rows or self.positions is None:
            return False
        return self.offset > 0 or self.limit is None or len(gold.rows) >= self.limit

    def needs_keyed(self, gold: Table, prediction: Table | None = None) -> bool:
        """True where the verdict may depend on `keyed_sql`: sort keys outside the rows, or a tie that may be cut.

        With the prediction at hand, False too where it has exactly the gold's rows, or another number of rows.
        """
        if prediction is not None and (prediction.rows == gold.rows or len(prediction.rows) != len(gold.rows)):
            return False
        unknown = len(gold.rows) > 1 and self.n_keys > 0 and self.key_columns(gold) is None
        return (unknown or self.may_cut(gold)) and self.keyed_sql is not None


@lru_cache(maxsize=8192)
def order_plan(gold_sql: str) -> OrderPlan | None:
    """Plan of a gold statement in DuckDB's dialect; None where it has neither a top-level ORDER BY nor a LIMIT.

    Where sqlglot cannot read the statement, a top-level ORDER BY found by scanning is taken as a total order.
    """
    try:
        statements = parsed(gold_sql, "duckdb")
        if not statements or isinstance(statements[-1], exp.Command):
            return _unread(gold_sql)
        return _plan(statements[-1], gold_sql)
    except (SqlglotError, RecursionError, ValueError):
        return _unread(gold_sql)


def _plan(tree: exp.Expr, sql: str) -> OrderPlan | None:
    query = outermost(tree)
    if query is None:
        return None
    terms = terms_of(query)
    limit, limited = _limit(query)
    offset, offset_known = _offset(query)
    if not terms and not limited:
        return None
    everything = len(terms) == 1 and isinstance(terms[0].this, exp.Var) and terms[0].this.name.upper() == "ALL"
    resolved = [_resolve(query, term.this) for term in terms]
    positions = None if everything else tuple([position for position, _ in resolved])
    source = sql if positions is not None and offset_known else ""
    return OrderPlan(len(terms), positions, tuple([name for _, name in resolved]), limit, offset, limited, source)


@lru_cache(maxsize=256)
def _keyed(sql: str) -> str | None:
    """`OrderPlan.keyed_sql` of a statement that has a plan."""
    plan = order_plan(sql)
    assert plan is not None
    assert plan.positions is not None
    explicit_nulls = re.search(r"\bnulls\s+(first|last)\b", sql, re.IGNORECASE) is not None
    wanted = plan.offset + plan.limit if plan.limit is not None else None
    try:
        query = outermost(parse_statements(sql, "duckdb")[-1])
        return None if query is None else keyed_sql(query.pop(), plan.positions, wanted, explicit_nulls)
    except (SqlglotError, RecursionError, ValueError):
        return None


_LITERAL_OR_COMMENT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)


def _unread(sql: str) -> OrderPlan | None:
    """A plan from the text alone: ORDER BY outside all brackets, literals and comments."""
    bare = _LITERAL_OR_COMMENT.sub(" ", sql)
    depth, outside = 0, []
    for character in bare:
        depth += (character == "(") - (character == ")")
        outside.append(character if depth == 0 else " ")
    text = "".join(outside)
    if re.search(r"\border\s+by\b", text, re.IGNORECASE) is None:
        return None
    limited = re.search(r"\b(limit|offset|fetch)\b", text, re.IGNORECASE) is not None
    return OrderPlan(1, (None,), ("",), None, 0, limited, "")


def _limit(query: exp.Expr) -> tuple[int | None, bool]:
    """(LIMIT where it is a plain number, whether there is a LIMIT or OFFSET at all)."""
    node = query.args.get("limit")
    skipped = query.args.get("offset") is not None
    if node is None:
        return None, skipped
    value = node.args.get("expression") or node.args.get("count")
    if isinstance(value, (exp.Var, exp.Null)):
        return None, skipped
    options = node.args.get("limit_options")
    if isinstance(value, exp.Literal) and value.is_int and not (options and options.args.get("percent")):
        return int(value.name), True
    return None, True


def _offset(query: exp.Expr) -> tuple[int, bool]:
    """(OFFSET, whether it is known)."""
    node = query.args.get("offset")
    if node is None:
        return 0, True
    value = node.expression
    return (int(value.name), True) if isinstance(value, exp.Literal) and value.is_int else (0, False)


def _output(query: exp.Expr) -> list[exp.Expr] | None:
    """The select list that is the output, or None where a star (or no list) hides it."""
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    if not isinstance(query, exp.Select):
        return None
    items: list[exp.Expr] = query.expressions
    return None if any(item.is_star or item.find(exp.Columns) for item in items) else items


def _resolve(query: exp.Expr, term: exp.Expr) -> tuple[int | None, str]:
    """(output position of a sort term or None, its bare name or '')."""
    if isinstance(term, exp.Literal) and term.is_int:
        return int(term.name) - 1, ""
    items = _output(query)
    bare = isinstance(term, exp.Column) and isinstance(term.this, exp.Identifier)
    if items is None:
        return None, term.name.lower() if bare and not (term.args.get("table") and _has_partial_star(query)) else ""
    if bare and not term.args.get("table"):
        name = term.name.lower()
        aliased = [i for i, item in enumerate(items) if isinstance(item, exp.Alias) and item.alias.lower() == name]
        if aliased:
            return (aliased[0] if len(aliased) == 1 else None), ""
        plain = [i for i, item in enumerate(items) if isinstance(item, exp.Column) and item.name.lower() == name]
        if plain:
            return plain[0], ""
    wanted = _spelling(term)
    return next((i for i, item in enumerate(items) if _spelling(item.unalias()) == wanted), None), ""


def _has_partial_star(query: exp.Expr) -> bool:
    """`t.*` shows one table only: another table's column of the same name is then no output column."""
    items = query.expressions if isinstance(query, exp.Select) else []
    return any(isinstance(item, exp.Column) and item.is_star for item in items)


def _spelling(tree: exp.Expr) -> str:
    while isinstance(tree, exp.Paren):
        tree = tree.this
    if isinstance(tree, exp.Column) and all(isinstance(part, exp.Identifier) for part in tree.parts):
        return ".".join([f'"{part.name}"' if part.args.get("quoted") else part.name for part in tree.parts]).lower()
    return write_duckdb(tree).lower()
