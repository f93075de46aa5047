"""DuckDB's rows as a `Table`, nothing lost that the rules look at.

The one place of the room that touches DuckDB, through the object passed in. DuckDB hands most types over whole:
HUGEINT as int, DECIMAL as Decimal, UUID, BLOB, LIST, STRUCT and MAP as Python values, repeated column names as they
are (rows are tuples). What Python's datetime cannot hold, `query` fetches as text: nanoseconds, and the infinities,
which DuckDB otherwise hands over as the first and the last day of Python's calendar. Years beyond Python's calendar
come as text by themselves. An INTERVAL is fetched as a span of time (a month is 30 days), which is how DuckDB
compares intervals too. TIMESTAMPTZ needs the package `pytz` (DuckDB asks for it); where it is missing `query` fetches
the UTC instant instead.
"""

from __future__ import annotations

import re
from datetime import MAXYEAR, MINYEAR, date, datetime
from typing import Any, Protocol

from harness.answer.table import Table

_NANOSECONDS = re.compile(r"(TIMESTAMP|TIME)_NS\b")
_ZONED = "TIMESTAMP WITH TIME ZONE"
_CALENDAR_ENDS = frozenset({date.min, date.max, datetime.min, datetime.max})  # noqa: DTZ901
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|;", re.DOTALL)
_QUERY = re.compile(r"\s*\(*\s*(select|with|from|values|table|pivot|unpivot)\b", re.IGNORECASE)


class Executed(Protocol):
    """A DuckDB connection or cursor after `execute`."""

    @property
    def description(self) -> Any:
        """Name and type of each column, or None."""

    def fetchmany(self, size: int, /) -> list[tuple[Any, ...]]:
        """The next rows."""


class Connection(Executed, Protocol):
    """A DuckDB connection or cursor that can execute."""

    def execute(self, query: str, /) -> Executed:
        """Run one statement."""


def fetch(executed: Any, max_rows: int) -> Table:
    """At most `max_rows` rows of an executed statement, or of a relation; `truncated` says that there are more.

    The connection is free for the next statement afterwards, unless the table is truncated (then `execute` drops the
    rest).
    """
    if hasattr(executed, "fetchmany") and hasattr(executed, "execute"):
        rows = executed.fetchmany(max_rows + 1)
    else:
        rows = executed.limit(max_rows + 1).fetchall()
    return _table(*_described(executed), rows, max_rows)


def _described(executed: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and types of the columns."""
    described = executed.description or []
    return tuple([column[0] for column in described]), tuple([str(column[1]) for column in described])


def _table(names: tuple[str, ...], types: tuple[str, ...], rows: list[tuple[Any, ...]], max_rows: int) -> Table:
    truncated = len(rows) > max_rows
    if truncated:
        del rows[max_rows:]
    if "BIGNUM" in types:
        rows = _with_integers(rows, [i for i, name in enumerate(types) if name == "BIGNUM"])
    return Table(names, types, rows, truncated)


def query(connection: Connection, sql: str, max_rows: int) -> Table:
    """Execute a statement and fetch it; once more, as text, where it reads and Python's types cut a column short.

    Raises what DuckDB raises.
    """
    executed = connection.execute(sql)
    names, types = _described(executed)
    try:
        table = _table(names, types, executed.fetchmany(max_rows + 1), max_rows)
    except Exception as error:
        casts = {i: name.replace(_ZONED, "TIMESTAMP") for i, name in enumerate(types) if _ZONED in name}
        if not casts or "pytz" not in str(error):
            raise
        return Table(names, types, *_recast(connection, sql, types, casts, max_rows))
    casts = {i: "VARCHAR" for i, name in enumerate(types) if _is_cut_short(table, i, name)}
    if not casts or not _QUERY.match(_without_comments(sql)):
        return table
    return Table(names, types, *_recast(connection, sql, types, casts, max_rows))


def _is_cut_short(table: Table, column: int, type_name: str) -> bool:
    """Nanoseconds, or a day that is the end of Python's calendar and may have been an infinity."""
    if not type_name.startswith(("DATE", "TIME")):
        return False
    if _NANOSECONDS.fullmatch(type_name):
        return True
    return any(_is_calendar_end(row[column]) for row in table.rows)


def _is_calendar_end(value: Any) -> bool:
    if type(value) is datetime:
        return value.year in (MINYEAR, MAXYEAR) and value.replace(tzinfo=None) in _CALENDAR_ENDS
    return type(value) is date and value in _CALENDAR_ENDS


def _recast(
    connection: Connection, sql: str, types: tuple[str, ...], casts: dict[int, str], max_rows: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """(rows, truncated) of the same query with some columns cast; dates that Python can hold are read back."""
    chosen = ", ".join(f"CAST(#{i + 1} AS {casts[i]})" if i in casts else f"#{i + 1}" for i in range(len(types)))
    table = fetch(connection.execute(f"SELECT {chosen} FROM (\n{_without_tail(sql)}\n) AS result"), max_rows)
    texts = {i for i, name in casts.items() if name == "VARCHAR"}
    rows = [
        tuple([_moment(value, types[i]) if i in texts else value for i, value in enumerate(row)]) for row in table.rows
    ]
    return rows, table.truncated


def _moment(text: Any, type_name: str) -> Any:
    """The Python date or time a text spells, else the text: infinities, nanoseconds, far years."""
    if not isinstance(text, str):
        return text
    short = re.sub(r"(\.\d{6})0+$", r"\1", text)
    try:
        if type_name == "DATE":
            return date.fromisoformat(short)
        if type_name.startswith("TIMESTAMP") and not re.search(r"\.\d{7}", short):
            return datetime.fromisoformat(short)
    except ValueError:
        pass
    return text


def _with_integers(rows: list[tuple[Any, ...]], columns: list[int]) -> list[tuple[Any, ...]]:
    """BIGNUM comes as text of digits."""
    places = set(columns)
    return [tuple([int(v) if i in places and isinstance(v, str) else v for i, v in enumerate(row)]) for row in rows]


def _without_comments(sql: str) -> str:
    return _TOKEN.sub(lambda found: " " if found.group().startswith(("--", "/*")) else found.group(), sql)


def _without_tail(sql: str) -> str:
    """The statement without its closing semicolon and what follows it."""
    bare = _without_comments(sql).rstrip()
    return bare.rstrip("; \n\t")
