"""How the commands present themselves: examples, completion, colours, and the two silent modes."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import make_facts, make_items, write_run
from typer.main import get_command

from harness.cli import status
from harness.cli.commands import app
from harness.cli.usage import EXAMPLES
from harness.config import Experiment, keys

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture(name="runs")
def _runs(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for model, skill in (("base", 0.2), ("checkpoint-9", 0.6)):
        write_run(tmp_path / "reports" / "runs", make_facts(f"run-{model}", model), make_items(60, skill, 1))
    return tmp_path


def test_every_command_has_examples_and_every_example_is_right_usage():
    assert set(EXAMPLES) == set(COMMANDS)
    known = set(keys(Experiment))
    for name, lines in EXAMPLES.items():
        assert lines
        for line in lines:
            program, command, *words = shlex.split(line)
            assert (program, command) == ("harness", name)
            context = COMMANDS[name].make_context(name, words)
            for pair in context.params.get("overrides") or ():
                assert pair.split("=")[0] in known, line


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_help_shows_the_examples_as_they_are_typed(name, capsys):
    assert status([name, "--help"]) == 0
    out = capsys.readouterr().out
    for line in EXAMPLES[name]:
        assert f"    {line}\n" in out
    assert "--quiet" in out
    assert "--json" in out


def completions(words: str, cwd: Path) -> list[str]:
    """What bash is offered for a line."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_HARNESS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    command = [sys.executable, "-c", "from harness.cli import main; main()"]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.split()


def test_a_shell_completes_commands_options_settings_and_names(runs):
    assert {"score", "sql"} <= set(completions("harness s", runs))
    assert "--allow-missing" in completions("harness score --al", runs)
    assert completions("harness compare run-ch", runs) == ["run-checkpoint-9"]
    assert "train.epochs=" in completions("harness train x.toml train.ep", runs)
    assert "pocket" in completions("harness audit po", ROOT)
    assert "benchmarks/pocket/pocket.toml" in completions("harness eval benchmarks/po", ROOT)


def test_completion_can_be_shown_for_a_shell():
    done = subprocess.run(
        [sys.executable, "-m", "harness", "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "complete -o default -F _harness_completion harness" in done.stdout


def in_terminal(arguments: list[str], cwd: Path, **environment: str) -> str:
    """What a person sees: the command's stderr is a terminal."""
    master, slave = pty.openpty()
    held = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    held |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "120", **environment}
    with subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments], cwd=cwd, env=held, stdout=subprocess.PIPE, stderr=slave
    ):
        os.close(slave)
        seen = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # the terminal's other end is closed
                break
            if not part:
                break
            seen += part
    os.close(master)
    return seen.decode("utf-8", "replace")


def colours(text: str) -> list[int]:
    """Codes of colours (bold and dim are none)."""
    codes = [code for part in text.split("\x1b[")[1:] for code in part.split("m")[0].split(";")]
    return [int(code) for code in codes if code.isdigit() and (30 <= int(code) <= 49 or 90 <= int(code) <= 107)]


def test_no_color_means_no_colour(runs):
    odd = make_facts("run-odd", "odd", digests={"prompt": "another"})
    write_run(runs / "reports" / "runs", odd, make_items(60, 0.5, 1))
    command = ["compare", "run-base", "run-odd", "--anyway"]
    assert colours(in_terminal(command, runs)) != []
    plain = in_terminal(command, runs, NO_COLOR="1")
    assert "prompt" in plain
    assert colours(plain) == []
    assert "\x1b[" not in in_terminal(command, runs, TERM="dumb")


def test_quiet_leaves_the_document_alone_and_a_failure_its_sentence(runs, capsys):
    assert status(["compare", "run-base", "run-checkpoint-9", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out)["pairs"]
    assert status(["-q", "compare", "run-base", "none"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("harness: 'none': no run has this name")
    assert captured.out == ""
    # and the next command speaks again
    assert status(["compare", "run-base", "run-checkpoint-9"]) == 0
    assert "difference" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["compare", "run-base", "none", "--json"], "StoreError", 1),
        (["--json", "audit", "nowhere"], "DataError", 1),
        (["compare", "--json"], "UsageError", 2),
        (["score", "--nope", "--json"], "UsageError", 2),
        (["nonsense", "--json"], "UsageError", 2),
    ],
)
def test_in_json_mode_a_failure_is_a_document_too(runs, capsys, arguments, kind, code):
    assert status(arguments) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    document = json.loads(captured.out)
    assert document["kind"] == kind
    assert document["error"]


def test_json_mode_prints_the_documents_of_the_contract(runs, capsys):
    assert status(["compare", "run-base", "run-checkpoint-9"]) == 0
    usual = capsys.readouterr().out
    assert status(["compare", "run-base", "run-checkpoint-9", "--json"]) == 0
    assert capsys.readouterr() == (usual, "")
