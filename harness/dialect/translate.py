"""A statement of a benchmark's dialect on its way into DuckDB: as written, as sqlglot reads it, then repaired.

The first dialect of a benchmark says what its statements *mean* (`profile.py`); that meaning is written out first
(LIKE without case, a text column compared with a number), for statements that would run as they are too. Then the
first candidate that binds is taken: the text; the text with double-quoted strings made strings; and for each dialect
in turn its reading by sqlglot, plain and then with the repairs that this dialect allows. A dialect is exhausted
before the next one is asked: MySQL would read every double-quoted column of SQLite as a string and bind happily.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from harness.dialect.catalog import Catalog
from harness.dialect.meaning import Meaning, as_string, express
from harness.dialect.profile import PROFILES, Profile, foreign, profile_of
from harness.dialect.repairs import MEANINGS, REPAIRS, RUNTIME, Repair
from harness.dialect.resolve import Resolver
from harness.dialect.words import readers, respelt
from harness.dialect.writing import without_truncate
from harness.records import Road
from harness.sqltext import parse_statements, parseable, write_duckdb
from harness.sqltext.parsing import FAILURES
from harness.sqltext.scan import QUOTED, scan

Bind = Callable[[str], str | None]
"""DuckDB's error message for a statement, None where it binds."""


@dataclass(frozen=True, slots=True)
class Translation:
    """Where a statement got to."""

    sql: str | None
    """What DuckDB is to run; None where nothing binds."""
    road: Road
    error: str
    """DuckDB's words where nothing binds, about the candidate that came furthest."""
    refused: str = ""
    """That candidate."""


def translate(sql: str, dialects: tuple[str, ...], bind: Bind, catalog: Catalog) -> Translation:
    """The first candidate that binds (module docstring); `bind` is asked once a distinct candidate. Never raises."""
    if not parseable(sql):
        error = bind(sql)
        return Translation(sql if error is None else None, Road(), error or "", sql)
    profile = profile_of(dialects)
    meaning = express(sql, profile, catalog)
    if meaning.needs_tree:
        tree = read(meaning.sql, profile.name)
        changed = _apply(tree, MEANINGS, profile, catalog) if tree is not None else ()
        if tree is not None and changed:
            candidate = write(tree)
            if candidate is not None and bind(candidate) is None:
                return Translation(candidate, Road(profile.name, _joined(meaning.repairs, changed)), "")
    error = bind(meaning.sql)
    if error is None:
        return Translation(meaning.sql, Road("duckdb", meaning.repairs), "")
    furthest = _Furthest(meaning.sql, error, ("duckdb", profile.name))
    seen = {meaning.sql}
    for candidate, road in _candidates(meaning, dialects, catalog, error):
        if candidate not in seen:
            seen.add(candidate)
            error = bind(candidate)
            if error is None:
                return Translation(candidate, road, "")
            furthest.see(candidate, error, road)
    return Translation(None, Road(), furthest.error, furthest.sql)


@dataclass(slots=True)
class _Furthest:
    """The refused candidate whose complaint a person can act on.

    That is the last one of the benchmark's own dialect, for its repairs have taken away what is only a matter of
    spelling; where the text is no SQL to DuckDB at all, the first dialect that can read it counts as its own.
    """

    sql: str
    error: str
    own: tuple[str, ...]

    def see(self, sql: str, error: str, road: Road) -> None:
        """Take one more refused candidate into account."""
        if error.startswith(_NO_SQL) or "reserved_word" in road.repairs:
            return
        if self.error.startswith(_NO_SQL):
            self.own = (road.dialect,)
        elif road.dialect not in self.own:
            return
        self.sql, self.error = sql, error


_NO_SQL = ("Parser Error", "Syntax Error")
_PLACES = ("line", "col", "start", "end")
_UNGROUPED = "must appear in the GROUP BY clause"


def _candidates(
    meaning: Meaning, dialects: tuple[str, ...], catalog: Catalog, error: str
) -> Iterator[tuple[str, Road]]:
    """Readings of the text and what repairs make of them; `error` is what DuckDB said of the text itself."""
    text, done = meaning.sql, meaning.repairs
    # nothing but its own repair helps a column outside GROUP BY: other readings of it are not worth the asking
    ungrouped = _UNGROUPED in error
    for changed, name in respelt(text, dialects, error):
        text, done = changed, _joined(done, (name,))
        yield text, Road("duckdb", done)
    if profile_of(dialects).double_quotes == "fallback":
        unquoted = _strings_unquoted(text, catalog)
        if unquoted != text:
            text, done = unquoted, _joined(done, ("double_quoted_string",))
            if not ungrouped:
                yield text, Road("duckdb", done)
    for dialect in readers(text, foreign(dialects)):
        tree = read(text, dialect)
        if tree is None:
            continue
        profile = PROFILES.get(dialect, PROFILES["duckdb"])
        waiting = ungrouped and profile.bare_columns
        plain = None if waiting else write(tree)
        if plain is not None:
            yield plain, Road(dialect, done)
        repaired: tuple[str, ...] = ()
        for repair in REPAIRS:
            applied = _apply(tree, (repair,), profile, catalog)
            repaired = _joined(repaired, applied)
            if repair.name == "bare_column" and waiting:
                waiting, applied = False, repaired
            candidate = write(tree) if applied and not waiting else None
            if candidate is not None:
                yield candidate, Road(dialect, _joined(done, repaired))
        candidate = write(tree, identify=True)
        if candidate is not None:
            yield candidate, Road(dialect, _joined(done, (*repaired, "reserved_word")))


def translate_after_error(
    translation: Translation, error: str, dialects: tuple[str, ...], bind: Bind, catalog: Catalog
) -> Translation | None:
    """Another candidate after `translation.sql` bound but failed on a value; None where the dialect has none.

    Only conversion errors have a remedy, and only in dialects that compare and cast loosely.
    """
    if translation.sql is None or "onversion" not in error:
        return None
    for dialect in foreign(dialects):
        profile = PROFILES.get(dialect, PROFILES["duckdb"])
        tree = read(translation.sql, "duckdb")
        if tree is None:
            continue
        repaired: tuple[str, ...] = ()
        for repair in RUNTIME:
            if _apply(tree, (repair,), profile, catalog):
                repaired = _joined(repaired, (repair.name,))
                candidate = write(tree)
                if candidate is not None and candidate != translation.sql and bind(candidate) is None:
                    road = translation.road
                    return Translation(candidate, Road(road.dialect, _joined(road.repairs, repaired)), "")
    return None


def read(sql: str, dialect: str) -> exp.Expr | None:
    """The one statement of the text as sqlglot reads it; None where it cannot."""
    try:
        trees = parse_statements(sql, dialect)
    except FAILURES:
        return None
    if len(trees) != 1 or isinstance(trees[0], exp.Command):
        return None
    for node in trees[0].walk():
        # where each name stood in the text: nobody asks, and copying it takes three quarters of copying the tree
        if node._meta is not None:
            node._meta = {key: value for key, value in node._meta.items() if key not in _PLACES} or None
    return trees[0] if dialect in ("sqlite", "duckdb") else without_truncate(trees[0])


def write(tree: exp.Expr, identify: bool = False) -> str | None:
    """The tree as DuckDB text; None where sqlglot cannot say it."""
    try:
        return write_duckdb(tree, identify=identify)
    except FAILURES:
        return None


def _apply(tree: exp.Expr, repairs: tuple[Repair, ...], profile: Profile, catalog: Catalog) -> tuple[str, ...]:
    resolver = Resolver(catalog)
    return tuple(one.name for one in repairs if one.allowed(profile) and one.apply(tree, resolver, profile))


def _joined(first: tuple[str, ...], then: tuple[str, ...]) -> tuple[str, ...]:
    return first + tuple(name for name in then if name not in first)


def _strings_unquoted(sql: str, catalog: Catalog) -> str:
    """Double-quoted words that name no column, table or alias anywhere, as string literals."""
    tokens = scan(sql)
    parts = [token for token in tokens if token.kind not in ("space", "comment")]
    named = {parts[i + 1].text.strip('"').lower() for i in range(len(parts) - 1) if parts[i].upper == "AS"}
    changes: dict[int, str] = {}
    for index, token in enumerate(parts):
        if token.kind != QUOTED or token.text[0] != '"':
            continue
        name = token.text[1:-1].replace('""', '"').lower()
        around = (parts[index - 1].text if index else "", parts[index + 1].text if index + 1 < len(parts) else "")
        if "." in around or name in named or name in catalog or catalog.column_classes(name):
            continue
        changes[token.start] = as_string(token.text)
    return "".join(changes.get(token.start, token.text) for token in tokens) if changes else sql
