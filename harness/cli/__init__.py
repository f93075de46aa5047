"""The commands: `harness COMMAND ...`, the only exit of the program.

Tables and progress go to stderr; the last line on stdout is one JSON document. Exit 0: done. 1: a HarnessError, told
in one sentence. 2: wrong usage. 130: interrupted; what was done is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.cli.commands import app
from harness.cli.output import say
from harness.errors import HarnessError

INTERRUPTED = 130
"""Exit status after Ctrl-C, which typer gives back as a value."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    sys.exit(status(sys.argv[1:] if arguments is None else arguments))


def status(arguments: Sequence[str]) -> int:
    """Run one command; its exit status."""
    try:
        code = app(list(arguments), prog_name="harness", standalone_mode=False)
    except HarnessError as error:
        say(f"harness: {error}")
        return 1
    except Exception as error:
        # wrong usage: typer carries a click of its own, whose exceptions have no public name
        if not hasattr(error, "show"):
            raise
        error.show()
        return 2
    if code == INTERRUPTED:
        say("harness: interrupted; what was done is kept, and the same command continues from it.")
    return code if isinstance(code, int) else 0
