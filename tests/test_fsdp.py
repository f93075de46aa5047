"""FSDP-QLoRA on two processes: accelerate starts them on CPU with the example's own file; gloo stands between them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import forks
import pytest
import tiny_model
import torch
import yaml
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from launched import EXAMPLES, PLAIN, ended, furnish, kill_when, launch
from safetensors.torch import load_file
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from harness.errors import ConfigError, StoreError
from harness.trainer import sharded
from harness.trainer.settings import TrainSettings
from harness.trainer.train import train

FILE = EXAMPLES / "accelerate_fsdp_qlora.yaml"
SHARDED = ("--config_file", str(FILE))
GUIDE = "gradient_checkpointing = true\nlora_dropout = 0.1\nmodules_to_save = ['lm_head', 'embed_tokens']\n"
"""What the guide asks for and FSDP might get wrong: layers run twice, random numbers, a tied head that is trained."""


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory) -> Path:
    folder = furnish(tmp_path_factory.mktemp("fsdp"), GUIDE + "logging_steps = 1\n")
    tiny_model.build(folder / "untied", tie=False)
    return folder


def told(place: Path, output: str) -> tuple[dict, list[list[float]]]:
    """The record of a training, and what it logged of every step."""
    record = json.loads((place / output / "harness.json").read_text())
    return record, [[entry["loss"], entry["grad_norm"]] for entry in record["losses"]]


def alike(found: list[list[float]], wanted: list[list[float]]) -> None:
    assert len(found) == len(wanted) == 8
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks in /proc")
def test_ranks_that_hold_half_a_base_each_train_the_same_adapter_and_go_on_where_one_was_killed(
    place,
):
    whole = ended(launch(place, "train", "toy.toml", "train.output=whole"))
    seen = (place / "parts" / "checkpoints" / "checkpoint-4" / "harness.json").is_file
    kill_when(launch(place, "train", "toy.toml", "train.output=parts", how=SHARDED), seen, rank=1)
    parts = ended(launch(place, "train", "toy.toml", "train.output=parts", how=SHARDED))
    assert (parts["steps"], parts["reused"]) == (whole["steps"], False)
    (record, mine), (other, theirs) = told(place, "parts"), told(place, "whole")
    assert record["resumed_from"] == 4
    alike(mine, theirs)
    assert (record["trained_tokens"], record["facts"]["padded_tokens"]) != (0, None)

    everything, again = other["facts"]["parameter_bytes"]
    assert everything == again
    held = record["facts"]["parameter_bytes"]
    assert len(held) == 2
    assert sum(held) == pytest.approx(everything, rel=0.01)
    assert max(held) < 0.51 * everything

    adapters = [load_file(place / name / "adapter_model.safetensors") for name in ("parts", "whole")]
    assert adapters[0].keys() == adapters[1].keys()
    for name, tensor in adapters[0].items():
        assert (tensor - adapters[1][name]).abs().max() < 1e-5, name
    done = forks.run(["eval", "toy.toml", "train.output=parts", "--model", "final"], cwd=place)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.splitlines()[-1])["runs"]) == 1


@pytest.mark.slow
def test_a_head_of_its_own_gets_the_gradient_of_all_ranks_in_mixed_precision(place):
    """trl multiplies with the head's matrix without calling the head: of a shard it gets this rank's gradient alone."""
    what = ["train.modules_to_save=['lm_head']", "model.base=untied"]
    # as on a GPU: bf16 by autocast, which the fp32 head needs
    what += ["model.compute_dtype=bf16", "train.trainable_dtype=fp32"]
    for output, how in (("untied-whole", PLAIN), ("untied-parts", SHARDED)):
        mixed = (*how, "--mixed_precision", "bf16")
        ended(launch(place, "train", "toy.toml", f"train.output={output}", *what, how=mixed))
    alike(told(place, "untied-parts")[1], told(place, "untied-whole")[1])


# -- without processes


@pytest.fixture(name="launched")
def _launched(monkeypatch) -> None:
    """What accelerate's launcher tells its processes of the example file."""
    told = yaml.safe_load(FILE.read_text())
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    for name, value in told["fsdp_config"].items():
        monkeypatch.setenv(name.upper(), str(value))


@pytest.mark.usefixtures("launched")
def test_the_example_goes_with_the_recipes_defaults():
    assert sharded.sharding_asked()
    sharded.check_sharded(TrainSettings())
    sharded.check_tied(TrainSettings(), tied=True)


@pytest.mark.usefixtures("launched")
def test_the_loss_is_not_rounded_by_accelerates_policy():
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, mixed_precision_policy="bf16")
    state = SimpleNamespace(distributed_type=DistributedType.FSDP, fsdp_plugin=plugin)
    sharded.settle(SimpleNamespace(accelerator=SimpleNamespace(state=state)))
    assert plugin.mixed_precision_policy is None


@pytest.mark.usefixtures("launched")
def test_each_layer_of_a_model_with_a_vision_tower_is_sharded_by_itself():
    """Its class names layers that it might have and has not, on which accelerate fails."""
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 16}
    with torch.device("meta"):
        model = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision))
    plugin = FullyShardedDataParallelPlugin()
    sharded.wrap_present_layers(plugin, model)
    plugin.set_auto_wrap_policy(model)
    wrapped = {layer.__name__ for layer in plugin.auto_wrap_policy.keywords["transformer_layer_cls"]}
    assert {"Gemma3DecoderLayer", "SiglipEncoderLayer"} <= wrapped


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("FSDP_VERSION", "1", "fsdp_version: 2"),
        ("FSDP_AUTO_WRAP_POLICY", "NO_WRAP", "fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP"),
        ("FSDP_STATE_DICT_TYPE", "SHARDED_STATE_DICT", "fsdp_state_dict_type: FULL_STATE_DICT"),
        ("FSDP_STATE_DICT_TYPE", None, "fsdp_state_dict_type: FULL_STATE_DICT"),
        ("FSDP_CPU_RAM_EFFICIENT_LOADING", "true", "fsdp_cpu_ram_efficient_loading: false"),
        ("FSDP_OFFLOAD_PARAMS", "true", "fsdp_offload_params: false"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "fsdp_activation_checkpointing: false"),
    ],
)
def test_a_line_of_accelerates_file_that_does_not_go_is_named_before_anything_is_written(
    variable, value, remedy, monkeypatch, tmp_path
):
    monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=remedy):
        train([], None, TrainSettings(), tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"compile_layers": True}, "train.compile_layers=false"),
        ({"device_metrics": True}, "train.device_metrics"),
        ({"fixed_length": True}, "fixed_length"),
        ({"cuda_graph": True}, "cuda_graph"),
        ({"head_kernel": "once"}, "head_kernel"),
        ({"optimizer": "paged_adamw_8bit"}, "train.optimizer=adamw_torch_fused"),
    ],
)
def test_a_setting_that_does_not_go_with_shards_is_named_with_what_does(settings, remedy):
    with pytest.raises(ConfigError, match=remedy):
        sharded.check_sharded(TrainSettings(**settings))


def test_a_tied_head_is_not_trained_apart_from_its_embedding():
    apart = TrainSettings(ensure_weight_tying=False)
    with pytest.raises(ConfigError, match=r"train\.ensure_weight_tying=true"):
        sharded.check_tied(apart, tied=True)
    sharded.check_tied(apart, tied=False)


def test_a_checkpoint_is_gone_on_from_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    sharded.check_checkpoint(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(StoreError, match="was written without FSDP"):
        sharded.check_checkpoint(tmp_path)
    (tmp_path / "pytorch_model_fsdp.bin").touch()
    sharded.check_checkpoint(tmp_path)
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    with pytest.raises(StoreError, match="was written under FSDP"):
        sharded.check_checkpoint(tmp_path)
