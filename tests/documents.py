"""The documents' code blocks, run as they are written: shell through bash, Python and plain harness lines in here.

What a block of language `text` shows must be among the lines that the shell block before it printed (`...` stands for
anything). Blocks of other languages, and without one, are read by people only.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cli import status

ROOT = Path(__file__).resolve().parent.parent
SHELL = ("sh", "bash", "shell", "console")
_BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_HEREDOC = re.compile(r"<<'?(\w+)'?\n.*?^\1$", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Lines that call harness or make, of shell blocks and of blocks without a language."""
        return commands_of(self.text) if self.language in (*SHELL, "") else []


def blocks(path: Path) -> list[Block]:
    return [Block(*found) for found in _BLOCK.findall(path.read_text(encoding="utf-8"))]


def commands_of(text: str) -> list[str]:
    found = []
    for line in _HEREDOC.sub("", text).replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ ").strip(), comments=True)
        parts: list[list[str]] = [[]]
        for word in words:
            if word in ("&&", ";", "|", "||"):
                parts.append([])
            else:
                parts[-1].append(word)
        found += [shlex.join(part) for part in parts if part and part[0] in ("harness", "make")]
    return found


def program(folder: Path) -> dict[str, str]:
    """An environment in which `harness` and `python` are this checkout's."""
    folder.mkdir(exist_ok=True)
    for name, words in (("harness", " -m harness"), ("python", "")):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        script.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
    }


def run(blocks: list[Block], place: Path, environment: dict[str, str]) -> None:
    """Run the blocks in order; an AssertionError shows the one that failed and what it printed."""
    said = ""
    for block in blocks:
        if block.language in SHELL:
            parts = _parts(block.text)
            said = "".join(_shell(part, block, place, environment) for part in parts)
        elif block.language == "python":
            said = _python(block.text, place)
        elif block.language == "text":
            for line in block.text.splitlines():
                wanted = r".*".join(re.escape(part) for part in line.split("..."))
                assert re.search(rf"^{wanted}\s*$", said, flags=re.MULTILINE), f"{line!r} is not in:\n{said}"


def _parts(text: str) -> list[str]:
    """The block cut at the lines that are a plain harness command and nothing else."""
    plain = re.compile(r"^harness [^|&;<>$`\\]*\n", flags=re.MULTILINE)
    # a heredoc's lines belong to its command
    covered = [found.span() for found in _HEREDOC.finditer(text)]
    cuts = [found for found in plain.finditer(text) if not any(a <= found.start() < b for a, b in covered)]
    parts, end = [], 0
    for found in cuts:
        parts += [text[end : found.start()], found[0]]
        end = found.end()
    return [part for part in (*parts, text[end:]) if part.strip()]


def _shell(text: str, block: Block, place: Path, environment: dict[str, str]) -> str:
    """Through bash; a plain harness command in this process, which spares the start of another."""
    if not text.startswith("harness ") or text.count("\n") != 1:
        return _ran(["bash", "-euo", "pipefail", "-c", text], block, place, environment)
    with _inside(place) as said:
        code = status(shlex.split(text, comments=True)[1:])
    assert code == 0, f"exit {code} of\n{text}\n{said.getvalue()}"
    return said.getvalue()


def _python(text: str, place: Path) -> str:
    with _inside(place) as said:
        exec(compile(text, "<document>", "exec"), {"__name__": "__main__"})
    return said.getvalue()


@contextlib.contextmanager
def _inside(place: Path) -> Iterator[io.StringIO]:
    before, said = Path.cwd(), io.StringIO()
    os.chdir(place)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield said
    finally:
        os.chdir(before)


def _ran(command: list[str], block: Block, place: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200
    )
    assert done.returncode == 0, f"exit {done.returncode} of\n{block.text}\n{done.stdout}"
    return done.stdout
