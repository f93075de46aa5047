"""The catalog that CREATE TABLE statements of DuckDB's dialect declare, read from their tokens.

Asking DuckDB for its columns takes longer than most statements run, and most schemas are a few plain declarations.
Whatever is not plain (views, CREATE ... AS, ALTER, a type by an unusual name) is left to DuckDB: the answer is None.
"""

from __future__ import annotations

import re
from functools import lru_cache

from harness.dialect.catalog import Catalog
from harness.sqltext.scan import NUMBER, QUOTED, WORD, Token, significant

_TYPES = {
    **dict.fromkeys(("INT", "INTEGER", "INT4", "SIGNED"), "INTEGER"),
    **dict.fromkeys(("BIGINT", "INT8"), "BIGINT"),
    **dict.fromkeys(("SMALLINT", "INT2"), "SMALLINT"),
    **dict.fromkeys(("TEXT", "VARCHAR", "STRING", "CHAR"), "VARCHAR"),
    **dict.fromkeys(("DOUBLE", "FLOAT8"), "DOUBLE"),
    **dict.fromkeys(("REAL", "FLOAT", "FLOAT4"), "FLOAT"),
    **dict.fromkeys(("BOOLEAN", "BOOL"), "BOOLEAN"),
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIME", "HUGEINT", "TINYINT"), ""),
    **dict.fromkeys(("DECIMAL", "NUMERIC"), "DECIMAL"),
}
"""Type as written -> DuckDB's name of it ("": the same); width and scale are not looked at."""
_TABLE_WORDS = frozenset(["PRIMARY", "FOREIGN", "UNIQUE", "CHECK", "CONSTRAINT"])
_FILLS = re.compile(r"\s*INSERT\s+INTO\b", re.IGNORECASE)


@lru_cache(maxsize=64)
def declared_catalog(statements: tuple[str, ...]) -> Catalog | None:
    """Tables and columns after these statements; None where they hold anything but plain CREATE TABLE and INSERT."""
    tables: dict[str, dict[str, str]] = {}
    for sql in statements:
        if _FILLS.match(sql):
            continue
        found = _declared(significant(sql))
        if found is None or found[0].lower() in tables:
            return None
        tables[found[0].lower()] = found[1]
    return Catalog(tables)


def _declared(tokens: list[Token]) -> tuple[str, dict[str, str]] | None:
    """(table, columns) of one plain CREATE TABLE."""
    words = [token.upper for token in tokens[:5]]
    at = 5 if words[2:5] == ["IF", "NOT", "EXISTS"] else 2
    if words[:2] != ["CREATE", "TABLE"] or len(tokens) < at + 4 or tokens[at + 1].text != "(" or tokens[-1].text != ")":
        return None
    table = _name(tokens[at])
    columns: dict[str, str] = {}
    for item in _items(tokens[at + 2 : -1]):
        if not item:
            return None
        if item[0].kind == WORD and item[0].upper in _TABLE_WORDS:
            continue
        column = _name(item[0])
        kind = _type(item)
        if column is None or kind is None or column.lower() in map(str.lower, columns):
            return None
        columns[column] = kind
    return (table, columns) if table is not None and columns else None


def _items(tokens: list[Token]) -> list[list[Token]]:
    """The tokens between the commas outside brackets."""
    items: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            return [[]]
        if token.text == "," and depth == 0:
            items.append([])
        else:
            items[-1].append(token)
    return items


def _name(token: Token) -> str | None:
    if token.kind == WORD:
        return token.text
    return token.text[1:-1].replace('""', '"') if token.kind == QUOTED and token.text[0] == '"' else None


def _type(item: list[Token]) -> str | None:
    """DuckDB's name of a column's type; None where it is none of the plain ones."""
    if len(item) < 2 or item[1].kind != WORD:
        return None
    word = item[1].upper
    kind = _TYPES.get(word)
    following = item[2].text if len(item) > 2 else ""
    if kind is None or following in ("[", "."):
        return None
    if following == "(":
        if len(item) < 5 or item[3].kind != NUMBER:
            return None
        if any(token.text == "[" for token in item[4:8]):
            return None
    return kind or word
