"""What each slot of a decoder holds beside its cache: the next id, lengths, limits, and the ids made so far."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Tensor = torch.Tensor


class State:
    """On the device; the last slot is nobody's: rows that fill a batch up point to it."""

    def __init__(self, slots: int, new: int, vocabulary: int, device: torch.device) -> None:
        """Hold `slots` sequences of at most `new` new ids, all of them finished."""

        def zeros(*size: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(size, dtype=dtype, device=device)

        self._new = new
        self._slots = slots
        self._token = zeros(slots + 1)
        """The id that the next step reads."""
        self._length = zeros(slots + 1)
        """Positions in the cache."""
        self._made = zeros(slots + 1)
        """Ids made so far, the first from the prompt included."""
        self._limit = zeros(slots + 1)
        self._done = torch.ones(slots + 1, dtype=torch.bool, device=device)
        self._out = zeros(slots + 1, new + 1, dtype=torch.int32)
        """The last column takes what finished rows would write."""
        self._stops = zeros(vocabulary, dtype=torch.bool)

    def set_stops(self, stops: Sequence[int]) -> None:
        """Say which ids end an answer."""
        self._stops.zero_()
        self._stops[self.placed(stops)] = True

    def begin(self, slots: Tensor, chosen: Tensor, lengths: Sequence[int], limits: Sequence[int]) -> None:
        """Begin sequences in `slots` [rows] with their first ids `chosen` [rows] behind prompts of `lengths`."""
        limit = self.placed([min(limit, self._new) for limit in limits])
        self._out[slots, 0] = chosen.to(self._out.dtype)
        self._token[slots] = chosen
        self._length[slots] = self.placed(lengths)
        self._made[slots] = 1
        self._limit[slots] = limit
        self._done[slots] = self._stops[chosen] | (limit <= 1)

    def inputs(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ids to read and how many positions stand before them; a finished row reads nothing."""
        if slots.is_cuda:
            from harness.generate.engine import kernels  # Triton is there where CUDA is

            return kernels.inputs(slots, self._done, self._token, self._length)
        return self._token[slots], self._length[slots].masked_fill(self._done[slots], 0)

    def advance(self, slots: Tensor, chosen: Tensor) -> None:
        """Note the ids chosen; finished rows stand still."""
        if slots.is_cuda:
            from harness.generate.engine import kernels

            kernels.advance(
                slots, chosen, self._stops, self._done, self._token, self._length, self._made, self._limit, self._out
            )
            return
        done, made = self._done[slots], self._made[slots]
        self._out[slots, made.masked_fill(done, self._new)] = chosen.to(self._out.dtype)
        made = made + (~done).long()
        self._made[slots] = made
        self._length[slots] += (~done).long()
        self._token[slots] = torch.where(done, self._token[slots], chosen)
        self._done[slots] = done | self._stops[chosen] | (made >= self._limit[slots])

    def finished(self) -> list[bool]:
        """Return for each slot whether its sequence is done; waits for the device."""
        return list(self._done[: self._slots].tolist())

    def take(self, slots: Sequence[int]) -> list[list[int]]:
        """Return the ids made in these slots."""
        places = self.placed(slots)
        made, out = self._made[places].tolist(), self._out[places].tolist()
        return [ids[:count] for ids, count in zip(out, made, strict=True)]

    def placed(self, numbers: Sequence[int]) -> Tensor:
        """Return numbers on the device."""
        return torch.as_tensor(list(numbers), dtype=torch.int64).to(self._token.device)
