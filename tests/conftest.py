from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.cli import output

os.environ["TRITON_INTERPRET"] = "1"  # kernels run on the CPU; Triton reads this once, when it is first imported

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets beside the checkout; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the public data sets (Spider and others) in ../shared/data")
    return folder


@pytest.fixture(autouse=True)
def _loud():
    """A command run in this process with --quiet leaves the next test as loud as before."""
    yield
    output.mode.quiet = output.mode.as_json = False
