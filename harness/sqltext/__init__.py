"""SQL as text: from a completion to a statement, what it would do, and whether it is the gold's twin."""

from harness.sqltext.extract import Extraction, extract
from harness.sqltext.kind import Kind, kind_of_types, split_statements, statement_kind
from harness.sqltext.limits import parseable
from harness.sqltext.match import ExactMatch, exact_match, normal_text

__all__ = [
    "ExactMatch",
    "Extraction",
    "Kind",
    "exact_match",
    "extract",
    "kind_of_types",
    "normal_text",
    "parseable",
    "split_statements",
    "statement_kind",
]
