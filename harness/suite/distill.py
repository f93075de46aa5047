"""A suite: the few witnesses that tell the most neighbours from the gold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import duckdb
from sqlglot import exp

from harness.suite.execute import Executor, plain_executor
from harness.suite.facts import schema_of_text
from harness.suite.judge import WRITES, depends_on_chance
from harness.suite.neighbours import Neighbour, neighbours, parse
from harness.suite.reading import read_schema, schema_of_script
from harness.suite.record import Suite, SuiteSettings
from harness.suite.schema import Schema
from harness.suite.search import Search
from harness.suite.vacuity import trivial_queries

Source = str | Schema | Callable[[], duckdb.DuckDBPyConnection]
"""A DuckDB script, a schema read before, or what opens a connection that holds the tables and shipped rows."""
LARGER = SuiteSettings(candidates=200, patience=200, seed=1)
"""The search that a suite's strength is measured against."""
Opener = Callable[[str, float], AbstractContextManager[Executor]]
"""(script, deadline in seconds) -> a place to run statements in."""


def build_suite(
    source: Source,
    gold_sql: str,
    settings: SuiteSettings | None = None,
    *,
    prelude: Sequence[str] = (),
    executor: Opener = plain_executor,
) -> Suite:
    """The suite of one gold, which depends on schema, shipped rows, gold and settings alone.

    `prelude` holds the SET statements of the benchmark's dialect; `executor` opens a place to run statements in. Never
    raises for what the gold or the schema is: a suite without witnesses says why.
    """
    settings = settings or SuiteSettings()
    tree = parse(gold_sql)
    if tree is None or not isinstance(tree, (exp.Query, *WRITES)):
        return Suite(reason="the gold is not one statement that can be taken apart")
    if depends_on_chance(tree):
        return Suite(reason="the gold's answer depends on chance")
    try:
        schema = _schema(source)
        if not schema.tables:
            return Suite(reason="the schema has no tables")
        opened = executor(";\n".join((*prelude, schema.script)), settings.deadline_seconds)
    except duckdb.Error as error:
        return Suite(reason=f"the schema does not load: {str(error).splitlines()[0]}")
    with opened as room:
        found = neighbours(gold_sql, schema, settings.max_neighbours)
        trivial = [] if isinstance(tree, WRITES) else trivial_queries(tree, schema)
        near = [n for n in found if room.binds(n.sql)]
        targets = near + [Neighbour(sql, "trivial") for sql in trivial if room.binds(sql)]
        return Search(schema, gold_sql, tree, settings, room, targets, len(near)).suite()


def told_by_more(
    schema: Schema,
    gold_sql: str,
    suite: Suite,
    settings: SuiteSettings,
    *,
    prelude: Sequence[str] = (),
    executor: Opener = plain_executor,
) -> set[str]:
    """Which survivors of a suite some witness of another, larger search tells from the gold: its misses.

    The larger search is `settings` (other seed, more candidates); it never counts what the suite already kills.
    """
    tree = parse(gold_sql)
    if tree is None or not suite.survivors:
        return set()
    with executor(";\n".join((*prelude, schema.script)), settings.deadline_seconds) as room:
        targets = [Neighbour(*reversed(name.split(": ", 1))) for name in suite.survivors]
        told = Search(schema, gold_sql, tree, settings, room, targets, len(targets)).told()
        return {suite.survivors[i] for i in told}


def with_others(suite: Suite, gold_sql: str, others: Sequence[str], settings: SuiteSettings, room: Executor) -> Suite:
    """The suite with golds of other items on the schema compared; which witnesses are kept does not depend on them.

    One that no kept witness tells from the gold is missed only where a further database does: two items may ask the
    same in other words.
    """
    tree = parse(gold_sql)
    if tree is None or not suite.witnesses or isinstance(tree, WRITES):
        return suite
    own = tree.sql("duckdb", comments=False).lower()
    asked = [sql for sql in dict.fromkeys(others) if sql.strip().rstrip(";").lower() != own and room.binds(sql)]
    targets = [Neighbour(sql, "other") for sql in asked]
    schema = schema_of_text(suite.schema, suite.tables)
    search = Search(schema, gold_sql, tree, replace(settings, seed=settings.seed + 1), room, targets, len(targets))
    alive = set(range(len(targets)))
    for script in suite.witnesses:
        alive -= search.told_on((script,), sorted(alive))
    return replace(suite, others=len(targets), others_missed=len(search.told(alive)) if alive else 0)


def _schema(source: Source) -> Schema:
    if isinstance(source, Schema):
        return source
    if isinstance(source, str):
        return schema_of_script(source)
    connection = source()
    try:
        return read_schema(connection)
    finally:
        connection.close()
