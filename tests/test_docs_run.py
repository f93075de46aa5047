"""Every command in the README and the docs runs as it is written, or stands in a list that says what it would need."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from documents import ROOT, SHELL, Block, blocks, commands_of, program, run
from made_runs import make_facts, make_items, write_run

DOCS = sorted((ROOT / "docs").glob("*.md"))
GPU, HUB, SERVER, DATA = "a GPU", "a download of weights or data", "a running server", "data that are not shipped"
TESTED = "minutes: run by another test, smaller"
NEEDS = {
    # README
    "make train eval": f"{TESTED}: tests/test_end_to_end.py",
    "make test": "itself",
    "make train eval EXPERIMENT=benchmarks/gretel/gemma-3-1b.toml ARGS=train.epochs=1": GPU,
    "harness train benchmarks/pocket/pocket.toml": f"{TESTED}: tests/test_end_to_end.py",
    "harness eval benchmarks/pocket/pocket.toml --show 2": f"{TESTED}: tests/test_end_to_end.py",
    "harness score spider predictions.jsonl benchmark.root=/data/spider --out reports/runs/mine": DATA,
    "harness audit pocket": f"{TESTED}: tests/test_pocket.py",
    "harness bench score": f"{TESTED}: tests/test_bench.py",
    "harness merge reports/adapters/pocket --out merged": f"{TESTED}: tests/test_end_to_end.py",
    "harness ask 'How many orders are there?' --schema schema.sql": f"{TESTED}: tests/test_end_to_end.py",
    # docs/your-own-database.md
    "harness eval benchmarks/shop/shop.toml": HUB,
    "harness ask 'Which city spends most?' --schema shop --experiment benchmarks/shop/shop.toml --model base": HUB,
    "harness eval benchmarks/shop/shop.toml generate.backend=server "
    "generate.server.url=http://localhost:8000/v1": SERVER,
    "harness train benchmarks/shop/shop.toml benchmark.evaluate=test": HUB,
    "harness eval benchmarks/shop/shop.toml benchmark.evaluate=test eval.models=base,checkpoints": HUB,
    # docs/servers.md
    "harness eval benchmarks/spider/gemma-3-270m.toml generate.backend=server generate.server.concurrency=256": SERVER,
    "harness eval benchmarks/spider/gemma-3-270m.toml generate.backend=server "
    """'eval.models=["base-it", "checkpoint-202"]'""": SERVER,
    "harness merge reports/adapters/spider-gemma-3-270m --out merged": f"{TESTED}: tests/test_end_to_end.py",
    # docs/formats.md
    "harness score singers.jsonl out/tiny/samples_singers_2026-11-24T08-30-01.jsonl": f"{TESTED}: test_foreign.py",
    "harness score singers.jsonl logs/2026-11-24T08-30-27-00-00_singers.eval": f"{TESTED}: test_foreign.py",
    # docs/suites.md
    "harness score pocket predictions.jsonl --out reports/runs/mine": f"{TESTED}: tests/test_suite_scoring.py",
    "harness score pocket predictions.jsonl score.suite=false": f"{TESTED}: tests/test_suite_scoring.py",
    "harness witness pocket 100006": f"{TESTED}: tests/test_suite_audit.py",
    "harness witness pocket 100006 --sql 'SELECT AVG(mirror_size) FROM telescopes'": f"{TESTED}: test_suite_audit.py",
    # README's verify, docs/scaling.md
    "harness verify reports/runs/a": f"{TESTED}: tests/test_verify.py",
    "harness rescore reports/runs/a": f"{TESTED}: tests/test_verify.py",
    "harness score questions.parquet predictions.parquet --out reports/runs/million --shard 1/64": f"{TESTED}: tests/test_shards.py",  # noqa: E501
    "harness score --join reports/runs/million": f"{TESTED}: tests/test_shards.py",
    "harness verify reports/runs/million": f"{TESTED}: tests/test_shards.py",
    "harness verify reports/runs/a benchmark.root=/data/spider --sample 500": f"{TESTED}: tests/test_shards.py",
    "harness rescore reports/runs/a benchmark.root=/data/spider": f"{TESTED}: tests/test_verify.py",
    "harness plan benchmarks/gretel/gemma-3-1b.toml --gpu A100 --n 100000": f"{TESTED}: tests/test_shards.py",
}
"""Commands that are not run here, with what they need; all others are."""
READ = {
    ("formats.md", "task: singers"): "a task of lm-evaluation-harness, whose real logs tests/test_foreign.py reads",
    ("formats.md", "lm_eval --model hf"): "lm-evaluation-harness",
    ("formats.md", "import json"): "inspect_ai, whose real logs tests/test_foreign.py reads",
    ("huggingface.md", "[train]"): "settings: tests/test_docs.py looks each up; pushed in tests/test_card.py",
    ("huggingface.md", "def compute_metrics"): "a Trainer of the reader's own",
    ("huggingface.md", "tensorboard --logdir"): "a browser; its files are read in tests/test_trackers.py",
    ("scaling.md", "accelerate launch --config_file"): f"8 GPUs; with two processes: {TESTED}: tests/test_ranks.py",
    ("scaling.md", "accelerate launch --config_file examples/accelerate_8_gpus.yaml -m harness train"): "as above",
    ("servers.md", "[generate]"): "settings: tests/test_docs.py looks each up; used in tests/test_server.py",
    ("servers.md", "vllm serve"): "vLLM and GPUs",
}
"""Blocks that no test runs and that hold no command of ours: page and first words -> what they are."""
PAGES = ("sql.md", "python.md", "formats.md", "servers.md")
RUN_IN = {
    "your-own-database.md": "test_a_stranger_comes_from_a_database_to_a_report_by_the_page_as_written",
    "ci.md": "test_a_stranger_comes_from_a_database_to_a_report_by_the_page_as_written",
    "huggingface.md": "tests/test_metrics.py",
    **dict.fromkeys(PAGES, "test_the_other_pages_run_as_written"),
}
"""Pages with blocks that are run -> where."""


def _runnable(block: Block) -> bool:
    return block.language not in SHELL or not set(block.commands) & set(NEEDS)


@pytest.mark.parametrize("path", [ROOT / "README.md", *DOCS], ids=lambda path: path.name)
def test_every_command_is_run_or_says_what_it_needs(path):
    for block in blocks(path):
        left = [command for command in block.commands if command not in NEEDS]
        # the README's block is a list of examples, each of which is run by itself
        assert not left or path.name == "README.md" or (block.language in SHELL and _runnable(block)), left


@pytest.mark.parametrize("path", [ROOT / "README.md", *DOCS], ids=lambda path: path.name)
def test_no_block_is_passed_over_in_silence(path):
    text, found = path.read_text(encoding="utf-8"), blocks(path)
    fences = [line for line in text.splitlines() if line.lstrip().startswith(("```", "~~~"))]
    assert len(fences) == 2 * len(found), "a block that is indented, or otherwise fenced, would not be seen"
    for block in found:
        is_run = block.language in (*SHELL, "python", "text") and _runnable(block)
        if is_run:
            assert path.name in RUN_IN, f"no test runs the blocks of {path.name}"
        elif not block.commands:
            words = [words for page, words in READ if page == path.name and block.text.startswith(words)]
            assert words, f"{path.name}: neither run nor listed: {block.text[:60]!r}"


def test_no_block_is_listed_that_no_page_has():
    texts = {path.name: [block.text for block in blocks(path)] for path in DOCS}
    assert [key for key in READ if not any(text.startswith(key[1]) for text in texts[key[0]])] == []


def test_no_command_is_excused_that_no_document_has():
    named = {command for path in (ROOT / "README.md", *DOCS) for block in blocks(path) for command in block.commands}
    assert set(NEEDS) - named == set()


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    place = tmp_path / "place"
    place.mkdir()
    return place, program(tmp_path / "bin")


def made_runs(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        rows = [{key: value for key, value in row.items() if key != "tags"} for row in make_items(60, 0.5, number)]
        write_run(folder, make_facts(name, name), rows)


@pytest.mark.slow
def test_a_stranger_comes_from_a_database_to_a_report_by_the_page_as_written(place):
    folder, environment = place
    parts = blocks(ROOT / "docs" / "your-own-database.md")
    environment["PYTHONWARNINGS"] = "ignore"
    run([part for part in parts if _runnable(part)], folder, environment)
    assert (folder / "reports" / "page" / "index.html").stat().st_size > 10_000
    assert {path.name for path in (folder / "reports" / "runs").iterdir()} == {"first", "second"}

    # the pages that go on from here
    shutil.copy(folder / "second.jsonl", folder / "predictions.jsonl")
    shutil.copytree(folder / "reports" / "runs" / "first", folder / "reports" / "runs" / "main")
    run([part for part in blocks(ROOT / "docs" / "ci.md") if _runnable(part)], folder, environment)
    assert json.loads((folder / "compare.json").read_text())["pairs"]
    assert (folder / "reports" / "results.xml").is_file()
    workflow_runs(folder, environment)


def workflow_runs(folder: Path, environment: dict[str, str]) -> None:
    """The steps of the example for GitHub, in a shell as GitHub starts it."""
    (folder / "answer.py").write_text("import shutil\nshutil.copy('second.jsonl', 'predictions.jsonl')\n")
    environment = {**environment, "GITHUB_STEP_SUMMARY": str(folder / "step.md")}
    for step in yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["score"]["steps"]:
        if "run" in step and not step["run"].startswith("pip install"):
            run([Block("sh", step["run"])], folder, environment)
    assert "execution accuracy" in (folder / "step.md").read_text().lower()


@pytest.mark.parametrize("name", PAGES)
def test_the_other_pages_run_as_written(place, name):
    # docs/huggingface.md runs in tests/test_metrics.py
    folder, environment = place
    made_runs(folder / "reports" / "runs", "base", "checkpoint-60")
    run([part for part in blocks(ROOT / "docs" / name) if _runnable(part)], folder, environment)


def test_the_readmes_other_examples_run(place):
    folder, environment = place
    made_runs(folder / "reports" / "runs", "a", "b")
    # the database and the questions that `harness init` is shown with
    run(blocks(ROOT / "docs" / "your-own-database.md")[:2], folder, environment)
    for command in dict.fromkeys(c for block in blocks(ROOT / "README.md") for c in block.commands):
        if command not in NEEDS:
            run([Block("sh", command + "\n")], folder, environment)


WORKFLOW = ROOT / "examples" / "github-actions.yml"


def test_the_example_for_github_is_a_workflow_that_names_no_place():
    text = WORKFLOW.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    # YAML 1.1 reads the key `on` as true
    assert set(workflow[True]) == {"pull_request", "push"}
    (job,) = workflow["jobs"].values()
    assert job["runs-on"] == "ubuntu-latest"
    for step in job["steps"]:
        assert ("run" in step) != ("uses" in step), step
        if "uses" in step:
            owner, _, version = step["uses"].partition("@")
            assert "/" in owner
            assert version
    commands = [command for step in job["steps"] if "run" in step for command in commands_of(step["run"])]
    assert [command.split()[1] for command in commands] == ["audit", "score", "report"]
    assert "--fail-under" in commands[1]
    assert "--junit reports/results.xml" in commands[1]
    # what comes after a missed mark must still run
    after = job["steps"][[step.get("name") for step in job["steps"]].index("Score the answers") + 1 :]
    assert all(step.get("if") == "always()" for step in after)
