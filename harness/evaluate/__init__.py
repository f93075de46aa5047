"""One pass over a benchmark: answers from a model or a file, verdicts, totals, a stored run."""

from harness.evaluate.predictions import Predictions, read_predictions
from harness.evaluate.totals import Totals

__all__ = ["Predictions", "Totals", "read_predictions"]
