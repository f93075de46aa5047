"""The frozen facts that travel between the rooms: no I/O, no behaviour beyond reading themselves.

Floor 1: imports nothing of the package. Lists are tuples, so that a record can be hashed, sent to a worker and
written down without a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

RULES = ("default", "strict", "lenient", "bird", "test_suite")
"""The comparison rules, all judged from one execution; `default` is the headline (design section 5)."""

RunKind = Literal["base", "adapter", "whole", "served", "predictions"]
"""What answered: the base, an adapter over it, a model folder of its own, a server's model, a file made elsewhere."""


class Outcome(StrEnum):
    """What became of one item; exactly one each, counted per checkpoint."""

    CORRECT = "correct"
    VACUOUS_MATCH = "vacuous_match"
    NO_SQL = "no_sql"
    TRUNCATED = "truncated"
    MULTIPLE_STATEMENTS = "multiple_statements"
    SYNTAX_ERROR = "syntax_error"
    UNKNOWN_TABLE = "unknown_table"
    UNKNOWN_COLUMN = "unknown_column"
    TYPE_ERROR = "type_error"
    RUNTIME_ERROR = "runtime_error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    TOO_MANY_ROWS = "too_many_rows"
    FORBIDDEN = "forbidden"
    WRONG_COLUMN_COUNT = "wrong_column_count"
    WRONG_ROW_COUNT = "wrong_row_count"
    WRONG_ORDER = "wrong_order"
    WRONG_MULTIPLICITY = "wrong_multiplicity"
    WRONG_VALUES = "wrong_values"
    WRONG_STATE = "wrong_state"
    GOLD_UNLOADABLE = "gold_unloadable"
    GOLD_ERROR = "gold_error"
    GOLD_UNSTABLE = "gold_unstable"

    @property
    def is_match(self) -> bool:
        """True where the default rule calls the prediction right."""
        return self in (Outcome.CORRECT, Outcome.VACUOUS_MATCH)

    @property
    def is_gold_fault(self) -> bool:
        """True where the benchmark is to blame: the item is not scored, and counted aloud."""
        return self in (Outcome.GOLD_UNLOADABLE, Outcome.GOLD_ERROR, Outcome.GOLD_UNSTABLE)


@dataclass(frozen=True, slots=True)
class Database:
    """Where an item's tables come from; `key` names it in caches, so equal keys mean equal contents."""

    key: str
    """Content digest (hex) of the script, or of the database file."""
    script: str = ""
    """CREATE TABLE / INSERT statements in the benchmark's dialect; empty where `path` is given."""
    path: str = ""
    """An SQLite or DuckDB file, materialised once a worker; empty where `script` is given."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark."""

    id: str
    question: str
    context: str
    """Schema text as the benchmark ships it (CREATE TABLE, perhaps INSERT): what a prompt may show."""
    golds: tuple[str, ...]
    """Acceptable gold statements, at least one."""
    database: Database
    cluster: str = ""
    """Questions of one schema share it: the unit of the cluster bootstrap (database id, else the item's id)."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Slices of the benchmark: domain, complexity, task_type ... (only what the data set has)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model answered to one item."""

    id: str
    completion: str
    """Decoded output tokens, special tokens left out."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    """Sampled tokens, the stop token included."""
    finished: bool = True
    """False: cut at max_new_tokens before a stop token."""
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Road:
    """How a statement reached DuckDB."""

    dialect: str = "duckdb"
    """`duckdb` = as written; else the sqlglot dialect it was read in."""
    repairs: tuple[str, ...] = ()
    """Named repairs, in the order applied."""

    def __str__(self) -> str:
        """The road as one word for counting: `duckdb`, `mysql`, `mysql+bare_column` ..."""
        return "+".join((self.dialect, *self.repairs))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one prediction; all rules from one execution."""

    id: str
    outcome: Outcome
    reason: str
    """One sentence a person can act on; empty only for `correct`."""
    sql: str = ""
    """What was taken from the completion as SQL."""
    matches: Mapping[str, bool | None] = field(default_factory=dict)
    """Rule name -> match; None where the gold could not be scored."""
    suite_match: bool | None = None
    """Same answer on the shipped rows and on every witness database; None where no suite was asked for or possible."""
    suite_witness: int | None = None
    """Index of the first witness that told gold and prediction apart."""
    discriminating: bool | None = None
    """The item's witnesses tell its golds from trivial queries; None where there are none."""
    string_match: bool = False
    exact_match: bool = False
    structural_match: bool = False
    gold_index: int = 0
    """Which of the acceptable golds the verdict refers to (the matching one, else the first)."""
    gold_road: str = ""
    road: str = ""
    gold_rows: int | None = None
    rows: int | None = None
    execute_seconds: float = 0.0
    """Wall seconds the prediction ran in DuckDB (0 where it did not run)."""
    answer_digest: str = ""
    """Digest (16 hex digits) of the prediction's answer as a bag of rows: equal digests are one vote of a majority."""
    table: str = ""
    """The prediction's answer as JSON `{"columns", "rows", "total", "only"}`, cut; "" where it equals the gold's. Rows
    that the other table lacks come first, `only` says how many of those shown they are, `total` counts the rows."""
    gold_table: str = ""
    """The gold's answer, likewise."""
    witness_case: str = ""
    """JSON `{"witness", "inserts", "gold", "answer"}` of the witness that exposes a lucky match."""
    remembered: bool = field(default=False, compare=False)
    """Given in an earlier run to the same prediction, by the same judges: nothing ran or was timed here."""

    @property
    def execution_match(self) -> bool | None:
        """The headline: the default rule's verdict."""
        return self.matches.get("default")


@dataclass(frozen=True, slots=True)
class Speed:
    """Counts and seconds of one timed generation; every rate is derived from these, never stored alone."""

    prompt_tokens: int
    """Tokens of real prompt, padding left out."""
    output_tokens: int
    padded_tokens: int
    """Prompt positions filled with padding."""
    generate_seconds: float
    """Wall seconds inside generation, device synchronised at both ends."""
    prefill_seconds: float | None = None
    decode_seconds: float | None = None
    peak_memory_bytes: int | None = None
    energy_joules: float | None = None
    tokenise_seconds: float | None = None
    """Wall seconds of turning prompts into tokens; outside of generate_seconds."""
    compile_seconds: float | None = None
    """Wall seconds of warming up, compiling and capturing; outside of generate_seconds."""
    decode_steps: int | None = None
    """Steps of the model after prefill, each for all rows at once."""
    launches_per_step: float | None = None
    """Operations the host starts for one decode step; 1 for one captured graph."""
    first_token_seconds: Mapping[str, float] | None = None
    """p50, p90, p99 of the time from a prompt being taken up to its first token."""
    token_seconds: Mapping[str, float] | None = None
    """p50, p90, p99 of the time between two tokens of one answer."""

    @property
    def output_tokens_per_second(self) -> float | None:
        """Output tokens over all generation seconds (prefill included); None where nothing was timed."""
        return self.output_tokens / self.generate_seconds if self.generate_seconds > 0 else None


@dataclass(frozen=True, slots=True)
class Machine:
    """What ran this; unknown facts are None or empty, never guessed."""

    gpu: str = ""
    gpu_count: int = 0
    gpu_memory_bytes: int | None = None
    compute_capability: str = ""
    driver: str = ""
    cuda: str = ""
    power_limit_watts: float | None = None
    sm_clock_mhz: int | None = None
    max_sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None
    """Drawn as the record was made."""
    throttle_reasons: tuple[str, ...] = ()
    cpu: str = ""
    cpu_count: int = 0
    memory_bytes: int | None = None
    platform: str = ""
    python: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    """Git commit of the code that ran, `+changes` behind it where the tree was not clean."""

    @property
    def name(self) -> str:
        """The hardware in a few words: what a table of speeds groups by."""
        if self.gpu:
            return f"{self.gpu_count} x {self.gpu}" if self.gpu_count > 1 else self.gpu
        return f"{self.cpu or 'CPU'} ({self.cpu_count} cores)"


@dataclass(frozen=True, slots=True)
class Run:
    """One model's stored evaluation: `run.json` as a record (the items lie beside it in Parquet)."""

    id: str
    model: str
    """What people call it: `base`, `checkpoint-120`, `merged` ..."""
    facts: Mapping[str, Any]
    """The whole of run.json: experiment, digests, decoding, machine, timings, totals."""
    path: str
