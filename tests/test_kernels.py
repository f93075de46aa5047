"""The GPU's kernels compute what plain torch computes; run here by Triton's interpreter, which needs no GPU."""

from __future__ import annotations

import sys

import pytest
import torch
from test_engine import FAMILIES

from harness.generate.engine.decoder import Decoder
from harness.generate.engine.shape import read_shape
from harness.generate.engine.state import State

if sys.platform != "linux":
    pytest.skip("Triton is made for Linux alone", allow_module_level=True)

from harness.generate.engine import kernels, single
from harness.generate.engine.fused import Fused
from harness.generate.engine.single import SingleStep

CHOSEN = ("gemma3", "qwen2")
"""Norms of heads and after products, gelu and a scaled embedding; biases, silu and groups of heads."""


def decoder(family: str) -> Decoder:
    torch.manual_seed(0)
    model = FAMILIES[family]().eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)  # norms and biases of their own
    made = Decoder(model, read_shape(model), 2, 24, 8)
    made.state.set_stops([1])
    return made


def near(first, second):
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)


@pytest.fixture(autouse=True)
def _few_programs(monkeypatch):
    """Interpreted, a program takes milliseconds."""
    monkeypatch.setattr(kernels, "SPLITS", 2)
    monkeypatch.setattr(single, "PROGRAMS", 2)
    shares = {"ask": (16, 4, 2), "join_out": (16, 8, 2), "gate": (16, 2, 3), "fall": (16, 8, 2), "head": (64, 8, 0)}
    monkeypatch.setattr(single, "TILES", shares)


@pytest.mark.parametrize("family", CHOSEN)
def test_reading_and_stepping_by_kernels_is_reading_and_stepping_by_torch(family):
    plain, fused = decoder(family), decoder(family)
    fused._pieces = Fused(fused.shape)
    for one in (plain, fused):
        one.read([0, 1], [[5, 9, 7], [11, 4]], [6, 6])
        one.step([0, 1], 1)
    assert plain.state.take([0, 1]) == fused.state.take([0, 1])
    for ours, theirs in zip(fused._surroundings, plain._surroundings, strict=True):
        near(ours.keys[:2], theirs.keys[:2])
        near(ours.values[:2], theirs.values[:2])


@pytest.mark.parametrize("family", CHOSEN)
def test_a_single_sequence_is_stepped_by_its_own_kernels_as_by_torch(family):
    plain, alone = decoder(family), decoder(family)
    for one in (plain, alone):
        one.read([0], [[5, 9, 7, 3]], [8])
    step = SingleStep(alone.shape, alone.weights, torch.device("cpu"))
    slots = torch.zeros(1, dtype=torch.int64)
    plain.step([0], 1)
    tokens, lengths = alone.state.inputs(slots)
    alone.state.advance(slots, step.choose(tokens, lengths, slots, alone._surroundings))
    assert plain.state.take([0]) == alone.state.take([0])
    near(alone._surroundings[-1].keys[0], plain._surroundings[-1].keys[0])


def test_the_first_of_equal_logits_is_chosen():
    logits = torch.zeros((2, 5000))
    logits[0, [4097, 4100]] = 2.0
    logits[1, 17] = -1.0
    assert kernels.argmax(logits).tolist() == [4097, 0]


def test_the_state_advances_by_its_kernel_as_by_torch():
    def state() -> State:
        made = State(slots=4, new=3, vocabulary=50, device=torch.device("cpu"))
        made.set_stops([7])
        made.begin(torch.arange(4), torch.tensor([5, 6, 7, 8]), [3, 4, 5, 6], [3, 2, 3, 1])
        return made

    plain, by_kernel = state(), state()
    slots = torch.tensor([0, 1, 2, 3, 4])
    held = ("_stops", "_done", "_token", "_length", "_made", "_limit", "_out")
    for chosen in ([9, 7, 1, 2, 0], [4, 4, 4, 4, 0], [7, 7, 7, 7, 0]):
        theirs = kernels.inputs(slots, by_kernel._done, by_kernel._token, by_kernel._length)
        for ours, same in zip(plain.inputs(slots), theirs, strict=True):
            assert ours.tolist() == same.tolist()
        plain.advance(slots, torch.tensor(chosen))
        kernels.advance(slots, torch.tensor(chosen), *(getattr(by_kernel, name) for name in held))
        for name in held:
            assert torch.equal(getattr(plain, name)[:4], getattr(by_kernel, name)[:4]), name
