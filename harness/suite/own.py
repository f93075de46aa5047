"""Witnesses for one prediction, out of the constants that its gold lacks.

A suite is made before there is a prediction, so it knows nothing of `AND year < 3000`: such a condition is met by every
row it holds. Where a prediction has passed all kept witnesses and has constants of its own, a few further ones are made
here, round these constants too. The same suite, gold and prediction give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from sqlglot import exp

from harness.suite.builder import Row
from harness.suite.conditions import constant
from harness.suite.facts import schema_of_text
from harness.suite.neighbours import parse
from harness.suite.record import VERSION, Trial
from harness.suite.schema import Schema
from harness.suite.witness import Plan, Strategy, boundaries, directed, filled, inserts, ranked

Inserts = tuple[str, ...]

_CONSTANT = re.compile(r"'((?:[^']|'')*)'|(?<![\w.\"$])(\d+(?:\.\d+)?)(?![\w\"])")
_PLACES = (exp.Group, exp.Ordered, exp.DataTypeParam, exp.Interval)
"""Where a number is a column's place, a type's width or a span rather than a value."""


def own_witnesses(trial: Trial, gold_sql: str, sql: str) -> Iterator[tuple[Inserts, Inserts]]:
    """Each further witness, and the same rows turned round; none where the prediction has no constants of its own.

    Both statements are in DuckDB's words.
    """
    if not _texts(sql) - _texts(gold_sql):
        return
    gold, prediction = parse(gold_sql), parse(sql)
    if gold is None or prediction is None or not _constants(prediction) - _constants(gold):
        return
    schema = schema_of_text(trial.schema, trial.tables)
    seed = hashlib.sha256("\0".join((str(VERSION), trial.schema, gold_sql, sql)).encode(errors="replace")).hexdigest()
    for number, (steered_by, other, strategy) in enumerate(_ways(gold, prediction)):
        rows = filled(Plan(schema, steered_by, (other,)), strategy, f"own/{seed}/{number}", 0)
        turned = {t.name.lower() for t in schema.tables if not t.names_itself}
        backwards = {name: found[::-1] if name in turned else found for name, found in rows.items()}
        yield _inserts(schema, rows), _inserts(schema, backwards)


def _ways(gold: exp.Expr, prediction: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr, Strategy]]:
    """(statement whose predicates the rows are made for, the other one, how)."""
    yield prediction, gold, boundaries
    yield prediction, gold, directed
    yield gold, prediction, directed
    if prediction.find(exp.Limit, exp.Offset, exp.Having) is not None:
        yield prediction, gold, ranked


def _inserts(schema: Schema, rows: dict[str, list[Row]]) -> Inserts:
    return tuple(statement for found in inserts(schema, rows).values() for statement in found)


def _texts(sql: str) -> set[str]:
    """Whatever looks like a constant: quick, to spare most predictions the parsing."""
    return {text or number for text, number in _CONSTANT.findall(sql)}


def _constants(tree: exp.Expr) -> set[str]:
    """The constants, numbers by value, each with its kind left out: `'5'` is 5."""
    found = set()
    for node in tree.find_all(exp.Literal):
        if not isinstance(node.parent, _PLACES):
            value = constant(node)
            found.add(_text(value[0]) if value else str(node.this))
    return found


def _text(value: object) -> str:
    try:
        return repr(float(str(value)))
    except ValueError:
        return str(value)
