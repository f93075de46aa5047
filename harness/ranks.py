"""The processes that do one job together: who this one is, and waiting for the others. accelerate does the talking.

One process is the rule, and then nothing here imports torch. Several are started by `accelerate launch` (or torchrun),
which sets WORLD_SIZE and ends all of them when one dies; what each has written by then is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

_PATIENCE = timedelta(days=1)
"""How long ranks wait for each other: scoring a slow shard is no fault, and a dead rank is told by the launcher."""
_T = TypeVar("_T")


class Ranks:
    """One process, alone."""

    index = 0
    count = 1

    @property
    def first(self) -> bool:
        """True for the one that joins, writes records and speaks."""
        return self.index == 0

    def wait(self) -> None:
        """Go on when every rank has come here."""

    def agree(self, value: _T) -> _T:
        """What the first rank gives, for all (a value that pickles)."""
        return value

    def any(self, value: bool) -> bool:
        """Whether it is so on any rank, for all."""
        return value


ALONE = Ranks()


class _Launched(Ranks):
    """One of several processes, connected by torch.distributed."""

    def __init__(self, on_cpu: bool) -> None:
        from accelerate import PartialState

        # on a GPU this also makes the rank's own GPU the current one
        self._state = PartialState(cpu=on_cpu, timeout=_PATIENCE)
        self.index: int = self._state.process_index
        self.count: int = self._state.num_processes

    def wait(self) -> None:
        """Go on when every rank has come here."""
        self._state.wait_for_everyone()

    def agree(self, value: Any) -> Any:
        """What the first rank gives, for all."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value], from_process=0)[0]

    def any(self, value: bool) -> bool:
        """Whether it is so on any rank, for all."""
        import torch
        from accelerate.utils import reduce

        return bool(reduce(torch.tensor(int(value), device=self._state.device), "sum"))


def ranks(environment: Mapping[str, str], device: str) -> Ranks:
    """Return this process among those the launcher started; `device` is `model.device` of the experiment."""
    if int(environment.get("WORLD_SIZE") or 1) <= 1:
        return ALONE
    if device == "cpu":
        return _Launched(on_cpu=True)
    import torch

    return _Launched(on_cpu=not torch.cuda.is_available())
