"""Schema + question -> messages: the one place, for training and evaluation alike.

The default wording is the contract with models trained by Google's guide "Fine-Tune Gemma using Hugging Face
Transformers and QLoRA" (text-to-SQL), and is pinned by a test.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from sqlglot import Token, TokenType, tokenize
from sqlglot.errors import TokenError

from harness.benchmark import compact_file, compact_script, schema_text
from harness.config import PromptChoice
from harness.errors import ConfigError
from harness.records import Item

Message = dict[str, str]

GUIDE_SYSTEM = (
    "You are a text to SQL query translator. Users will ask you questions in English and you will generate a SQL "
    "query based on the provided SCHEMA."
)
GUIDE_TEMPLATE = (
    "Given the <USER_QUERY> and the <SCHEMA>, generate the corresponding SQL command to retrieve the desired data, "
    "considering the query's syntax, semantics, and schema constraints.\n\n"
    "<SCHEMA>\n{context}\n</SCHEMA>\n\n<USER_QUERY>\n{question}\n</USER_QUERY>\n"
)
_PLACE = re.compile(r"\{(context|question)\}")


def messages(item: Item, choice: PromptChoice) -> list[Message]:
    """The chat a model is shown for an item: an optional system message and the user's."""
    values = {"context": shown_schema(item, choice), "question": item.question}
    # one pass, so that a question that holds "{context}" stays as it is
    text = _PLACE.sub(lambda place: values[place[1]], template_text(choice.template))
    system = GUIDE_SYSTEM if choice.system == "guide" else choice.system
    return ([{"role": "system", "content": system}] if system else []) + [{"role": "user", "content": text}]


def example(item: Item, choice: PromptChoice) -> tuple[list[Message], str]:
    """What training shows (the very prompt of the evaluation) and the answer it teaches: the first gold."""
    return messages(item, choice), item.golds[0]


def prompt_digest(choice: PromptChoice) -> str:
    """Digest of everything about the prompt but the item: equal digests mean comparable answers."""
    rows = str(choice.sample_rows) if choice.schema_ in ("ddl+rows", "compact") else ""
    parts = (template_text(choice.template), choice.system, choice.schema_, rows)
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()


@lru_cache(maxsize=8)
def template_text(template: str) -> str:
    """The template's text; a ConfigError where its file is missing or lacks a placeholder."""
    if template == "guide":
        return GUIDE_TEMPLATE
    try:
        text = Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The prompt template {template} cannot be read ({error}); name a file or `guide`.") from None
    missing = {"context", "question"} - set(_PLACE.findall(text))
    if missing:
        raise ConfigError(f"The prompt template {template} lacks {{{'} and {'.join(sorted(missing))}}}; put it in.")
    return text


def shown_schema(item: Item, choice: PromptChoice) -> str:
    """The schema text the prompt shows, by `prompt.schema`."""
    if choice.schema_ == "compact":
        path = item.database.path
        return compact_file(path, choice.sample_rows) if path else compact_script(item.context, choice.sample_rows)
    rows = choice.sample_rows if choice.schema_ == "ddl+rows" else 0
    if item.database.path:
        return schema_text(item.database.path, rows)
    if choice.schema_ == "context":
        return item.context
    kept = (_shortened(statement, rows) for statement in _statements(item.context))
    return "\n".join(statement + ";" for statement in kept if statement)


def _shortened(statement: str, rows: int) -> str:
    """A CREATE as it is, an INSERT with its first rows, nothing else."""
    word = statement.lstrip().split(None, 1)[0].upper() if statement.strip() else ""
    if word in ("CREATE", "ALTER"):
        return statement
    return _first_rows(statement, rows) if word == "INSERT" and rows else ""


def _statements(script: str) -> Iterator[str]:
    start = 0
    for token in _tokens(script):
        if token.token_type is TokenType.SEMICOLON:
            yield script[start : token.start].strip()
            start = token.end + 1
    yield script[start:].strip()


def _first_rows(statement: str, rows: int) -> str:
    """An INSERT cut behind its first `rows` tuples of VALUES, its text otherwise untouched."""
    depth = seen = 0
    in_values = False
    for token in _tokens(statement):
        if token.token_type is TokenType.VALUES and depth == 0:
            in_values = True
        elif token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
            seen += in_values and depth == 0
        if seen == rows:
            return statement[: token.end + 1]
    return statement


def _tokens(text: str) -> list[Token]:
    try:
        return tokenize(text, read="mysql")
    except TokenError:
        return []
