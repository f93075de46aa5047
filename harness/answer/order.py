"""The gold's top-level ORDER BY and LIMIT, parsed: which rows must come in which order, and which are free.

Only the outermost ORDER BY counts: one inside a subquery, a window, an aggregate, a literal or a comment says nothing about
the order of the answer. sqlglot reads the statement in DuckDB's dialect; DuckDB's own way of resolving a sort term is
followed: an integer is a position, a bare name is an output alias before it is a column of FROM, and inside an expression
a column of FROM comes before an alias (the same as in the select list, which is why a term can be appended there).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from harness.answer.table import Table

KEY_NAME = "__sort_key_"
"""Prefix of the columns that `OrderPlan.keyed_sql` appends."""


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """How far the order and the choice of the gold's rows is fixed; None of it is run here.

    The caller runs the gold; where `needs_keyed(gold)` it also runs `keyed_sql` (same connection, same row limit), and hands both
    tables to `compare`. A keyed run that fails or overflows is handed over as None: rows then count as untied.
    """

    n_keys: int
    """Number of sort terms; 0 = no top-level ORDER BY (then there is a LIMIT or OFFSET)."""
    positions: tuple[int | None, ...] | None
    """Output column of each term, from 0; None where it is not known to be one; the whole None = all columns (ORDER BY ALL)."""
    names: tuple[str, ...]
    """Bare column name of each term (lower case) to be looked up among the output of a star; empty where none."""
    limit: int | None
    """Rows at most; None = no limit, or one that is not a literal (`limited` is true then)."""
    offset: int
    """Rows skipped."""
    limited: bool
    """There is a LIMIT, OFFSET or FETCH."""
    keyed_sql: str | None
    """The gold without LIMIT, its sort terms appended as the last `n_keys` columns where they are not all output columns,
    cut after the last row tied with the gold's last row; None where no such statement can be written."""
    appended: bool
    """`keyed_sql` ends in `n_keys` extra columns."""

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
        """True where LIMIT or OFFSET may have left rows out of `gold`, so that a tie may have been cut."""
        if not self.limited:
            return False
        return self.offset > 0 or self.limit is None or len(gold.rows) >= self.limit

    def needs_keyed(self, gold: Table) -> bool:
        """True where the verdict may depend on `keyed_sql`: sort keys outside the rows, or a tie that LIMIT may have cut."""
        if self.keyed_sql is None:
            return False
        if self.may_cut(gold):
            return bool(gold.rows)
        return len(gold.rows) > 1 and self.n_keys > 0 and self.key_columns(gold) is None


@lru_cache(maxsize=4096)
def order_plan(gold_sql: str) -> OrderPlan | None:
    """Plan of a gold statement in DuckDB's dialect; None where any order and no other choice of rows is right.

    None as well where sqlglot cannot read the statement.
    """
    try:
        statements = [tree for tree in sqlglot.parse(gold_sql, read="duckdb") if tree is not None]
    except (SqlglotError, RecursionError, ValueError):
        return None
    query = _outermost(statements[0]) if len(statements) == 1 else None
    if query is None:
        return None
    terms = _terms(query)
    limit, limited = _limit(query)
    offset, offset_known = _offset(query)
    if not terms and not limited and not query.args.get("offset"):
        return None
    limited = limited or query.args.get("offset") is not None
    everything = len(terms) == 1 and _is_all(terms[0])
    resolved = [_resolve(query, term.this) for term in terms]
    positions = None if everything else tuple(position for position, _ in resolved)
    names = tuple(name for _, name in resolved)
    appended = positions is not None and any(position is None for position in positions)
    return OrderPlan(
        n_keys=len(terms),
        positions=positions,
        names=names,
        limit=limit,
        offset=offset,
        limited=limited,
        keyed_sql=_keyed_sql(query, terms, appended) if offset_known else None,
        appended=appended,
    )


def _outermost(tree: exp.Expression) -> exp.Query | None:
    """The query whose ORDER BY decides: brackets round the whole statement are looked through."""
    while isinstance(tree, exp.Subquery) and not (tree.args.get("order") or tree.args.get("limit") or tree.args.get("offset")):
        tree = tree.this
    return tree if isinstance(tree, (exp.Query, exp.Values)) else None


def _terms(query: exp.Query) -> list[exp.Ordered]:
    order = query.args.get("order")
    return [term if isinstance(term, exp.Ordered) else exp.Ordered(this=term) for term in order.expressions] if order else []


def _is_all(term: exp.Ordered) -> bool:
    return isinstance(term.this, exp.Var) and term.this.name.upper() == "ALL"


def _limit(query: exp.Query) -> tuple[int | None, bool]:
    """(limit where it is a plain number, whether there is one)."""
    node = query.args.get("limit")
    if node is None:
        return None, False
    value = node.args.get("expression") or node.args.get("count")
    if isinstance(value, exp.Var) or isinstance(value, exp.Null):
        return None, False
    options = node.args.get("limit_options")
    if isinstance(value, exp.Literal) and value.is_int and not (options and options.args.get("percent")):
        return int(value.name), True
    return None, True


def _offset(query: exp.Query) -> tuple[int, bool]:
    """(offset, whether it is known)."""
    node = query.args.get("offset")
    if node is None:
        return 0, True
    value = node.expression
    if isinstance(value, exp.Literal) and value.is_int:
        return int(value.name), True
    return 0, False


def _selects(query: exp.Query) -> list[exp.Expression] | None:
    """The select list that names the output, or None where a star (or no list) hides it."""
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    if not isinstance(query, exp.Select):
        return None
    selects = query.expressions
    return None if any(item.is_star or item.find(exp.Columns) for item in selects) else selects


def _resolve(query: exp.Query, term: exp.Expression) -> tuple[int | None, str]:
    """(output position of a sort term, or None; its bare name, or nothing)."""
    if isinstance(term, exp.Paren):
        return _resolve(query, term.this)
    if isinstance(term, exp.Literal) and term.is_int:
        return int(term.name) - 1, ""
    selects = _selects(query)
    bare = isinstance(term, exp.Column) and isinstance(term.this, exp.Identifier)
    if selects is None:
        return None, term.name.lower() if bare else ""
    if bare and not term.args.get("table"):
        name = term.name.lower()
        aliased = [i for i, item in enumerate(selects) if isinstance(item, exp.Alias) and item.alias.lower() == name]
        if aliased:
            return aliased[-1], ""
        plain = [i for i, item in enumerate(selects) if isinstance(item, exp.Column) and item.name.lower() == name]
        if plain:
            return plain[0], ""
    aliases = {item.alias.lower() for item in selects if isinstance(item, exp.Alias)}
    if any(column.name.lower() in aliases for column in term.find_all(exp.Column)):
        return None, ""
    wanted = term.sql("duckdb").lower()
    for i, item in enumerate(selects):
        if item.unalias().sql("duckdb").lower() == wanted:
            return i, ""
    return None, ""


def _keyed_sql(query: exp.Query, terms: list[exp.Ordered], appended: bool) -> str | None:
    bare = query.copy()
    for part in ("order", "limit", "offset"):
        bare.set(part, None)
    if not appended:
        return query_without_limit(query)
    if isinstance(bare, exp.Select) and not bare.args.get("distinct"):
        for i, term in enumerate(terms):
            bare.append("expressions", exp.alias_(term.this.copy(), f"{KEY_NAME}{i + 1}"))
        return bare.sql("duckdb")
    return None


def query_without_limit(query: exp.Query) -> str:
    """The statement without its outermost LIMIT and OFFSET."""
    whole = query.copy()
    whole.set("limit", None)
    whole.set("offset", None)
    return whole.sql("duckdb")
