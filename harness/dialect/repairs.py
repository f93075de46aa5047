"""The repairs: what a dialect allows and DuckDB does not, each by name, each applied only where nothing else binds.

A repair changes a parsed statement in place and says whether it changed anything. `REPAIRS` is the whole list, in
the order they are tried; a dialect's profile says which of them its statements may have, so a prediction never gets
one that its benchmark's gold would not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from harness.dialect.grouping import bare_column
from harness.dialect.loose_types import (
    COMPARISONS,
    aggregate_over_text,
    arithmetic_over_text,
    cast_truncates,
    text_function_over_number,
    text_vs_number,
    unsafe_cast,
)
from harness.dialect.profile import Profile
from harness.dialect.resolve import Resolver, sources
from harness.dialect.writing import joined_write, keyless_conflict, row_conflict, with_rollup


@dataclass(frozen=True, slots=True)
class Repair:
    """One named repair."""

    name: str
    allowed: Callable[[Profile], bool]
    apply: Callable[[exp.Expr, Resolver, Profile], bool]


def _is_double_quoted(column: exp.Column) -> bool:
    return isinstance(column.this, exp.Identifier) and bool(column.this.args.get("quoted")) and not column.table


def double_quoted_string(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """A double-quoted word that is no column in its scope is a string."""
    changed = False
    for column in list(tree.find_all(exp.Column)):
        if _is_double_quoted(column) and resolver.is_column(column) is False:
            column.replace(exp.Literal.string(column.name))
            changed = True
    return changed


def chained_comparison(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """`a = b = c` compares the truth value (0 or 1) of the first comparison with c."""
    changed = False
    for node in list(tree.find_all(*COMPARISONS)):
        inner = node.this
        if isinstance(inner, COMPARISONS):
            inner.replace(exp.Cast(this=exp.Paren(this=inner.copy()), to=exp.DataType.build("int")))
            changed = True
    return changed


def early_reference(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """An ON that names a table joined only later holds for the whole join: all conditions move to WHERE."""
    changed = False
    for select in list(tree.find_all(exp.Select)):
        joins = select.args.get("joins") or []
        if not joins or any(join.side or join.method or join.args.get("using") for join in joins):
            continue
        seen = {alias for alias, _ in list(sources(select))[:1]}
        early = False
        for join, (alias, _) in zip(joins, list(sources(select))[1:], strict=False):
            seen.add(alias)
            on = join.args.get("on")
            early = early or (
                on is not None and any(c.table and c.table.lower() not in seen for c in on.find_all(exp.Column))
            )
        if not early:
            continue
        conditions = [join.args["on"].copy() for join in joins if join.args.get("on")]
        for join in joins:
            join.set("on", None)
            join.set("kind", "CROSS")
        select.where(*conditions, copy=False)
        changed = True
    return changed


def scalar_extreme(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """MAX(a, b) is the greater of two values, MIN(a, b) the lesser; sqlglot has read them so."""
    return tree.find(exp.Greatest, exp.Least) is not None


def julian_day(tree: exp.Expr, resolver: Resolver, profile: Profile) -> bool:
    """SQLite's JULIANDAY counts from noon, DuckDB's julian from midnight."""
    changed = False
    for call in list(tree.find_all(exp.Anonymous)):
        if str(call.this).upper() == "JULIANDAY" and len(call.expressions) == 1:
            moment = call.expressions[0]
            now = isinstance(moment, exp.Literal) and moment.name.lower() == "now"
            moment = exp.CurrentTimestamp() if now else moment.copy()
            day = exp.Anonymous(this="julian", expressions=[exp.cast(moment, "timestamp")])
            call.replace(exp.Paren(this=exp.Sub(this=day, expression=exp.Literal.number("0.5"))))
            changed = True
    return changed


def _loose(profile: Profile) -> bool:
    return profile.loose_types


def _upserts(profile: Profile) -> bool:
    return profile.name == "mysql"


def _joins_writes(profile: Profile) -> bool:
    return profile.name in ("mysql", "tsql")


REPAIRS: tuple[Repair, ...] = (
    Repair("with_rollup", _joins_writes, with_rollup),
    Repair("joined_write", _joins_writes, joined_write),
    Repair("row_conflict", _upserts, row_conflict),
    Repair("keyless_conflict", lambda profile: profile.name in ("mysql", "sqlite"), keyless_conflict),
    Repair("julian_day", lambda profile: profile.name == "sqlite", julian_day),
    Repair("double_quoted_string", lambda profile: profile.double_quotes == "fallback", double_quoted_string),
    Repair("chained_comparison", _loose, chained_comparison),
    Repair("early_reference", _loose, early_reference),
    Repair("bare_column", lambda profile: profile.bare_columns, bare_column),
    Repair("aggregate_over_text", _loose, aggregate_over_text),
    Repair("arithmetic_over_text", _loose, arithmetic_over_text),
    Repair("text_vs_number", _loose, text_vs_number),
    Repair("text_function_over_number", _loose, text_function_over_number),
)

MEANINGS: tuple[Repair, ...] = (
    Repair("text_vs_number", lambda profile: profile.text_affinity, text_vs_number),
    Repair("scalar_extreme", lambda profile: profile.text_affinity, scalar_extreme),
    Repair("cast_truncates", lambda profile: profile.text_affinity, cast_truncates),
)
"""What must be written out even where DuckDB would bind, for it would compare something else."""

RUNTIME: tuple[Repair, ...] = (
    Repair("text_vs_number", _loose, text_vs_number),
    Repair("unsafe_cast", _loose, unsafe_cast),
)
"""Tried after a statement that bound fails on a value (a conversion error)."""
