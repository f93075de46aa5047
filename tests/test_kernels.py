"""The GPU's kernels compute what plain torch computes; run here by Triton's interpreter, which needs no GPU."""

from __future__ import annotations

import sys

import pytest
import torch
from test_engine import FAMILIES, made

from harness.generate.engine.decoder import Decoder, _pieces
from harness.generate.engine.plain import Plain
from harness.generate.engine.shape import read_shape
from harness.generate.engine.state import State

if sys.platform != "linux":
    pytest.skip("Triton is made for Linux alone", allow_module_level=True)

from harness.generate.engine import kernels, narrow, single
from harness.generate.engine.fused import Fused
from harness.generate.engine.narrow import Narrow, Tile
from harness.generate.engine.single import SingleStep

CHOSEN = ("gemma3", "qwen2")
"""Norms of heads and after products, gelu and a scaled embedding; biases, silu and groups of heads."""
KINDS = (torch.float32, torch.float16)
"""The interpreter multiplies no matrices in bf16."""
TILES = narrow.TILES


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
    monkeypatch.setattr(kernels, "SHARING", {2: 2, 4: 2})
    monkeypatch.setattr(single, "PROGRAMS", 2)
    shares = {"ask": (16, 4, 2), "join_out": (16, 8, 2), "gate": (16, 2, 3), "fall": (16, 8, 2), "head": (64, 8, 0)}
    monkeypatch.setattr(single, "TILES", shares)
    splits = {"qkv": 1, "out": 2, "down": 3, "head": 1}
    monkeypatch.setattr(narrow, "TILES", {name: {2: Tile(16, 32, 16, 4, 2, n)} for name, n in splits.items()})
    monkeypatch.setattr(narrow, "FP32", Tile(16, 32, 16, 4, 2))


@pytest.mark.parametrize(("family", "few"), [*((family, True) for family in FAMILIES), *((f, False) for f in CHOSEN)])
def test_reading_and_stepping_by_kernels_is_reading_and_stepping_by_torch(family, few, monkeypatch):
    if not few:
        monkeypatch.setattr(narrow, "TILES", {name: {} for name in narrow.TILES})
    plain, fused = decoder(family), decoder(family)
    fused._pieces, fused._stepping = Fused(fused.shape), Narrow(fused.shape, torch.device("cpu"))
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


def operands(rows, outputs, width, kind=torch.float32):
    torch.manual_seed(rows)
    return (torch.randn(rows, width) / 4).to(kind), (torch.randn(outputs, width) / 4).to(kind)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(
    ("rows", "outputs", "width", "splits", "parts"),
    [(16, 32, 64, 1, 1), (7, 40, 50, 1, 1), (33, 24, 128, 2, 2), (1, 70, 100, 3, 3), (19, 33, 90, 7, 6)],
)
def test_a_product_shared_out_over_its_inputs_is_the_product(rows, outputs, width, splits, parts, kind):
    x, matrix = operands(rows, outputs, width, kind)
    bias = torch.arange(outputs).to(kind)
    tile = Tile(16, 32, 16, 4, 2, splits)
    plain, biased = (narrow.tiled(x, matrix, b, tile, kernels.IN_TURN) for b in (None, bias))
    assert plain.shape == biased.shape == (parts, rows, outputs)
    wanted = x.double() @ matrix.double().T
    rounding = {"rtol": 2**-11 if parts == 1 and kind == torch.float16 else 1e-5, "atol": 1e-5}
    torch.testing.assert_close(plain.double().sum(0), wanted, **rounding)
    torch.testing.assert_close(biased.double().sum(0), wanted + bias.double(), **rounding)


def test_a_row_of_a_shared_product_does_not_depend_on_the_others():
    x, matrix = operands(19, 40, 90)
    tile = Tile(16, 32, 16, 4, 2, 3)
    before = narrow.tiled(x, matrix, None, tile, kernels.IN_TURN)
    others = torch.full_like(x, float("nan"))
    others[[3, 18]] = x[[3, 18]]
    after = narrow.tiled(others, matrix, None, tile, kernels.IN_TURN)
    assert torch.equal(after[:, [3, 18]], before[:, [3, 18]])
    assert after[:, 4].isnan().all()


@pytest.mark.parametrize("family", ["gemma3", "llama"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_parts_are_added_to_the_stream_as_their_sum_is(family, kind):
    shape = decoder(family).shape
    by_torch, by_kernel = Plain(shape), Narrow(shape, torch.device("cpu"))
    stream, parts = torch.randn(5, 48).to(kind), torch.randn(3, 5, 48)
    weight = torch.rand(48) + 0.5 if shape.gemma else (torch.rand(48) + 0.5).to(kind)
    norm_added = weight.flip(0) if shape.gemma else None
    after, normed = by_kernel._added(stream, parts, norm_added, weight)
    wanted = stream + by_torch._normed(parts.sum(0).to(kind), norm_added)
    rounding = {"rtol": 1e-5, "atol": 1e-5} if kind == torch.float32 else {"rtol": 2**-9, "atol": 2**-9}
    torch.testing.assert_close(after, wanted, **rounding)
    torch.testing.assert_close(normed, by_torch._normed(after, weight), **rounding)


def test_the_likeliest_id_is_chosen_without_its_logits_and_the_first_of_equals():
    x, head = operands(19, 75, 50)
    tile = Tile(16, 32, 16, 4, 2)
    assert narrow.likeliest(x, head, tile).tolist() == (x @ head.T).argmax(-1).tolist()
    same = head[torch.arange(75) % 20]  # each logit in several tiles, and the last tile is not full
    assert narrow.likeliest(x, same, tile).tolist() == (x @ head[:20].T).argmax(-1).tolist()
    assert narrow.likeliest(x, same * 0, tile).tolist() == [0] * 19
    assert narrow.likeliest(-x.abs(), head.abs(), tile).tolist() == (-x.abs() @ head.abs().T).argmax(-1).tolist()


def test_products_of_many_rows_or_outputs_stay_with_torch(monkeypatch):
    monkeypatch.setattr(narrow, "tiled", lambda *_: pytest.fail("shared out"))
    x, matrix = operands(3, 8, 16)
    near(narrow.product(x, matrix, None, "down", kernels.IN_TURN), (x @ matrix.T)[None])
    monkeypatch.setattr(narrow, "WIDEST", 7)
    near(narrow.product(x[:2], matrix, None, "down", kernels.IN_TURN), (x[:2] @ matrix.T)[None])


@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (9, 0), (10, 0), (12, 0)])
def test_products_of_few_rows_are_ours_only_where_their_tiles_were_tried_and_fit(monkeypatch, capability):
    """An A100 has 163 KiB of shared memory a program, an L4 99, an H100 227."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    reading, stepping = _pieces(read_shape(made("gemma3")), torch.device("cuda"))
    assert type(reading) is Fused
    assert type(stepping) is (Narrow if capability == (9, 0) else Fused)
    tiles = [tile for by_rows in TILES.values() for tile in by_rows.values()]
    assert len(tiles) >= 8
    assert all((tile.rows + tile.outputs) * tile.inputs * 2 * tile.stages <= 227 * 1024 for tile in tiles)


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
