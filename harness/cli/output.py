"""Two readers: people on stderr, scripts on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Tick = Callable[[int, int], None]
"""Called with (done, in all)."""


@dataclass(slots=True)
class Mode:
    """How the command that is running speaks."""

    quiet: bool = False
    """Nothing for people."""
    as_json: bool = False
    """Nothing for people, and failures as JSON documents."""


mode = Mode()
"""Set by `harness.cli.status` before each command."""


def console() -> Console:
    """The terminal of people: stderr, as wide as it is, 160 where it is none; silent in the quiet modes."""
    silent = mode.quiet or mode.as_json
    shown = Console(stderr=True, highlight=False, soft_wrap=True, quiet=silent)
    if shown.is_terminal:
        return shown
    return Console(stderr=True, highlight=False, soft_wrap=True, width=160, quiet=silent)


def say(text: str) -> None:
    """A line for people."""
    console().print(text, markup=False)


def complain(text: str, kind: str) -> None:
    """Why a command failed: a line on stderr in every mode but JSON, where it is the document."""
    if mode.as_json:
        emit({"error": text, "kind": kind})
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"harness: {text}", markup=False)


def emit(document: Mapping[str, Any]) -> None:
    """The JSON document of a command: one line, the last on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


@contextmanager
def progress(label: str) -> Iterator[Tick]:
    """A bar on stderr for what takes a while; nothing where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    shown = console()
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task(label, total=None)

        def tick(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tick


@contextmanager
def no_progress(label: str) -> Iterator[Tick]:
    """A bar that nobody sees, for a process that others speak for."""
    yield lambda done, total: None
