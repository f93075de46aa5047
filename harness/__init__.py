"""Fine-tune, evaluate and time language models for text-to-SQL.

The public names are loaded when they are first used: `score`, `audit`, `compare`, `load_run`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.public import audit, compare, load_run, score

__version__ = "0.1.0"
__all__ = ["__version__", "audit", "compare", "load_run", "score"]


def __getattr__(name: str) -> Any:
    """Load a public name from its room."""
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module("harness.public"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
