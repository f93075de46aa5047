"""Golds out of a cache file, read so that a file which somebody else wrote cannot run code.

A pickle may name any function of any module; here it may name the few kinds of value a gold is made of, and nothing
else.
"""

from __future__ import annotations

import io
import pickle
from importlib import import_module
from typing import Any

_KINDS = {
    "builtins": ("bytearray", "complex", "frozenset", "range", "set", "slice"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "uuid": ("SafeUUID", "UUID"),
    "pytz": ("_UTC", "_p"),
    "harness.answer.order": ("OrderPlan",),
    "harness.answer.table": ("Table",),
    "harness.records": ("Outcome",),
    "harness.sqltext.match": ("Form",),
}
_ALLOWED = {(module, name) for module, names in _KINDS.items() for name in names}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The kind of value a pickle names; UnpicklingError for all that no gold is made of."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"a stored gold names {module}.{name}")
        return getattr(import_module(module), name)


def unpacked(data: bytes) -> Any:
    """The value in a pickle of golds; UnpicklingError where it names anything else."""
    return _Reader(io.BytesIO(data)).load()
