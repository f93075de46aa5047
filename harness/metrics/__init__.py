"""The judges as modules of Hugging Face's `evaluate`: loadable by path, offline, usable in a Trainer.

    import evaluate, harness.metrics
    both = evaluate.combine([harness.metrics.EXECUTION_ACCURACY, harness.metrics.EXACT_MATCH])
    both.compute(predictions=["SELECT 1"], references=[{"sql": "SELECT 1", "context": ""}])

Each folder holds the script that `evaluate.load` wants; what they share is in `judging`.
"""

from pathlib import Path

EXECUTION_ACCURACY = str(Path(__file__).resolve().parent / "execution_accuracy")
"""Folder for `evaluate.load`: the same answer as the gold, in DuckDB."""
EXACT_MATCH = str(Path(__file__).resolve().parent / "exact_match")
"""Folder for `evaluate.load`: the same statement as the gold, in three grades."""
