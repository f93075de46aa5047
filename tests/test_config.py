from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from harness.config import (
    BenchmarkFile,
    Experiment,
    GenerateChoice,
    ModelChoice,
    TrainChoice,
    keys,
    load_experiment,
    load_score_command,
)
from harness.config.sections import ServerChoice
from harness.errors import ConfigError
from harness.generate.settings import DecodingSettings, ServerSettings
from harness.model.settings import ModelSettings
from harness.trainer.settings import TrainSettings


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "trial.toml"
    path.write_text('[benchmark]\nname = "pocket"\n[model]\nbase = "tiny"\n')
    return path


def test_all_faults_are_told_at_once_with_the_nearest_key(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(
        '[benchmark]\nname = "x"\nrot = "/data"\n[model]\nbase = "x"\nmax_new_tokens = 3\n'
        '[train]\nepoch = 1\nlearning_rate = "fast"\n[scroe]\nsuite = true\n'
    )

    with pytest.raises(ConfigError) as caught:
        load_experiment(path)

    message = str(caught.value)
    assert "5 faults" in message
    assert "train.epoch is not a setting; did you mean train.epochs?" in message
    assert "benchmark.rot is not a setting; did you mean benchmark.root?" in message
    assert "model.max_new_tokens is not a setting; did you mean generate.max_new_tokens?" in message
    assert "scroe is not a setting; did you mean score?" in message
    assert "train.learning_rate = 'fast': must be a valid number" in message


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('[model]\nbase = "x"\n')
    with pytest.raises(ConfigError, match="benchmark is missing"):
        load_experiment(path)
    path.write_text("[benchmark]\n")
    with pytest.raises(ConfigError, match=r"benchmark\.name is missing"):
        load_experiment(path)


def test_overrides_reach_every_section_and_are_typed(file):
    experiment = load_experiment(
        file,
        [
            "train.epochs=1",
            "benchmark.root=/data/spider",
            "score.suite=true",
            "prompt.schema=ddl+rows",
            "train.modules_to_save=",
            "eval.limit=none",
            "eval.models=base,merged",
            'generate.stop=[";", "a,b"]',
            "generate.server.model=it",
        ],
    )
    assert experiment.name == "trial"
    assert experiment.train.epochs == 1
    assert dict(experiment.benchmark.settings) == {"root": "/data/spider"}
    assert experiment.score.suite is True
    assert experiment.prompt.schema_ == "ddl+rows"
    assert experiment.train.modules_to_save == ()
    assert experiment.eval.limit is None
    assert experiment.eval.models == ("base", "merged")
    assert experiment.generate.stop == (";", "a,b")
    assert experiment.generate.server.model == "it"
    assert experiment.adapter_folder == "reports/adapters/trial"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.epochs", "not KEY=VALUE"),
        ("train.epochs=0", "train.epochs"),
        ("prompt.schema=dd", "must be 'context', 'ddl'"),
        ("train=3", "train"),
        ('generate.stop=["a', "not valid TOML"),
        ("score.flor_seconds=1", "did you mean score.floor_seconds?"),
    ],
)
def test_a_wrong_override_is_told(file, override, told):
    with pytest.raises(ConfigError) as caught:
        load_experiment(file, [override])
    assert told in str(caught.value)


def test_two_overrides_that_exclude_each_other_are_refused(file):
    with pytest.raises(ConfigError, match="contradicts"):
        load_experiment(file, ["train=3", "train.epochs=1"])


def test_a_file_that_is_missing_or_no_toml_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_experiment(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_experiment(tmp_path)
    (tmp_path / "a.toml").write_text("name = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_experiment(tmp_path / "a.toml")


def test_an_experiment_is_frozen(file):
    experiment = load_experiment(file)
    with pytest.raises(ValueError, match="frozen"):
        experiment.train.epochs = 9  # type: ignore[misc]


def test_score_overrides_know_only_benchmark_and_score():
    command = load_score_command("spider", ["benchmark.root=/data", "score.workers=2"])
    assert (command.benchmark.name, command.score.workers) == ("spider", 2)
    with pytest.raises(ConfigError, match=r"train is not a setting"):
        load_score_command("spider", ["train.epochs=1"])


@pytest.mark.parametrize(
    ("section", "record"),
    [
        (ModelChoice, ModelSettings),
        (TrainChoice, TrainSettings),
        (GenerateChoice, DecodingSettings),
        (ServerChoice, ServerSettings),
    ],
)
def test_a_section_has_every_field_of_its_room_with_the_same_default(section, record):
    for field in fields(record):
        assert field.name in section.model_fields
        if field.default is not MISSING:
            assert section.model_fields[field.name].default == field.default, field.name


def test_every_key_is_found_and_documented():
    known = list(keys(Experiment))
    assert "train.epochs" in known
    assert "benchmark.columns.gold" in known
    assert len(known) == len(set(known))


def test_the_experiment_files_here_are_valid():
    root = Path(__file__).parent.parent / "benchmarks"
    files = [path for path in root.glob("*/*.toml") if path.name != "benchmark.toml"]
    assert files
    for path in files:
        experiment = load_experiment(path)
        assert experiment.model.base
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# "), f"{path}: begin with its launch command"
        assert str(path.relative_to(root.parent)) in path.read_text(encoding="utf-8"), path


def test_a_benchmark_file_is_empty_by_default():
    assert BenchmarkFile().columns.gold == "sql"
