"""Fine-tune, evaluate and time language models for text-to-SQL.

The public names are loaded when they are first used: `score`, `audit`, `compare`, `load_run`.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "audit": ("harness.scoring", "audit"),
    "compare": ("harness.comparison", "compare"),
    "load_run": ("harness.store", "find_run"),
    "score": ("harness.scoring", "score"),
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Load a public name from its room."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    room, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(room), attribute)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
