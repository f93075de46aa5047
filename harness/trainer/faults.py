"""What befalls a training from outside, in one sentence with the setting to change; and libraries kept quiet."""

from __future__ import annotations

import errno
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets

from harness.errors import DeviceError, HarnessError, StoreError
from harness.model.memory import is_out_of_memory
from harness.trainer.settings import TrainSettings


@contextmanager
def explained(settings: TrainSettings, out: Path) -> Iterator[None]:
    """Turn what hardware and disk do into one sentence with the setting to change."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            remedy = "train.gradient_checkpointing=true" if not settings.gradient_checkpointing else "train.max_length"
            if settings.batch_size > 1:
                remedy = f"train.batch_size below {settings.batch_size} (and train.accumulation up)"
            raise DeviceError(f"Memory did not suffice for training; set {remedy}, then run again.") from error
        if _disk_full(error, out):
            raise StoreError(
                f"The disk under {out} is full; free some, or save less often (train.save_every_steps), then run "
                "again: training resumes from the last whole checkpoint."
            ) from error
        raise


def _disk_full(error: Exception, out: Path) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    words = str(error).lower()
    if "no space left" in words or "disk quota" in words:
        return True
    return "writer" in words and shutil.disk_usage(out).free < 2**20  # torch.save hides the errno


@contextmanager
def hushed() -> Iterator[None]:
    """Keep the libraries' advice and bars from the screen while training."""
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if not bars:
            datasets.enable_progress_bars()
