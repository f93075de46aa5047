"""What the documents say is what the program does."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from documents import blocks
from typer.main import get_command

from harness.cli.commands import app
from harness.config import Experiment, keys

ROOT = Path(__file__).resolve().parent.parent
GROUP = get_command(app)
COMMANDS = GROUP.commands  # type: ignore[attr-defined]
CONTRACT = {
    "train",
    "eval",
    "score",
    "audit",
    "compare",
    "bench",
    "report",
    "merge",
    "ask",
    "init",
    "sql",
    "verify",
    "rescore",
    "plan",
    "witness",
}
TARGETS = {"help", "install", "train", "eval", "compare", "bench", "audit", "report", "test", "check", "clean"}
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [path for path in (README, ROOT / "CHANGELOG.md", ROOT / "reports" / "LOG.md", *DOCS) if path.is_file()]


def commands_in(path: Path) -> list[list[str]]:
    """Words of the commands in a document's blocks."""
    return [shlex.split(command) for block in blocks(path) for command in block.commands]


def test_the_commands_are_those_of_the_contract():
    assert set(COMMANDS) == CONTRACT


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_every_command_and_argument_has_a_help(name):
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None) or parameter.name == "help", f"{name} {parameter.name}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_documents_name_only_commands_options_and_targets_that_exist(path):
    for words in commands_in(path):
        if words[0] == "make":
            named = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
            assert named <= TARGETS | {"lock"}, words
            continue
        if len(words) == 1 or words[1].startswith("-"):
            continue
        assert words[1] in COMMANDS, words
        options = {option for parameter in COMMANDS[words[1]].params for option in parameter.opts}
        for word in words[2:]:
            if word.startswith("--"):
                assert word.split("=")[0] in options | {"--help"}, words


def test_documents_override_only_settings_that_exist():
    known = set(keys(Experiment))
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        for key in re.findall(r"\b((?:benchmark|model|prompt|train|generate|score|eval)\.[a-z_.]+)=", text):
            assert key in known, f"{path.name}: {key}"


def test_settings_shown_in_the_documents_exist():
    known = set(keys(Experiment))
    shown = [tomllib.loads(block.text) for path in DOCS for block in blocks(path) if block.language == "toml"]
    assert len(shown) > 1
    for table in shown:
        assert set(_leaves(table)) <= known, table


def _leaves(table: dict, name: str = "") -> list[str]:
    below = (_leaves(v, f"{name}{k}.") if isinstance(v, dict) else [f"{name}{k}"] for k, v in table.items())
    return [key for keys_below in below for key in keys_below]


@pytest.mark.skipif(not README.is_file(), reason="there is no README yet")
def test_every_command_is_in_the_readme_or_the_docs():
    text = "".join(path.read_text(encoding="utf-8") for path in (README, *DOCS))
    assert [name for name in sorted(CONTRACT) if f"harness {name}" not in text and f"make {name}" not in text] == []


def test_make_help_lists_the_targets():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {line.split()[0] for line in done.stdout.splitlines()} >= TARGETS


def test_versions_are_exact_and_name_no_place():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert len(lines) > 50
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []
    names = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    asked = re.findall(r'^  "([A-Za-z0-9_-]+)(?:\[[a-z]+\])?>=', project, flags=re.MULTILINE)
    assert len(asked) > 20
    theirs = {"triton"}  # torch for CUDA asks for one version of it; a pin of ours could not be met beside that
    assert [name for name in asked if name.lower().replace("_", "-") not in names | theirs] == []
