"""The engine answers as transformers' generate() does, token for token in fp32, whatever the family and the batch."""

from __future__ import annotations

import random

import pytest
import torch
from tiny_model import build
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from harness.errors import ConfigError, DeviceError
from harness.generate.base import Request
from harness.generate.choose import local_generator
from harness.generate.engine import generator as engine_room
from harness.generate.engine.fit import check_device
from harness.generate.engine.generator import EngineGenerator, Work
from harness.generate.engine.shape import EngineUnfitError, read_shape
from harness.generate.engine.state import State
from harness.generate.local import TransformersGenerator
from harness.generate.settings import DecodingSettings
from harness.generate.share import Share
from harness.model.load import load_base
from harness.model.settings import ModelSettings

SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}
LAYERS = ["sliding_attention", "sliding_attention", "full_attention"]
FAMILIES = {
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES, num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32, sliding_window=16, layer_types=LAYERS
        )
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2)),
    "llama, head its own": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZES, num_key_value_heads=4, tie_word_embeddings=False)
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, num_key_value_heads=2)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=32)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=20)),
}
STOPS = (1, 5, 6, 7, 8, 9, 10)
NEW = 24


class Held:
    """What the engine needs of a loaded model."""

    def __init__(self, model):
        self.model, self.facts, self.device, self.tokenizer = model, {}, torch.device("cpu"), None


def made(family: str, seed: int = 0):
    torch.set_num_threads(1)  # at this size threads wait on each other
    torch.manual_seed(seed)
    model = FAMILIES[family]().eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(3)  # random weights of the usual size repeat one token for ever
    return model


def works(count: int, seed: int = 1) -> list[Work]:
    rng = random.Random(seed)
    return [Work(n, [rng.randrange(3, 300) for _ in range(rng.randrange(1, 60))], NEW) for n in range(count)]


def wanted(model, work: Work, stops=STOPS) -> list[int]:
    how = GenerationConfig(max_new_tokens=work.limit, do_sample=False, eos_token_id=list(stops), pad_token_id=0)
    return model.generate(torch.tensor([list(work.ids)]), generation_config=how)[0, len(work.ids) :].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_engine_answers_with_the_tokens_of_generate(family):
    model = made(family)
    asked = works(24)
    given = {work.number: ids for work, ids in EngineGenerator(Held(model)).answers(asked, STOPS, slots=8)}
    assert given == {work.number: wanted(model, work) for work in asked}
    assert len({tuple(ids) for ids in given.values()}) > 12, "answers alike would hide a fault"


def test_two_hundred_prompts_agree_whatever_the_number_of_slots():
    model = made("gemma3")
    asked = works(200, seed=3)
    by_slots = [
        {work.number: ids for work, ids in EngineGenerator(Held(model)).answers(asked, STOPS, slots=slots)}
        for slots in (8, 256)
    ]
    assert by_slots[0] == by_slots[1]
    sample = random.Random(0).sample(asked, 24)
    assert {work.number: wanted(model, work) for work in sample} == {w.number: by_slots[0][w.number] for w in sample}


def test_another_checkpoint_is_answered_for_in_the_same_memory():
    first, second = made("gemma3"), made("gemma3", seed=7)
    asked = works(12)
    engine = EngineGenerator(Held(first))
    {work.number: ids for work, ids in engine.answers(asked, STOPS, slots=8)}
    decoder = engine._decoder
    at = decoder.weights.layers[1].qkv.data_ptr()
    assert engine.adopt(Held(second))
    given = {work.number: ids for work, ids in engine.answers(asked, STOPS, slots=8)}
    assert engine._decoder is decoder
    assert decoder.weights.layers[1].qkv.data_ptr() == at
    assert given == {work.number: wanted(second, work) for work in asked}


def test_a_model_of_another_shape_is_not_adopted():
    engine = EngineGenerator(Held(made("gemma3")))
    assert not engine.adopt(Held(made("llama")))


def test_each_prompt_keeps_its_own_limit():
    model = made("llama")
    asked = [Work(n, [3 + n, 4, 5], n + 1) for n in range(12)]
    given = {work.number: ids for work, ids in EngineGenerator(Held(model)).answers(asked, (), slots=4)}
    assert {number: len(ids) for number, ids in given.items()} == {n: n + 1 for n in range(12)}


def test_counts_add_up_to_what_was_read_and_written():
    asked = works(20)
    engine = EngineGenerator(Held(made("qwen3")))
    given = [ids for _, ids in engine.answers(asked, STOPS, slots=8)]
    speed = engine.speed()
    assert speed.prompt_tokens == sum(len(work.ids) for work in asked)
    assert speed.output_tokens == sum(map(len, given))
    assert speed.prefill_seconds + speed.decode_seconds == pytest.approx(speed.generate_seconds)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=300)), "GPT2Model"),
        (
            lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, num_key_value_heads=2, head_dim=32)),
            "Gemma2Model",
        ),
        (lambda: LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2, head_dim=24)), "24"),
    ],
)
def test_a_model_the_engine_does_not_know_is_refused_in_a_sentence(model, words):
    with pytest.raises(EngineUnfitError, match=words):
        read_shape(model())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny"))


def questions(count: int) -> list[Request]:
    return [Request(str(n), ({"role": "user", "content": "SELECT total " * (1 + n % 5)},)) for n in range(count)]


def test_nf4_weights_answer_as_the_numbers_they_stand_for(folder):
    settings = ModelSettings(base=str(folder), precision="nf4", device="cpu")
    decoding = DecodingSettings(max_new_tokens=12)
    slow = {a.id: a for a in TransformersGenerator(load_base(settings)).generate(questions(9), decoding)}
    engine = local_generator(load_base(settings), "engine", decoding)
    fast = {a.id: a for a in engine.generate(questions(9), decoding)}
    assert fast == slow
    assert engine.facts["base_precision"] == "nf4-dequantised"


def test_where_the_engine_cannot_run_transformers_answers_and_the_run_says_why(folder, monkeypatch):
    loaded = load_base(ModelSettings(base=str(folder), precision="fp32", device="cpu"))
    sampled = DecodingSettings(max_new_tokens=4, temperature=1.0)
    with pytest.raises(ConfigError, match=r"set generate\.backend=transformers"):
        local_generator(loaded, "engine", sampled)
    monkeypatch.setattr(type(loaded), "device", torch.device("cuda"))
    chosen = local_generator(loaded, "local", sampled)
    assert isinstance(chosen, TransformersGenerator)
    assert "greedily" in chosen.facts["notes"][0]


def turns(loaded, share: Share, monkeypatch) -> dict[str, list]:
    """For each answer, all that its numbers can depend on: what was read and stepped with it, in which slots."""
    told: dict[int, list] = {}
    read, step, take = engine_room.Decoder.read, engine_room.Decoder.step, State.take

    def noted_read(self, slots, prompts, limits):
        told.update((slot, [("read", tuple(slots), tuple(map(tuple, prompts)))]) for slot in slots)
        return read(self, slots, prompts, limits)

    def noted_step(self, slots, steps):
        for slot in slots:
            told[slot].append(("step", tuple(slots), self.slots, self.positions))
        return step(self, slots, steps)

    ended: list[list] = []

    def noted_take(self, slots):
        ended.extend(told[slot] for slot in slots)
        return take(self, slots)

    monkeypatch.setattr(engine_room.Decoder, "read", noted_read)
    monkeypatch.setattr(engine_room.Decoder, "step", noted_step)
    monkeypatch.setattr(State, "take", noted_take)
    decoding = DecodingSettings(max_new_tokens=20, batch_size=0, block=12)
    engine = local_generator(loaded, "engine", decoding)
    given = [answer.id for answer in engine.generate(questions(40), decoding, share=share)]
    monkeypatch.undo()
    return dict(zip(given, ended, strict=True))


@pytest.mark.parametrize(("count", "kept"), [(1, 0), (2, 0), (3, 7), (1, 30), (2, 25)])
def test_what_shares_the_slots_does_not_depend_on_processes_or_on_answers_kept(folder, monkeypatch, count, kept):
    loaded = load_base(ModelSettings(base=str(folder), precision="fp32", device="cpu"))
    alone = turns(loaded, Share(), monkeypatch)
    before = frozenset(random.Random(count).sample(sorted(alone), kept))
    parts = [turns(loaded, Share(index, count, before), monkeypatch) for index in range(count)]
    together = {name: story for part in parts for name, story in part.items()}
    assert set(together) | before == set(alone)
    assert together == {name: alone[name] for name in together}
    assert sum(map(len, parts)) == len(together), "no question is answered twice"


def test_processes_without_a_block_are_noted_with_the_setting_that_occupies_them(folder):
    loaded = load_base(ModelSettings(base=str(folder), precision="fp32", device="cpu"))
    engine = local_generator(loaded, "engine", DecodingSettings())
    assert len(list(engine.generate(questions(6), DecodingSettings(max_new_tokens=2), share=Share(0, 3)))) == 6
    assert list(engine.generate(questions(6), DecodingSettings(max_new_tokens=2), share=Share(1, 3))) == []
    assert "2 of 3 processes had nothing to answer" in engine.facts["notes"][0]
    assert "generate.block=2" in engine.facts["notes"][0]


def test_free_slots_are_all_filled_before_the_first_step(monkeypatch):
    monkeypatch.setattr(engine_room, "PROMPT_TOKENS", 60)
    asked = [Work(n, [3 + n, *range(4, 23)], NEW) for n in range(16)]
    engine = EngineGenerator(Held(made("llama")))
    assert len({work.number: ids for work, ids in engine.answers(asked, (), slots=16)}) == 16
    assert engine.speed().decode_steps == 2 * engine_room.STEPS, "three at a time are read; all are stepped together"


def test_any_number_of_stops_ends_an_answer():
    model, asked, stops = made("llama"), works(6), tuple(range(40, 60))
    engine = EngineGenerator(Held(model))
    for these in (stops[:2], stops, ()):
        given = {work.number: ids for work, ids in engine.answers(asked, these, slots=4)}
        assert given == {work.number: wanted(model, work, these or (299_999,)) for work in asked}


def test_memory_that_does_not_suffice_to_read_prompts_halves_how_many_are_read_at_once(monkeypatch):
    model, asked = made("gemma3"), works(24)
    usual = EngineGenerator(Held(model))
    wanted_answers = {work.number: ids for work, ids in usual.answers(asked, STOPS, slots=8)}
    read = engine_room.Decoder.read

    def tight(self, slots, prompts, limits):
        if len(prompts) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return read(self, slots, prompts, limits)

    monkeypatch.setattr(engine_room.Decoder, "read", tight)
    engine = EngineGenerator(Held(model))
    assert {work.number: ids for work, ids in engine.answers(asked, STOPS, slots=8)} == wanted_answers
    assert "memory did not suffice to read 8 prompts at once" in engine.facts["notes"][0]
    assert len(engine.facts["notes"]) <= 4, "halved from what was tried, not from what could be"


def test_memory_that_does_not_suffice_to_read_one_prompt_is_a_sentence(monkeypatch):
    def full(self, *_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(engine_room.Decoder, "read", full)
    with pytest.raises(DeviceError, match=r"generate\.batch_size"):
        list(EngineGenerator(Held(made("gemma3"))).answers(works(24), STOPS, slots=8))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("triton", "Hardware limit: 101376"),
        (RuntimeError("Failed to find C compiler. Please specify via CC environment variable."), "C compiler"),
        (RuntimeError("something else"), ""),
    ],
)
def test_kernels_that_cannot_be_built_here_are_a_sentence_with_the_other_backend(monkeypatch, fault, words):
    if fault == "triton":
        errors = pytest.importorskip("triton.runtime.errors", reason="Triton is made for Linux alone")
        fault = errors.OutOfResources(196_608, 101_376, "shared memory")

    def unbuilt(self, *_):
        raise fault

    monkeypatch.setattr(engine_room.Decoder, "step", unbuilt)
    engine = EngineGenerator(Held(made("gemma3")))
    with pytest.raises(EngineUnfitError if words else RuntimeError, match=words or "something else") as raised:
        list(engine.answers(works(4), STOPS, slots=4))
    assert ("set generate.backend=transformers" in str(raised.value)) == bool(words)


def test_on_a_kind_of_gpu_never_tried_the_kernels_are_built_first_and_else_transformers_answers(folder, monkeypatch):
    warmed: list[int] = []

    def unbuilt(self, *_):
        warmed.append(self.slots)
        raise RuntimeError("Failed to find C compiler.")

    monkeypatch.setattr(engine_room.Decoder, "warm", unbuilt)
    loaded = load_base(ModelSettings(base=str(folder), precision="fp32", device="cpu"))
    monkeypatch.setattr(type(loaded), "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA L4")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 9))
    with pytest.raises(EngineUnfitError, match="C compiler"):
        local_generator(loaded, "engine", DecodingSettings())
    chosen = local_generator(loaded, "local", DecodingSettings())
    assert isinstance(chosen, TransformersGenerator)
    assert "cannot be built for NVIDIA L4" in chosen.facts["notes"][0]
    assert warmed == [64, 64]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert isinstance(local_generator(loaded, "local", DecodingSettings()), EngineGenerator)
    assert warmed == [64, 64], "there it was tried"


def test_a_gpu_too_old_for_the_kernels_is_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(EngineUnfitError, match=r"Tesla T4 has 7\.5"):
        check_device(torch.device("cuda"))
