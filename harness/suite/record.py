"""A suite as a value: its witnesses, how much they tell, and the key under which it is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import duckdb

VERSION = 1
"""Raised whenever the same item would get other witnesses: part of every cache key."""


@dataclass(frozen=True, slots=True)
class SuiteSettings:
    """How hard a suite is searched for."""

    max_witnesses: int = 8
    candidates: int = 40
    """Witnesses tried at most."""
    patience: int = 15
    """Stop after so many witnesses in a row that told nothing new."""
    max_neighbours: int = 60
    deadline_seconds: float = 2.0
    """A statement is interrupted after this long; witnesses have thirty rows, so only runaways meet it."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a judge needs of a suite: empty tables, the scripts that fill them, and how to make more of these."""

    schema: str
    witnesses: tuple[str, ...]
    tables: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """The kept witnesses of one item, and how much they tell."""

    schema: str = ""
    """CREATE statements in DuckDB's words: the tables the witnesses fill."""
    tables: str = ""
    """What `facts.tables_text` says of these tables: keys that the statements do not state, too."""
    witnesses: tuple[str, ...] = ()
    """Each: INSERT statements (one script) that fill EMPTY tables of the item's schema."""
    strategies: tuple[str, ...] = ()
    """How each witness was made."""
    neighbours: int = 0
    """Neighbours that bind on the schema."""
    killable: int = 0
    """Neighbours that some tried witness told from the gold."""
    killed: int = 0
    """Neighbours that a kept witness tells from the gold."""
    discriminating: bool = False
    """The kept witnesses tell the gold from every trivial query of its own schema."""
    others: int = 0
    """Golds of other items on the schema that were compared."""
    others_missed: int = 0
    """Those of them that some database tells from the gold and no kept witness does."""
    tried: int = 0
    rejected: int = 0
    """Witnesses on which the gold failed, or had no answer of its own."""
    violations: int = 0
    """Witnesses DuckDB refused for a constraint."""
    survivors: tuple[str, ...] = field(default=())
    """`rule: statement` of neighbours no kept witness tells from the gold."""
    reason: str = ""
    """Why there are no witnesses; empty where there are."""

    @property
    def is_discriminating(self) -> bool | None:
        """Told from every trivial query, golds of other items among them; None where there are no witnesses."""
        return self.discriminating and not self.others_missed if self.witnesses else None

    @property
    def trial(self) -> Trial | None:
        """What a judge needs; None where there are no witnesses."""
        return Trial(self.schema, self.witnesses, self.tables) if self.witnesses else None

    @property
    def databases(self) -> tuple[str, ...]:
        """Each witness as a whole database: the statements that make its tables and fill them."""
        return tuple(f"{self.schema}\n{witness}" for witness in self.witnesses)

    def to_json(self) -> str:
        """One JSON document, the same bytes for the same suite."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Suite:
        """A suite read back; raises ValueError, KeyError or TypeError where the text is not one."""
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise TypeError("a suite is a JSON object")
        for name in ("witnesses", "strategies", "survivors"):
            facts[name] = tuple(facts[name])
        return cls(**facts)


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Hex digest of the code and libraries a suite depends on: changed rules must not find old suites."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(f"{VERSION} {duckdb.__version__} {version('sqlglot')}".encode())
    for folder in ("suite", "answer"):
        for file in sorted((package / folder).glob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=16)
def _settings_text(settings: SuiteSettings) -> str:
    return repr(sorted(asdict(settings).items()))


def suite_key(
    contents: str, gold_sql: str, settings: SuiteSettings, others: Sequence[str] = (), prelude: Sequence[str] = ()
) -> str:
    """Hex digest of everything a suite depends on; `contents` is the digest or the text of schema and shipped rows."""
    facts = (code_digest(), contents, gold_sql, _settings_text(settings), tuple(others), tuple(prelude))
    return hashlib.sha256(repr(facts).encode()).hexdigest()
