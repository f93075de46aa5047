"""Wrong gradients of a faster way are found before anything is trained with them; honest rounding passes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tiny_model import build
from torch._dynamo.backends.common import aot_autograd

from harness.model.settings import ModelSettings
from harness.trainer import assemble, auto, gradcheck, norms, session
from harness.trainer.card import CARD
from harness.trainer.gradcheck import GradientError
from harness.trainer.lora_kernel import FusedLoraSame
from harness.trainer.norms import wild_steps
from harness.trainer.plain import PLAIN
from harness.trainer.result import WEIGHTS, read_record
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

EXAMPLES = [
    Example(
        ({"role": "user", "content": f"how many orders has customer {n}?"},), f"SELECT total FROM orders WHERE id = {n}"
    )
    for n in range(40)
]
FAST = TrainSettings(
    max_length=160,
    max_steps=2,
    logging_steps=1,
    save_each_epoch=False,
    report_to=(),
    batch_size=4,
    accumulation=1,
    gradient_checkpointing=False,
    dequantize_base=True,
    attention="packed",
    fixed_length=True,
    lora_kernel="fused",
    head_kernel="once",
    compile_layers=True,
)
PLAINER = {"attention": "model", "fixed_length": False, "lora_kernel": "peft", "head_kernel": "trl"}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> ModelSettings:
    return ModelSettings(str(build(tmp_path_factory.mktemp("base") / "tiny")), device="cpu")


@pytest.fixture(autouse=True)
def fresh():
    """What another test's compiler made is not taken for this one's."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def honest(graph, inputs):
    return graph


def wrong_in_one_graph(factor):
    """A compiler whose first backward graph, that of one layer, gives gradients `factor` times too long."""
    made = []

    def compiled(graph, inputs):
        made.append(graph)
        if len(made) > 1:
            return graph
        return lambda *args: [part * factor if torch.is_tensor(part) else part for part in graph(*args)]

    return compiled


def compiler(monkeypatch, backward=honest):
    monkeypatch.setattr(assemble, "BACKEND", aot_autograd(fw_compiler=honest, bw_compiler=backward))


@pytest.mark.parametrize(("dtype", "dropout"), [("fp32", 0.0), ("bf16", 0.0), ("bf16", 0.05)])
def test_honest_ways_pass(base, tmp_path, monkeypatch, dtype, dropout):
    compiler(monkeypatch)
    result = train(EXAMPLES, replace(base, compute_dtype=dtype), replace(FAST, lora_dropout=dropout), tmp_path / "a")
    check = result.facts["gradient_check"]
    assert {"compile_layers", "lora_kernel", "head_kernel", "attention"} <= set(check["compared"])
    assert 0 < check["share"] < check["bound"] / 2 or dropout
    assert abs(check["scale"] - 1) < check["bound"] / 2
    assert ("dropout_share" in check) == bool(dropout)
    assert check.get("dropout_share", 0.0) <= 3 * dropout  # one draw's difference, not two batches' sum
    assert result.facts["throughput"]["phases"]["check"] == pytest.approx(check["seconds"])
    assert read_record(tmp_path / "a")["facts"]["gradient_check"] == check
    assert "from those of the guide's way" in (tmp_path / "a" / CARD).read_text()


@pytest.mark.parametrize(
    ("factor", "dtype", "dropout", "words"),
    [
        (1.5, "fp32", 0.0, r"by \d+% in layer \d \(rounding accounts for 2% at most\)"),
        (1.5, "bf16", 0.05, r"by \d+% in layer \d \(rounding accounts for 20% at most\)"),
        (3e4, "fp32", 0.0, r"by [\d,]+ times their length in"),
        (float("nan"), "fp32", 0.0, "are no numbers in"),
    ],
)
def test_gradients_that_one_compiled_layer_gets_wrong_end_the_training(
    base, tmp_path, monkeypatch, factor, dtype, dropout, words
):
    compiler(monkeypatch, wrong_in_one_graph(factor))
    settings = replace(FAST, lora_dropout=dropout, **PLAINER)
    with pytest.raises(GradientError, match=f"{words}.*set train.compile_layers=false, then run again") as told:
        train(EXAMPLES, replace(base, compute_dtype=dtype), settings, tmp_path / "a")
    assert str(told.value).count("train.") == 1
    assert not (tmp_path / "a" / WEIGHTS).exists()


def test_the_one_wrong_way_of_several_is_named_though_its_matrices_are_still_zero(base, tmp_path, monkeypatch):
    right = FusedLoraSame.backward

    def wrong(ctx, grad):
        grad_x, none, grad_a, *rest = right(ctx, grad)
        return grad_x, none, grad_a * 1.5, *rest

    monkeypatch.setattr(FusedLoraSame, "backward", wrong)
    with pytest.raises(GradientError, match=r"set train\.lora_kernel=peft, then run again"):
        train(EXAMPLES, base, replace(FAST, lora_dropout=0.0, compile_layers=False), tmp_path / "a")


class WrongGraph:
    """Replays as a captured graph would, and adds gradients twice."""

    def __init__(self, run, parameters):
        self.run = run

    def __call__(self, batch, items):
        self.run(batch, items).loss.backward()
        lean = self.run(batch, items)
        lean.loss.backward()
        return lean


def test_a_graph_is_named_where_its_parts_are_right(base, tmp_path, monkeypatch):
    monkeypatch.setattr(assemble, "check_speed", lambda settings, loaded: None)
    monkeypatch.setattr(session, "GraphedStep", WrongGraph)
    with pytest.raises(GradientError, match=r"by 100% in .*set train\.cuda_graph=false, then run again"):
        train(EXAMPLES, base, replace(FAST, lora_dropout=0.0, compile_layers=False, cuda_graph=True), tmp_path / "a")


def test_auto_goes_on_by_the_guides_way_and_says_so(base, tmp_path, monkeypatch):
    compiler(monkeypatch, wrong_in_one_graph(1.5))
    ways = {name: getattr(FAST, name) for name in PLAIN} | {"device_metrics": True, "dequantize_base": True}
    monkeypatch.setattr(auto, "_candidates", lambda *args: iter([ways]))
    told = []
    settings = replace(FAST, lora_dropout=0.0, **PLAIN)
    result = train(EXAMPLES, base, replace(settings, rungs="auto"), tmp_path / "a", say=told.append)
    assert len(told) == 2
    assert told[1] == result.facts["gradient_check"]["fell_back"]
    assert "training goes on with train.compile_layers=false, train.lora_kernel=peft" in told[1]
    assert told[1] in (tmp_path / "a" / CARD).read_text()
    guide = train(EXAMPLES, base, settings, tmp_path / "guide")
    assert "gradient_check" not in guide.facts
    for ours, theirs in zip(result.losses, guide.losses, strict=True):
        assert (ours["loss"], ours["grad_norm"]) == pytest.approx((theirs["loss"], theirs["grad_norm"]), rel=2e-5)


@pytest.mark.parametrize(
    "changes", [{}, {"fixed_length": False, "head_kernel": "trl", "compile_layers": False}], ids=["lean", "trl's loss"]
)
def test_looking_leaves_the_same_adapter(base, tmp_path, monkeypatch, changes):
    compiler(monkeypatch)
    settings = replace(FAST, lora_dropout=0.05, **changes)
    looked = train(EXAMPLES, base, settings, tmp_path / "looked")
    assert looked.facts["gradient_check"]["compared"]
    torch._dynamo.reset()
    monkeypatch.setattr(session, "check_gradients", lambda *args: {})
    blind = train(EXAMPLES, base, settings, tmp_path / "blind")
    one, other = (load_file(tmp_path / name / WEIGHTS) for name in ("looked", "blind"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert looked.losses == blind.losses
    assert (looked.trained_tokens, looked.loss_tokens) == (blind.trained_tokens, blind.loss_tokens)


def test_where_the_guides_way_does_not_fit_the_training_goes_on_unchecked_and_says_so(base, tmp_path, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(gradcheck, "plain_loss", full)
    result = train(EXAMPLES, base, replace(FAST, compile_layers=False), tmp_path / "a")
    assert result.steps == FAST.max_steps
    assert "memory" in result.facts["gradient_check"]["left_out"]
    assert "not compared with the guide's way" in (tmp_path / "a" / CARD).read_text()


def entries(norms, losses=None):
    losses = losses or [1.0] * len(norms)
    return [
        {"step": n, "loss": loss, "grad_norm": norm} for n, (norm, loss) in enumerate(zip(norms, losses, strict=True))
    ]


@pytest.mark.parametrize(
    ("norms", "losses", "wild"),
    [
        ([2.0] * 8 + [60000.0, 2.0], None, [8]),
        ([2.0] * 8 + [60000.0] * 4 + [2.0], None, [8, 9, 10, 11]),
        ([2.0] * 8 + [float("nan"), float("inf")], None, [8, 9]),
        ([2.0] * 8 + [60000.0, 2.0], [1.0] * 8 + [2.0, 1.0], []),
        ([2.0 * 1.2**n for n in range(40)], None, []),
        ([50.0, 20.0, 5.0, 2.0, 1.0, 1.0, 1.0, 9.0], None, []),
        ([2.0, 2.0, 60000.0], None, []),
    ],
    ids=["one", "several", "no numbers", "loss rose too", "growing", "falling", "too early to tell"],
)
def test_norms_that_jump_while_the_loss_does_not_are_noted(norms, losses, wild):
    assert wild_steps(entries(norms, losses)) == wild


def test_steps_that_loss_scaling_skips_are_not_noted():
    assert wild_steps(entries([2.0] * 8 + [float("inf")]), scaled=True) == []


def test_wild_norms_stand_in_the_record_and_on_the_card(base, tmp_path, monkeypatch):
    monkeypatch.setattr(norms, "FEWEST", 1)
    monkeypatch.setattr(norms, "TIMES", 0.0)
    result = train(EXAMPLES, base, replace(FAST, compile_layers=False, max_steps=3), tmp_path / "a")
    assert result.facts["wild_gradient_norms"] == read_record(tmp_path / "a")["facts"]["wild_gradient_norms"] == [2, 3]
    assert "| wild gradient norms | at steps 2, 3:" in (tmp_path / "a" / CARD).read_text()
