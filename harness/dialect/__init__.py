"""From a benchmark's dialect to DuckDB: the same road for gold, context and prediction, and a record of it.

A connection that runs a benchmark first runs `settings_of(dialects)` (NULL order, integer division ... of the
benchmark's first dialect), then `translate_schema` or `materialise_file`, then `translate` for each statement.
"""

from harness.dialect.catalog import Catalog, ForeignKey, quote, read_catalog
from harness.dialect.database_file import FileKind, file_kind, file_schema_text, materialise_file
from harness.dialect.declared import declared_catalog
from harness.dialect.duckdb_file import duckdb_tables, open_duckdb
from harness.dialect.profile import Profile, profile_of, settings_of
from harness.dialect.running import NoRoadError, binder, run_translated
from harness.dialect.schema import SchemaLoad, plain_schema, translate_schema
from harness.dialect.sqlite_file import materialise_sqlite, open_sqlite, sqlite_schema_text, sqlite_tables
from harness.dialect.translate import Bind, Translation, translate, translate_after_error

__all__ = [
    "Bind",
    "Catalog",
    "FileKind",
    "ForeignKey",
    "NoRoadError",
    "Profile",
    "SchemaLoad",
    "Translation",
    "binder",
    "declared_catalog",
    "duckdb_tables",
    "file_kind",
    "file_schema_text",
    "materialise_file",
    "materialise_sqlite",
    "open_duckdb",
    "open_sqlite",
    "plain_schema",
    "profile_of",
    "quote",
    "read_catalog",
    "run_translated",
    "settings_of",
    "sqlite_schema_text",
    "sqlite_tables",
    "translate",
    "translate_after_error",
    "translate_schema",
]
