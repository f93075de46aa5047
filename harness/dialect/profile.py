"""What a dialect means where DuckDB would mean something else, as far as a connection's settings can say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """The meaning of one SQL dialect, laid over DuckDB for gold, context and prediction alike."""

    name: str
    settings: tuple[tuple[str, str], ...] = ()
    """DuckDB settings of the connection, set before the configuration is locked."""
    like_ignores_case: bool = False
    double_quotes: str = "name"
    """`name`; `string`: always a literal (MySQL); `fallback`: a literal where no column has that name (SQLite)."""
    bracket_names: bool = False
    """[name] is a quoted name."""
    bare_columns: bool = False
    """A column outside GROUP BY and aggregates is allowed: some row's value."""
    loose_types: bool = False
    """Text and numbers may be compared and summed."""
    text_affinity: bool = False
    """A number compared with a text column is compared as text (SQLite)."""
    wide_reals: bool = False
    """REAL and FLOAT are 64-bit."""


_NULLS_SMALL = ("default_null_order", "nulls_first_on_asc_last_on_desc")
_NULLS_LARGE = ("default_null_order", "nulls_last_on_asc_first_on_desc")
_WHOLE_DIVISION = ("integer_division", "true")
_ZERO_DIVISION = (("error_on_division_by_zero", "false"), ("ieee_floating_point_ops", "false"))
"""x / 0 is NULL."""
_ANY_CASE = ("default_collation", "nocase")

PROFILES = {
    "duckdb": Profile("duckdb"),
    "sqlite": Profile(
        "sqlite",
        settings=(
            _NULLS_SMALL,
            _WHOLE_DIVISION,
            *_ZERO_DIVISION,
            ("scalar_subquery_error_on_multiple_rows", "false"),
            ("order_by_non_integer_literal", "true"),
        ),
        like_ignores_case=True,
        double_quotes="fallback",
        bracket_names=True,
        bare_columns=True,
        loose_types=True,
        text_affinity=True,
        wide_reals=True,
    ),
    "mysql": Profile(
        "mysql",
        settings=(_NULLS_SMALL, _ANY_CASE, *_ZERO_DIVISION, ("order_by_non_integer_literal", "true")),
        like_ignores_case=True,
        double_quotes="string",
        bare_columns=True,
        loose_types=True,
        wide_reals=True,
    ),
    "postgres": Profile("postgres", settings=(_NULLS_LARGE, _WHOLE_DIVISION)),
    "tsql": Profile(
        "tsql", settings=(_NULLS_SMALL, _WHOLE_DIVISION, _ANY_CASE), like_ignores_case=True, bracket_names=True
    ),
    "snowflake": Profile("snowflake", settings=(_NULLS_LARGE,)),
    "bigquery": Profile("bigquery", settings=(_NULLS_SMALL,)),
}


def profile_of(dialects: tuple[str, ...]) -> Profile:
    """The profile of a benchmark: its first dialect says what statements mean, the others how they may be spelt."""
    return PROFILES.get(dialects[0] if dialects else "duckdb", PROFILES["duckdb"])


def foreign(dialects: tuple[str, ...]) -> tuple[str, ...]:
    """The dialects that need reading: all but DuckDB's own, in which the text has been tried already."""
    return tuple(dialect for dialect in dialects if dialect != "duckdb")


def settings_of(dialects: tuple[str, ...]) -> tuple[str, ...]:
    """The SET statements every connection of the benchmark runs first, before its configuration is locked."""
    return tuple(f"SET {name} = '{value}'" for name, value in profile_of(dialects).settings)
