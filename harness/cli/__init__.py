"""The commands: `harness COMMAND ...`, the only exit of the program.

Tables and progress go to stderr; the last line on stdout is one JSON document. Exit 0: done. 1: a HarnessError, told
in one sentence. 2: wrong usage. 130: interrupted; what was done is kept. `--quiet` keeps stderr silent but for the
sentence of a failure; `--json` makes that a JSON document as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from harness.cli import output
from harness.cli.commands import app
from harness.cli.output import complain
from harness.cli.usage import JSON, QUIET
from harness.errors import HarnessError

INTERRUPTED = 130
"""Exit status after Ctrl-C, which typer gives back as a value."""
_HUSH = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    sys.exit(status(sys.argv[1:] if arguments is None else arguments))


def status(arguments: Sequence[str]) -> int:
    """Run one command; its exit status."""
    _set_mode(arguments)
    try:
        code = app(list(arguments), prog_name="harness", standalone_mode=False)
    except HarnessError as error:
        complain(str(error), type(error).__name__)
        return 1
    except Exception as error:
        # wrong usage: typer carries a click of its own, whose exceptions have no public name
        if not hasattr(error, "show"):
            raise
        if output.mode.as_json:
            complain(str(error.format_message()), "UsageError")  # type: ignore[attr-defined]
        else:
            error.show()
        return 2
    if code == INTERRUPTED:
        complain("interrupted; what was done is kept, and the same command continues from it.", "Interrupted")
    return code if isinstance(code, int) else 0


def _set_mode(arguments: Sequence[str]) -> None:
    """Read --quiet and --json wherever they stand: a fault in the other arguments must be told in the right voice."""
    given = set(arguments)
    output.mode.quiet = bool(given & set(QUIET))
    output.mode.as_json = bool(given & set(JSON))
    if output.mode.quiet or output.mode.as_json:
        # libraries that draw bars and give advice of their own
        for name, value in _HUSH.items():
            os.environ.setdefault(name, value)
