"""What a gold statement answers: run once, kept on disk, used by every checkpoint."""

from __future__ import annotations

import pickle
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields

from harness.answer import (
    OrderPlan,
    Table,
    answer_digest,
    needs_second_execution,
    order_plan,
    state_digest,
    strip_distinct,
)
from harness.dialect import NoRoadError, Translation, run_translated, translate
from harness.records import Outcome
from harness.sandbox.engine import PLACES, Failure
from harness.sandbox.space import Space
from harness.scoring.outcomes import reason_of
from harness.scoring.packed import unpacked
from harness.scoring.settings import ScoreSettings
from harness.sqltext import Form, Kind, split_statements, statement_kind

_ORDERED = re.compile(r"order|limit|offset|fetch", re.IGNORECASE)
VOLATILE = re.compile(
    r"\b(?:random|rand|uuid|gen_random_uuid|uuidv4|uuidv7|newid|nextval|current_query_id|current_transaction_id)"
    r"\s*\(|\btablesample\b|\busing\s+sample\b",
    re.IGNORECASE,
)
"""Words that make a statement answer differently each time."""
CLOCK_WORDS = re.compile(
    r"\b(?:now|today|getdate|sysdate|curdate|curtime|get_current_timestamp|transaction_timestamp|julianday)\s*\(|"
    r"\b(?:current_date|current_time|current_timestamp|localtime|localtimestamp)\b|'now'",
    re.IGNORECASE,
)
"""Words that ask for the clock, which is pinned."""


@dataclass(frozen=True, slots=True)
class Gold:
    """One gold statement's answer on the shipped rows."""

    statements: tuple[str, ...] = ()
    """The schema as DuckDB ran it (empty for a database file)."""
    sql: str = ""
    """What DuckDB ran; for several writing statements joined by semicolons."""
    road: str = ""
    writes: bool = False
    seconds: float = 0.0
    table: Table | None = None
    plan: OrderPlan | None = None
    keyed: Table | None = None
    plain: Table | None = None
    """The rows with DISTINCT stripped, where the statement has one."""
    state: dict[str, Table] | None = None
    """Tables and views after a writing statement."""
    changes: bool = True
    """A writing statement changes something on the shipped rows."""
    fault: Outcome | None = None
    reason: str = ""
    digest: str = ""
    """Of its rows, or of the state it leaves."""
    form: Form | None = None
    """What exact match compares with, the names resolved by the tables."""

    def pack(self) -> bytes:
        """As bytes for the cache: their first one says whether the rest is compressed."""
        facts = tuple([getattr(self, name) for name in _FIELDS])
        data = pickle.dumps(facts, protocol=pickle.HIGHEST_PROTOCOL)
        return b"\0" + data if len(data) < _WORTH_PACKING else b"\1" + zlib.compress(data, 1)

    @classmethod
    def unpack(cls, data: bytes) -> Gold:
        """From `pack`'s bytes; only a worker does this."""
        facts = unpacked(data[1:] if data[:1] == b"\0" else zlib.decompress(data[1:]))
        return cls(*facts)


_FIELDS = tuple(field.name for field in fields(Gold))
_WORTH_PACKING = 4096
"""Bytes below which compression costs more time than it saves."""


def ask_gold(space: Space, sql: str, statements: tuple[str, ...], settings: ScoreSettings) -> Gold:
    """Run a gold statement; its fault, if any, is a value. Raises `Failure` only where this process may be to blame."""
    kind = statement_kind(sql)
    pieces = split_statements(sql)
    if kind is Kind.FORBIDDEN:
        return Gold(statements, sql, fault=Outcome.GOLD_ERROR, reason="the gold is of a kind that is not run")
    try:
        if kind is Kind.WRITE:
            return _ask_writing(space, pieces, statements, settings)
        if len(pieces) != 1:
            words = f"the gold has {len(pieces)} statements" if pieces else "the gold is empty"
            return Gold(statements, sql, fault=Outcome.GOLD_ERROR, reason=words)
        return _ask_reading(space, pieces[0], statements, settings)
    except Failure as failure:
        if failure.kind in PLACES:
            raise
        return Gold(statements, sql, fault=Outcome.GOLD_ERROR, reason=f"the gold fails: {reason_of(failure)}")


class _Binder:
    """`Bind` for translation, on one space; keeps what was refused and why."""

    def __init__(self, ask: Callable[[str, float], Failure | None], seconds: float) -> None:
        self._ask, self._seconds = ask, seconds
        self.failures: dict[str, Failure] = {}

    def __call__(self, candidate: str) -> str | None:
        failure = self._ask(candidate, self._seconds)
        if failure is None:
            return None
        self.failures[candidate] = failure
        return failure.message


def run_reading(space: Space, sql: str, seconds: float, settings: ScoreSettings) -> tuple[Table, float, Translation]:
    """A reading statement on its road into DuckDB: rows, seconds, road. `Failure` where no road leads anywhere."""
    bind = _Binder(space.bind, seconds)
    try:
        (table, took), found = run_translated(
            sql, settings.dialects, space.catalog, bind, lambda text: space.query(text, seconds)
        )
    except NoRoadError as none:
        raise bind.failures[none.translation.refused] from None
    return table, took, found


def _ask_reading(space: Space, sql: str, statements: tuple[str, ...], settings: ScoreSettings) -> Gold:
    limit = settings.gold_seconds
    table, seconds, found = run_reading(space, sql, limit, settings)
    final = found.sql or sql
    if table.truncated:
        words = f"the gold returns more than {settings.max_rows} rows: raise score.max_rows"
        return Gold(statements, final, str(found.road), fault=Outcome.GOLD_ERROR, reason=words)
    if VOLATILE.search(final):
        again, _ = space.query(final, limit)
        if again.rows != table.rows:
            words = "the gold answers differently each time it is asked (random(), uuid() ...)"
            return Gold(statements, final, str(found.road), fault=Outcome.GOLD_UNSTABLE, reason=words)
    plan = gold_order(final)
    return Gold(
        statements,
        final,
        str(found.road),
        seconds=seconds,
        table=table,
        digest=answer_digest(table),
        plan=plan,
        keyed=_optional(space, plan.keyed_sql if plan is not None and plan.needs_keyed(table) else None, limit),
        plain=_optional(space, strip_distinct(final) if needs_second_execution(final, "") else None, limit),
    )


def gold_order(sql: str) -> OrderPlan | None:
    """As `order_plan`, without reading a text that has nothing of the kind in it."""
    return order_plan(sql) if _ORDERED.search(sql) else None


def _optional(space: Space, sql: str | None, seconds: float) -> Table | None:
    """Rows of a statement made from the gold; None where there is none or it does not run."""
    if sql is None:
        return None
    try:
        table, _ = space.query(sql, seconds)
    except Failure as failure:
        if failure.kind in PLACES:
            raise
        return None
    return None if table.truncated else table


def run_writing(
    space: Space, pieces: list[str], seconds: float, settings: ScoreSettings
) -> tuple[float, list[str], list[str]]:
    """Writing (and reading) statements in order: seconds, roads, and what DuckDB ran. `Failure` where one fails."""
    took, roads, ran = 0.0, [], []
    for piece in pieces:
        if statement_kind(piece) is not Kind.WRITE:
            _, spent, found = run_reading(space, piece, seconds, settings)
        else:
            bind = _Binder(space.bind_write, seconds)
            found = translate(piece, settings.dialects, bind, space.catalog)
            if found.sql is None:
                raise bind.failures[found.refused]
            spent = space.write(found.sql, seconds)
        took += spent
        roads.append(str(found.road))
        ran.append(found.sql or piece)
    return took, roads, ran


def _ask_writing(space: Space, pieces: list[str], statements: tuple[str, ...], settings: ScoreSettings) -> Gold:
    before = space.state(settings.gold_seconds)
    seconds, roads, ran = run_writing(space, pieces, settings.gold_seconds, settings)
    after = space.state(settings.gold_seconds)
    space.rewind()
    road = next((road for road in roads if road != "duckdb"), "duckdb")
    if any(table.truncated for table in after.values()):
        words = f"a table has more than {settings.max_rows} rows: raise score.max_rows"
        return Gold(statements, ";\n".join(ran), road, True, fault=Outcome.GOLD_ERROR, reason=words)
    if VOLATILE.search(";".join(ran)):
        run_writing(space, pieces, settings.gold_seconds, settings)
        again = space.state(settings.gold_seconds)
        space.rewind()
        if again != after:
            words = "the gold leaves different tables each time it is run (random(), uuid() ...)"
            return Gold(statements, ";\n".join(ran), road, True, fault=Outcome.GOLD_UNSTABLE, reason=words)
    return Gold(
        statements,
        ";\n".join(ran),
        road,
        True,
        seconds,
        state=after,
        changes=before != after,
        digest=state_digest(after),
    )
