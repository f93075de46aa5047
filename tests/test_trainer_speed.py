"""Each setting of speed trains the same: losses and gradient norms of the guide's recipe, step by step."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from tiny_model import build

from harness.errors import ConfigError, DeviceError
from harness.model.load import load_base
from harness.model.settings import ModelSettings
from harness.throughput import cost
from harness.trainer import assemble, attention, auto, graph, head
from harness.trainer.attention import packed_attention
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

EXAMPLES = [
    Example(
        ({"role": "user", "content": f"how many orders has {'each ' * (n % 5)}customer {n}?"},),
        f"SELECT SUM(total) FROM orders WHERE id = {n}",
    )
    for n in range(40)
]
GUIDE = TrainSettings(
    packing="bfd", max_length=160, max_steps=2, logging_steps=1, lora_dropout=0.0, save_each_epoch=False, report_to=()
)
"""Batch 1 x 4 with checkpointing, as the guide writes it; dropout off, for it is drawn anew at each micro-step."""
FAST = {"batch_size": 4, "accumulation": 1, "gradient_checkpointing": False, "dequantize_base": True}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> ModelSettings:
    return ModelSettings(str(build(tmp_path_factory.mktemp("base") / "tiny")), device="cpu")


def trace(settings, base, folder):
    result = train(EXAMPLES, base, settings, folder)
    return result, [(entry["loss"], entry["grad_norm"]) for entry in result.losses]


@pytest.fixture(scope="module")
def guide(base, tmp_path_factory):
    return {
        packing: trace(replace(GUIDE, packing=packing), base, tmp_path_factory.mktemp(packing) / "a")
        for packing in ("bfd", "wrapped", "none")
    }


@pytest.mark.parametrize(
    ("changes", "packing"),
    [
        ({"batch_size": 4, "accumulation": 1}, "bfd"),
        ({"batch_size": 2, "accumulation": 2, "gradient_checkpointing": False}, "bfd"),
        (FAST | {"attention": "packed", "device_metrics": True}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True, "lora_kernel": "fused", "head_kernel": "once"}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True, "compile_layers": True, "lora_kernel": "fused"}, "bfd"),
        (FAST | {"attention": "packed", "fixed_length": True}, "wrapped"),
        (FAST | {"attention": "packed", "device_metrics": True}, "none"),
        (FAST | {"device_metrics": True}, "none"),
    ],
    ids=str,
)
def test_a_rung_has_the_losses_and_gradients_of_the_guide(guide, base, tmp_path, monkeypatch, changes, packing):
    monkeypatch.setattr(assemble, "BACKEND", "aot_eager")  # the graphs without a compiler's minutes
    told, wanted = guide[packing]
    result, found = trace(replace(GUIDE, packing=packing, **changes), base, tmp_path / "a")
    assert len(found) == GUIDE.max_steps
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-5)
    assert (result.trained_tokens, result.loss_tokens) == (told.trained_tokens, told.loss_tokens)


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("trained", [True, False])
def test_logits_computed_once_give_the_losses_and_gradients_of_those_computed_twice(monkeypatch, softcap, trained):
    monkeypatch.setattr(head, "TOKENS", 5)  # several tiles, the last one not full
    torch.manual_seed(0)
    targets, weights = torch.randint(0, 40, (13,)), torch.rand(13)
    found = []
    for once in (True, False):
        torch.manual_seed(1)
        hidden = torch.randn(13, 8, requires_grad=True)
        weight = torch.randn(40, 8, requires_grad=trained)
        if once:
            loss, entropy, right = head.OnceLogits.apply(hidden, weight, targets, -weights, softcap)
        else:
            logits = hidden @ weight.t()
            logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
            logp = logits.log_softmax(-1)
            loss = -(weights * logp.gather(1, targets[:, None]).squeeze(1)).sum()
            entropy, right = -(logp.exp() * logp).sum(-1), logits.argmax(-1) == targets
        (3 * loss).backward()
        found.append([loss.detach(), entropy.detach(), right.float(), hidden.grad, weight.grad])
    for ours, theirs in zip(*found, strict=True):
        assert (ours is None) is (theirs is None)
        assert ours is None or torch.allclose(ours, theirs, atol=1e-5)


def test_counts_kept_on_the_device_are_those_of_trl(base, tmp_path):
    names = ("loss", "mean_token_accuracy", "epoch")
    one = replace(GUIDE, attention="packed", gradient_checkpointing=False)
    trl, ours = (
        train(EXAMPLES, base, replace(one, device_metrics=lean), tmp_path / str(lean)) for lean in (False, True)
    )
    for a, b in zip(trl.losses, ours.losses, strict=True):
        assert [a[name] for name in names] == pytest.approx([b[name] for name in names], rel=1e-5)
    assert trl.trained_tokens == ours.trained_tokens > 0


@pytest.mark.parametrize("packing", ["bfd", "none"])
def test_a_last_batch_that_is_not_full_trains_the_same_at_fixed_length(base, tmp_path, packing):
    settings = replace(
        GUIDE,
        packing=packing,
        max_steps=0,
        epochs=1,
        batch_size=3,
        accumulation=2,
        attention="packed",
        gradient_checkpointing=False,
    )
    plain = train(EXAMPLES, base, settings, tmp_path / "plain")
    fixed = train(EXAMPLES, base, replace(settings, fixed_length=True), tmp_path / "fixed")
    assert [entry["grad_norm"] for entry in fixed.losses] == pytest.approx(
        [entry["grad_norm"] for entry in plain.losses], rel=2e-5
    )
    assert fixed.trained_tokens == plain.trained_tokens
    positions = fixed.trained_tokens + fixed.padded_tokens
    assert positions % (3 * GUIDE.max_length) == 0
    assert fixed.padded_tokens > 0


def _attended_alone(query, key, value, lengths, window):
    """Each document by itself, with a mask written out."""
    parts = []
    for start, length in zip([0, *torch.tensor(lengths).cumsum(0).tolist()], lengths, strict=False):
        q, k, v = (part[:, :, start : start + length] for part in (query, key, value))
        at = torch.arange(length)
        behind = at[:, None] - at[None, :]
        scores = (q @ k.repeat_interleave(2, 1).transpose(-1, -2)) * 0.25
        scores = scores.masked_fill((behind < 0) | (behind >= window), float("-inf"))
        parts.append((scores.softmax(-1) @ v.repeat_interleave(2, 1)).transpose(1, 2))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("window", [None, 64, 5])
def test_documents_of_a_pack_attend_to_themselves_alone(window):
    torch.manual_seed(0)
    lengths = [7, 1, 12, 4]
    query, key, value = (torch.randn(1, heads, sum(lengths), 16) for heads in (4, 2, 2))
    starts = torch.tensor([0, *lengths, 0]).cumsum(0).to(torch.int32)  # the last one holds nothing, as when filled up
    ours, _ = packed_attention(
        None, query, key, value, scaling=0.25, sliding_window=window, cu_seq_lens_q=starts, max_length_q=12
    )
    assert torch.allclose(ours, _attended_alone(query, key, value, lengths, window or 99), atol=1e-5)
    rows, _ = packed_attention(None, query, key, value, scaling=0.25, sliding_window=window)
    assert torch.allclose(rows, _attended_alone(query, key, value, [24], window or 99), atol=1e-5)


def _varlen(query, key, value, cu_q, cu_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False):
    """What torch documents of its kernels: each document by itself, `window_size` tokens to the left and right."""
    assert (query.shape[1] == key.shape[1]) is not enable_gqa
    out = []
    for start, end in pairwise(cu_q.tolist()):
        at = torch.arange(end - start)
        behind = at[:, None] - at[None, :]
        left, right = (99 if size < 0 else size for size in window_size)
        out.append(
            torch.nn.functional.scaled_dot_product_attention(
                *(part[start:end].transpose(0, 1)[None] for part in (query, key, value)),
                attn_mask=(behind <= left) & (behind >= -right),
                scale=scale,
                enable_gqa=enable_gqa,
            )[0].transpose(0, 1)
        )
    return torch.cat(out)


@pytest.mark.parametrize("groups", [True, False], ids=["kernels know groups", "heads are repeated"])
@pytest.mark.parametrize("window", [None, 64, 5])
def test_the_kernels_by_length_are_asked_for_what_the_masks_say(monkeypatch, window, groups):
    for name, value in {"_flash_works": True, "_flash": lambda query: True, "_KNOWS_GROUPS": groups}.items():
        monkeypatch.setattr(attention, name, value)
    monkeypatch.setattr(attention.varlen, "varlen_attn", _varlen)
    torch.manual_seed(0)
    lengths = [7, 1, 12, 4]
    query, key, value = (torch.randn(1, heads, sum(lengths), 16) for heads in (4, 2, 2))
    starts = torch.tensor([0, *lengths, 0]).cumsum(0).to(torch.int32)
    ours, _ = packed_attention(
        None, query, key, value, scaling=0.25, sliding_window=window, cu_seq_lens_q=starts, max_length_q=12
    )
    assert torch.allclose(ours, _attended_alone(query, key, value, lengths, window or 99), atol=1e-5)


def test_kernels_that_know_no_window_are_passed_over_for_masks(monkeypatch):
    def older(query, key, value, cu_q, cu_k, max_q, max_k, is_causal=False):
        return query

    monkeypatch.setattr(attention, "_flash", lambda query: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    device = torch.device("cpu")
    monkeypatch.setattr(attention.varlen, "varlen_attn", _varlen)
    monkeypatch.setattr(attention, "_KNOWS_GROUPS", True)
    assert attention._tried(16, torch.float32, device)
    monkeypatch.setattr(attention.varlen, "varlen_attn", older)
    assert not attention._tried(16, torch.float32, device)


def test_auto_trains_the_same_and_says_what_it_chose(guide, base, tmp_path):
    told = []
    result = train(EXAMPLES, base, replace(GUIDE, rungs="auto"), tmp_path / "a", say=told.append)
    wanted = [number for entry in guide["bfd"][1] for number in entry]
    found = [number for entry in result.losses for number in (entry["loss"], entry["grad_norm"])]
    assert found == pytest.approx(wanted, rel=2e-5)
    assert told == [result.facts["rungs"]]
    assert "batch_size=4, accumulation=1" in told[0]
    assert "gradient_checkpointing=false" in told[0]
    again = train(EXAMPLES, base, replace(GUIDE, attention="packed"), tmp_path / "a")
    assert again.reused  # how fast it was made does not make an adapter another one


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (80, {"batch_size": 4, "cuda_graph": True, "gradient_checkpointing": False, "dequantize_base": True}),
        (14, {"batch_size": 2, "accumulation": 2, "cuda_graph": True, "gradient_checkpointing": False}),
        (11, {"gradient_checkpointing": True, "cuda_graph": False, "dequantize_base": True}),
        (1, {"gradient_checkpointing": True, "batch_size": 1, "attention": "model"}),
    ],
)
def test_auto_takes_less_where_less_memory_is_free(base, monkeypatch, free, expected):
    loaded = load_base(base)
    shape = cost.ModelShape(1152, 26, 4, 1, 256, 6912, 262144)
    on_gpu = SimpleNamespace(
        model=loaded.model, facts=dict(loaded.facts) | {"compute_dtype": "bf16"}, device=torch.device("cuda")
    )
    monkeypatch.setattr(auto, "shape_of", lambda config: shape)
    monkeypatch.setattr(auto, "_free_bytes", lambda device: free * 2**30)
    chosen, words = auto.resolve(replace(TrainSettings(), rungs="auto", ensure_weight_tying=False), on_gpu, 1e7)
    assert {name: getattr(chosen, name) for name in expected} == expected
    assert f"{free:.1f} GiB free" in words
    assert chosen.batch_size * chosen.accumulation == 4


def test_what_a_graph_needs_is_told(base, tmp_path):
    fixed = replace(GUIDE, cuda_graph=True, fixed_length=True, attention="packed", gradient_checkpointing=False)
    with pytest.raises(DeviceError, match=r"set train\.cuda_graph=false"):
        train(EXAMPLES, base, fixed, tmp_path / "a")
    loaded = load_base(base)
    on_gpu = SimpleNamespace(facts=loaded.facts, device=torch.device("cuda"))
    with pytest.raises(ConfigError, match=r"train\.fixed_length=true"):
        assemble.check_speed(replace(fixed, fixed_length=False), on_gpu)
    with pytest.raises(ConfigError, match="dequantize_base=true"):
        train(EXAMPLES, base, replace(GUIDE, lora_kernel="fused"), tmp_path / "b")


def test_a_training_records_what_its_speed_is_worth(guide, base):
    facts = guide["bfd"][0].facts["throughput"]
    shape = cost.shape_of(load_base(base).model.config)
    assert facts["tokens_per_second"] == pytest.approx(facts["trained_tokens"] / facts["step_seconds"])
    assert facts["flops_per_token"] > 4 * shape.linear_parameters + 6 * shape.head_parameters
    assert 0 < facts["mfu_measured"] < 1
    assert facts["mfu_datasheet"] is None  # a CPU is in no datasheet
    assert facts["joules"] is None
    assert set(facts["phases"]) >= {"load", "tokenise", "prepare", "train"}


class _PretendGraph:
    """A captured graph without a GPU: replaying runs the captured body again, on the tensors it was captured with."""

    def replay(self):
        run, batch, items, lean = self.body
        again = run(batch, items)
        again.loss.backward()
        lean.loss.data.copy_(again.loss.detach())
        lean.counts.copy_(again.counts)

    def pool(self):
        return None


@pytest.fixture
def pretend_gpu(monkeypatch):
    """torch.cuda as far as a capture needs it; what a capture computes is thrown away, as it is on a GPU."""

    @contextmanager
    def capture(captured, **how):
        grads = [parameter.grad.clone() for parameter in step._parameters]
        yield
        captured.body = (run, *calls[-1])
        for parameter, grad in zip(step._parameters, grads, strict=True):
            parameter.grad.copy_(grad)

    calls, step, run = [], None, None

    def made(self, batch, items):
        nonlocal step, run
        step, run = self, self._run
        assert all(module.training for module in run.__self__.model.modules()), "dropout would be off"

        def noted(batch, items):
            lean = run(batch, items)
            calls.append((batch, items, lean))
            return lean

        self._run = noted
        try:
            return capture_it(self, batch, items)
        finally:
            self._run = run

    capture_it = graph.GraphedStep._capture
    monkeypatch.setattr(graph.GraphedStep, "_capture", made)
    nothing = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        "CUDAGraph": _PretendGraph,
        "graph": capture,
        "Stream": lambda: nothing,
        "current_stream": lambda: nothing,
        "stream": lambda stream: nullcontext(),
        "get_rng_state": lambda: None,
        "set_rng_state": lambda state: None,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(assemble, "check_speed", lambda settings, loaded: None)


@pytest.mark.parametrize("changes", [{}, {"batch_size": 2, "accumulation": 2}], ids=str)
def test_a_replayed_step_adds_the_gradients_of_its_own_batch(guide, base, tmp_path, pretend_gpu, changes):
    settings = replace(GUIDE, **FAST | {"attention": "packed", "fixed_length": True, "cuda_graph": True} | changes)
    result, found = trace(settings, base, tmp_path / "a")
    for ours, theirs in zip(found, guide["bfd"][1], strict=True):
        assert ours == pytest.approx(theirs, rel=2e-5)
    assert result.trained_tokens == guide["bfd"][0].trained_tokens
