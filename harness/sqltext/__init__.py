"""SQL as text: from a completion to a statement, what it would do, and whether it is the gold's twin."""

from harness.sqltext.extract import Extraction, extract
from harness.sqltext.kind import Kind, kind_of_types, split_statements, statement_kind
from harness.sqltext.limits import parseable
from harness.sqltext.match import ExactMatch, Form, exact_match, form_of, match_form, normal_text
from harness.sqltext.parsing import parse_statements, parsed, write_duckdb

__all__ = [
    "ExactMatch",
    "Extraction",
    "Form",
    "Kind",
    "exact_match",
    "extract",
    "form_of",
    "kind_of_types",
    "match_form",
    "normal_text",
    "parse_statements",
    "parseable",
    "parsed",
    "split_statements",
    "statement_kind",
    "write_duckdb",
]
