"""The errors a person sees: one sentence that says what, where, and what to do next.

A model's failure is never one of these: bad SQL is a value (an outcome of the item), counted against the model.
These are ours or the user's: a bad file, a missing model, no GPU, a full disk. `harness.cli` prints them without a
traceback and exits with 1.
"""


class HarnessError(Exception):
    """Something the user can mend; the message names the thing and the remedy."""


class ConfigError(HarnessError):
    """An experiment file, a benchmark file or an override is wrong; every fault is told at once."""


class DataError(HarnessError):
    """A data file (questions, predictions, a database) cannot be read or contradicts itself."""


class ModelError(HarnessError):
    """A model, tokenizer or adapter cannot be found, read, trusted or matched to its base."""


class DeviceError(HarnessError):
    """The hardware asked for is not here, or its memory did not suffice."""


class StoreError(HarnessError):
    """A run on disk cannot be written or read back."""


class SandboxError(HarnessError):
    """The scoring workers cannot be started or kept alive; never raised for what a statement did."""


class CompareError(HarnessError):
    """Runs that may not be compared, with the field in which they differ."""


class MarkError(HarnessError):
    """A run did what it should and reached less than `--fail-under` asks for."""
