"""sqlglot's reading of a text and writing of a tree, its tools kept: making them anew costs a third of the time."""

from __future__ import annotations

import threading
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.generator import Generator
from sqlglot.parser import Parser
from sqlglot.tokens import Tokenizer

FAILURES = (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What sqlglot raises at text it cannot read or a tree it cannot say."""

_kept = threading.local()


def parse_statements(sql: str, dialect: str) -> list[exp.Expr]:
    """The statements of a text as trees. Raises one of `FAILURES`; ask `parseable` first of text from strangers."""
    readers: dict[str, tuple[Tokenizer, Parser]] | None = getattr(_kept, "readers", None)
    if readers is None:
        readers = _kept.readers = {}
    if dialect not in readers:
        chosen = Dialect.get_or_raise(dialect)
        readers[dialect] = chosen.tokenizer(), chosen.parser()
    tokenizer, parser = readers[dialect]
    trees = parser.parse(tokenizer.tokenize(sql), sql)
    # a semicolon with a comment behind it comes as a node of its own
    return [tree for tree in trees if tree is not None and not isinstance(tree, exp.Semicolon)]


@lru_cache(maxsize=64)
def parsed(sql: str, dialect: str) -> tuple[exp.Expr, ...]:
    """As `parse_statements`, kept for a while: nobody may change these trees."""
    return tuple(parse_statements(sql, dialect))


def write_duckdb(tree: exp.Expr, *, identify: bool = False, copy: bool = True) -> str:
    """The tree in DuckDB's dialect, without comments; `identify` quotes every name. Raises one of `FAILURES`.

    `copy=False` is for a tree that nobody reads again: writing may change it.
    """
    writers: dict[bool, Generator] | None = getattr(_kept, "writers", None)
    if writers is None:
        writers = _kept.writers = {}
    if identify not in writers:
        writers[identify] = Dialect.get_or_raise("duckdb").generator(identify=identify, comments=False)
    return writers[identify].generate(tree, copy=copy)
