"""The experiment file and the benchmark file: what may be set, what it means, and what is wrong with yours."""

from harness.config.benchmark_file import DIALECTS, BenchmarkFile, Columns, Split
from harness.config.reading import (
    ScoreCommand,
    keys,
    load_benchmark_file,
    load_experiment,
    load_score_command,
    merged,
    parse_overrides,
    read_toml,
    restored,
)
from harness.config.sections import (
    BenchmarkChoice,
    EvalChoice,
    Experiment,
    GenerateChoice,
    ModelChoice,
    PromptChoice,
    ScoreChoice,
    TrainChoice,
)

__all__ = [
    "DIALECTS",
    "BenchmarkChoice",
    "BenchmarkFile",
    "Columns",
    "EvalChoice",
    "Experiment",
    "GenerateChoice",
    "ModelChoice",
    "PromptChoice",
    "ScoreChoice",
    "ScoreCommand",
    "Split",
    "TrainChoice",
    "keys",
    "load_benchmark_file",
    "load_experiment",
    "load_score_command",
    "merged",
    "parse_overrides",
    "read_toml",
    "restored",
]
