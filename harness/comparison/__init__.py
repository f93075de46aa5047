"""Runs side by side: paired tests, learning curves, slices and several samples an item.

The folder is called comparison so that the public function `harness.compare` is not hidden by a module of its name.
"""

from harness.comparison.loaded import Answers, load_answers
from harness.comparison.pairs import Comparison, Pair, compare

__all__ = ["Answers", "Comparison", "Pair", "compare", "load_answers"]
