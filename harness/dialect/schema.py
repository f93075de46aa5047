"""A benchmark's CREATE TABLE / INSERT script into DuckDB, statement by statement, each by the first road that works.

As for queries: the text (with the first dialect's meaning: 64-bit reals), then each dialect's reading by sqlglot, plain
and then with the repairs of `schema_repairs` one after the other. Beyond single statements: a table created twice has
the columns of both; statements about the session (SET, USE, BEGIN, LOCK ...) are passed over; where rows break a
foreign key that the dialect does not enforce, the script is loaded once more without foreign keys.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from sqlglot import exp

from harness.dialect.catalog import quote
from harness.dialect.profile import Profile, foreign, profile_of
from harness.dialect.schema_repairs import SCHEMA_REPAIRS, Definition, foreign_key
from harness.dialect.translate import read, write
from harness.dialect.words import without_default_schema
from harness.records import Road
from harness.sqltext import Kind, parseable, split_statements, statement_kind
from harness.sqltext.scan import QUOTED, WORD, scan, significant

Run = Callable[[str], str | None]
"""Runs a statement; DuckDB's error message, None where it ran."""

_CREATE = re.compile(r"\s*CREATE\s+(?:TEMP(?:ORARY)?\s+)?TABLE\s", re.IGNORECASE)
_PLAIN = re.compile(r"\s*(?:CREATE\s+TABLE|INSERT\s+INTO)\s", re.IGNORECASE)
_REALS = re.compile(r"\b(?:REAL|FLOAT4?)\b", re.IGNORECASE)
_EXISTS = re.compile(r'Table with name "?([^"!]+)"? already exists')
_NO_SCHEMA = re.compile(r'[Ss]chema (?:with name )?"?([^"!.]+?)"? does not exist')
_NO_KEY = re.compile(r"NOT NULL constraint failed: ([\w ]+)\.([\w ]+)")


@dataclass(frozen=True, slots=True)
class SchemaLoad:
    """What became of a script."""

    statements: tuple[str, ...]
    """What ran in DuckDB, in order: running these again loads the same tables without translating."""
    roads: tuple[Road, ...]
    """One road for each statement of the script that ran or was passed over."""
    errors: tuple[str, ...]
    """DuckDB's words, one for each statement that could not be loaded; empty: the script is loaded."""


@lru_cache(maxsize=64)
def plain_schema(script: str, dialects: tuple[str, ...]) -> tuple[str, ...] | None:
    """The script's statements as they are tried first, where each of them makes or fills a table; else None.

    Should DuckDB take them all, they are what `translate_schema` would have run.
    """
    profile = profile_of(dialects)
    pieces = split_statements(script)
    return tuple([_with_meaning(piece, profile)[0] for piece in pieces]) if all(map(_PLAIN.match, pieces)) else None


def translate_schema(script: str, dialects: tuple[str, ...], run: Run) -> SchemaLoad:
    """Runs the script's statements through `run`, each by the first road that works."""
    loader = _Loader(dialects, run)
    loader.load(script)
    lenient = any(profile_of((dialect,)).loose_types for dialect in dialects)
    if lenient and any("foreign key constraint" in error for error in loader.errors):
        again = _Loader(dialects, run, keys=False)
        if loader.forget():
            again.load(script)
            return again.result()
    return loader.result()


@dataclass(slots=True)
class _Loader:
    dialects: tuple[str, ...]
    run: Run
    keys: bool = True
    done: list[str] = field(default_factory=list)
    roads: list[Road] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)

    def load(self, script: str) -> None:
        profile = profile_of(self.dialects)
        for statement in split_statements(script):
            text, meant = _with_meaning(statement, profile)
            if not self.keys and (without := _without_keys(text, self.dialects)) is not None:
                text, meant = without, (*meant, "foreign_key")
            error = self._first(text, meant)
            if error is not None:
                self.errors.append(error)

    def result(self) -> SchemaLoad:
        return SchemaLoad(tuple(self.done), tuple(self.roads), tuple(self.errors))

    def forget(self) -> bool:
        """Drops the tables again, the last first; False where one will not go."""
        return all(self.run(f"DROP TABLE IF EXISTS {name}") is None for name in reversed(self.tables))

    def _take(self, statements: list[str], road: Road) -> str | None:
        for statement in statements:
            error = self.run(statement)
            if error is not None:
                return error
        self.done += statements
        self.roads.append(road)
        name = _created(statements[-1]) if statements else None
        if name is not None:
            self.tables.append(name)
        return None

    def _first(self, text: str, meant: tuple[str, ...]) -> str | None:
        """Runs the first candidate that DuckDB takes; its words about the text where none is taken."""
        kind = statement_kind(text)
        if kind is Kind.FORBIDDEN or kind is Kind.READ:
            # it changes no table: BEGIN, SET, or a SELECT that shows what was made
            self.roads.append(Road("duckdb", ("session_statement",)))
            return None
        error = self._take([text], Road("duckdb", meant))
        if error is None or not parseable(text):
            return error
        seen = {text}
        for statements, road in (*self._after(text, error), *_candidates(text, self.dialects, meant)):
            if len(statements) == 1 and statements[0] in seen:
                continue
            seen.update(statements)
            if self._take(statements, road) is None:
                return None
        return error

    def _after(self, text: str, error: str) -> Iterator[tuple[list[str], Road]]:
        """Candidates that the error itself calls for."""
        twice = _EXISTS.search(error)
        if twice is not None:
            columns = _missing_columns(text, twice.group(1), self.dialects)
            yield columns, Road("duckdb", ("created_twice",))
        schema = _NO_SCHEMA.search(error)
        if schema is not None:
            plain = without_default_schema(text, self.dialects)
            if plain != text:
                yield [plain], Road("duckdb", ("default_schema",))
            yield [f"CREATE SCHEMA IF NOT EXISTS {quote(schema.group(1))}", text], Road("duckdb", ("missing_schema",))
        missing = _NO_KEY.search(error)
        if missing is not None:
            table, column = missing.groups()
            sequence = f'"{table}_{column}_seq"'
            default = f'ALTER TABLE "{table}" ALTER "{column}" SET DEFAULT nextval(\'{sequence}\')'
            yield [f"CREATE SEQUENCE IF NOT EXISTS {sequence}", default, text], Road("duckdb", ("auto_increment",))


def _candidates(text: str, dialects: tuple[str, ...], meant: tuple[str, ...]) -> Iterator[tuple[list[str], Road]]:
    for dialect in foreign(dialects):
        tree = read(text, dialect)
        if tree is None:
            continue
        definition = Definition(tree)
        plain = write(tree)
        if plain is not None:
            yield [plain], Road(dialect, meant)
        repaired = meant
        for repair in SCHEMA_REPAIRS:
            if repair.apply(definition):
                repaired = (*repaired, repair.name)
                candidate = write(tree)
                if candidate is not None:
                    yield [*definition.before, candidate], Road(dialect, repaired)
        candidate = write(tree, identify=True)
        if candidate is not None:
            yield [*definition.before, candidate], Road(dialect, (*repaired, "reserved_word"))


def _with_meaning(statement: str, profile: Profile) -> tuple[str, tuple[str, ...]]:
    """The statement with REAL and FLOAT of a CREATE TABLE as 64-bit numbers, where the dialect has them so."""
    if not profile.wide_reals or not _CREATE.match(statement) or not _REALS.search(statement):
        return statement, ()
    tokens = significant(statement)
    changes = set()
    for before, token in itertools.pairwise(tokens):
        if token.kind == WORD and token.upper in ("REAL", "FLOAT", "FLOAT4") and before.kind in (WORD, QUOTED):
            changes.add(token.start)
    if not changes:
        return statement, ()
    text = "".join("DOUBLE" if token.start in changes else token.text for token in scan(statement))
    return text, ("real_is_double",)


def _without_keys(text: str, dialects: tuple[str, ...]) -> str | None:
    """The CREATE TABLE without its foreign keys; None where it has none."""
    if not _CREATE.match(text) or not parseable(text):
        return None
    for dialect in ("duckdb", *dialects):
        tree = read(text, dialect)
        if tree is not None:
            return write(tree) if foreign_key(Definition(tree)) else None
    return None


def _created(statement: str) -> str | None:
    """The quoted name of the table a CREATE TABLE made."""
    if not _CREATE.match(statement):
        return None
    words = [token for token in significant(statement)[:8] if token.kind in (WORD, QUOTED)]
    names = [
        token.text
        for token in words
        if token.upper not in ("CREATE", "TEMP", "TEMPORARY", "TABLE", "IF", "NOT", "EXISTS")
    ]
    return names[0] if names else None


def _missing_columns(text: str, table: str, dialects: tuple[str, ...]) -> list[str]:
    """ALTER TABLE statements that add the columns of a second CREATE TABLE to the first."""
    for dialect in ("duckdb", *dialects):
        tree = read(text, dialect)
        if isinstance(tree, exp.Create) and isinstance(tree.this, exp.Schema):
            columns = [one for one in tree.this.expressions if isinstance(one, exp.ColumnDef)]
            kinds = [
                (one.name, one.args["kind"].sql("duckdb") if one.args.get("kind") else "VARCHAR") for one in columns
            ]
            return [f'ALTER TABLE "{table}" ADD COLUMN IF NOT EXISTS "{name}" {kind}' for name, kind in kinds]
    return []
