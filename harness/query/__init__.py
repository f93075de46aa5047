"""All stored runs as tables of one read-only DuckDB: what `harness sql` asks.

with open_runs(stored_runs()) as tables:
    tables.ask("SELECT model, execution_accuracy FROM runs ORDER BY started")
"""

from harness.query.columns import TABLES, Column
from harness.query.tables import Answer, Tables, open_runs, stored_runs

__all__ = ["TABLES", "Answer", "Column", "Tables", "open_runs", "stored_runs"]
