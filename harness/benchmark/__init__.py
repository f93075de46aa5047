"""Benchmarks: a folder, a name or a file of questions -> items with ids, splits and a digest."""

from harness.benchmark.compact import compact_file, compact_script, compact_sqlite
from harness.benchmark.load import Benchmark, load
from harness.benchmark.rows import id_text
from harness.benchmark.sources import is_data_file, read_rows
from harness.benchmark.spider import schema_text
from harness.benchmark.split import Overlap, split_digest

__all__ = [
    "Benchmark",
    "Overlap",
    "compact_file",
    "compact_script",
    "compact_sqlite",
    "id_text",
    "is_data_file",
    "load",
    "read_rows",
    "schema_text",
    "split_digest",
]
