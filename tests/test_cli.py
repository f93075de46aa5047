from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli import status
from harness.store import load_items, read_run

SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y');"
ROWS = [
    {"id": 1, "sql_prompt": "All a?", "sql_context": SCRIPT, "sql": "SELECT a FROM t"},
    {"id": 2, "sql_prompt": "How many?", "sql_context": SCRIPT, "sql": "SELECT count(*) FROM t"},
    {"id": 3, "sql_prompt": "All c?", "sql_context": SCRIPT, "sql": "SELECT c FROM t"},
]
QUIET = ["score.workers=1", "score.cache_dir=", "score.suite=false"]


def lines(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(name="files")
def _files(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "bench.jsonl", ROWS)
    lines(tmp_path / "good.jsonl", [{"id": n, "sql": sql["sql"]} for n, sql in enumerate(ROWS, 1)])
    lines(tmp_path / "bad.jsonl", [{"id": "1", "sql": "SELECT b FROM t"}, {"id": "2", "completion": "no idea"}])
    return tmp_path


def last_json(capsys) -> dict:
    """The document a script reads: the last line on stdout, and nothing but it."""
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def test_score_ends_with_the_document_of_the_contract(files, capsys):
    assert status(["score", "bench.jsonl", "good.jsonl", "--out", "out", *QUIET]) == 0

    document = last_json(capsys)
    keys = {"n", "scored", "unscorable", "execution_accuracy", "exact_match", "seconds", "items_per_second", "out"}
    assert set(document) >= keys
    assert (document["n"], document["scored"], document["unscorable"]) == (3, 2, 1)
    assert document["execution_accuracy"] == 1.0
    assert document["exact_match"] == 1.0
    assert document["out"] == "out"
    assert document["items_per_second"] == pytest.approx(3 / document["seconds"], rel=0.2)
    assert sorted(path.name for path in (files / "out").iterdir()) == ["items.parquet", "run.json"]


def test_score_without_out_stores_nothing(files, capsys):
    before = {path.name for path in files.iterdir()}
    assert status(["score", "bench.jsonl", "good.jsonl", *QUIET]) == 0
    assert last_json(capsys)["out"] is None
    assert {path.name for path in files.iterdir()} == before


def test_a_missing_prediction_is_refused_by_name_before_anything_runs(files, capsys):
    assert status(["score", "bench.jsonl", "bad.jsonl", "--out", "out", *QUIET]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "'3' is missing" in captured.err
    assert "--allow-missing" in captured.err
    assert "Traceback" not in captured.err
    assert not (files / "out").exists()


def test_missing_predictions_are_wrong_where_allowed_and_counted(files, capsys):
    lines(files / "one.jsonl", [{"id": 1, "sql": "SELECT a FROM t"}])
    assert status(["score", "bench.jsonl", "one.jsonl", "--allow-missing", "--out", "out", *QUIET]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert (document["missing"], document["n"], document["scored"], document["execution_accuracy"]) == (2, 3, 2, 0.5)
    assert "2 questions without a prediction" in captured.err
    assert load_items("out")["outcome"].to_pylist() == ["correct", "no_sql", "gold_error"]


def test_overrides_reach_the_benchmark_and_the_scoring(files, capsys):
    renamed = [{"n": row["id"], "q": row["sql_prompt"], "schema": SCRIPT, "gold": row["sql"]} for row in ROWS[:2]]
    lines(files / "renamed.jsonl", renamed)
    columns = [f"benchmark.columns.{pair}" for pair in ("id=n", "question=q", "context=schema", "gold=gold")]
    lines(files / "two.jsonl", [{"id": 1, "sql": "SELECT a FROM t"}, {"id": 2, "sql": "SELECT 2"}])
    assert (
        status(["score", "renamed.jsonl", "two.jsonl", *columns, "benchmark.dialects=duckdb", "--out", "out", *QUIET])
        == 0
    )
    assert last_json(capsys)["execution_accuracy"] == 1.0
    facts = read_run("out").facts
    assert facts["benchmark"]["dialects"] == ["duckdb"]
    assert facts["score"]["tolerance"] == 1e-6


def test_audit_ends_with_the_document_of_the_contract(files, capsys):
    assert status(["audit", "bench.jsonl", *QUIET]) == 0
    document = last_json(capsys)
    assert (document["n"], document["usable"], document["unusable"]) == (3, 2, {"gold_error": 1})
    assert document["unusable_ids"] == {"gold_error": ["3"]}


def test_two_scored_files_can_be_compared_and_reported(files, capsys):
    lines(files / "worse.jsonl", [{"id": n, "sql": "SELECT a FROM t"} for n in (1, 2, 3)])
    for name in ("good", "worse"):
        assert status(["score", "bench.jsonl", f"{name}.jsonl", "--out", f"runs/{name}", *QUIET]) == 0
    capsys.readouterr()
    assert status(["compare", "runs/good", "runs/worse"]) == 0
    (pair,) = last_json(capsys)["pairs"]
    keys = {"a", "b", "n", "difference", "ci_low", "ci_high", "p_value", "both", "only_a", "only_b", "neither"}
    assert set(pair) >= keys
    assert (pair["n"], pair["both"], pair["only_a"], pair["difference"]) == (2, 1, 1, -0.5)
    assert status(["report", "runs/good", "runs/worse", "--out", "page"]) == 0
    assert last_json(capsys)["out"] == "page/index.html"
    assert (files / "page" / "index.html").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["score", "none.jsonl", "good.jsonl"], "none.jsonl does not exist"),
        (["score", "bench.jsonl", "none.jsonl"], "none.jsonl does not exist"),
        (["score", "bench.jsonl", "good.jsonl", "score.sweet=true"], "did you mean score.suite?"),
        (["score", "bench.jsonl", "good.jsonl", "nonsense"], "not KEY=VALUE"),
        (["score", "bench.jsonl", "good.jsonl", "--out", "bench.jsonl/x"], "cannot be written"),
        (["audit", "nowhere"], "No benchmark 'nowhere'"),
        (["audit", "spider"], "benchmark.root"),
        (["train", "none.toml"], "none.toml does not exist"),
        (["eval", "none.toml"], "none.toml does not exist"),
        (["compare", "a", "b"], "no run has this name"),
        (["report"], "There is no run to report"),
        (["bench", "sleep"], "score, generate, train"),
        (["merge", "none", "--out", "x"], "none"),
        (["merge", "none", "--out", "x", "--base", "int8"], "nf4-dequantised or original"),
        (["ask", "", "--schema", "s.sql", "--experiment", "none.toml"], "none.toml does not exist"),
    ],
)
def test_our_failures_are_one_sentence_with_exit_1(files, capsys, arguments, told):
    assert status(arguments) == 1
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.startswith("harness: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["score"], ["score", "a"], ["train", "--nope"], ["compare"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    assert status(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupt_says_that_what_was_done_is_kept(files, capsys, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.scoring.score", interrupted)
    assert status(["score", "bench.jsonl", "good.jsonl"]) == 130
    assert "what was done is kept" in capsys.readouterr().err


def test_the_last_line_is_json_whatever_the_data_hold(files, capsys):
    rows = [{"id": "ключ\u2028", "sql_prompt": "\x00?", "sql_context": SCRIPT, "sql": "SELECT 1e308 * 10"}]
    lines(files / "odd.jsonl", rows)
    lines(files / "odd_p.jsonl", [{"id": "ключ\u2028", "completion": "SELECT '\ud800', 1"}])
    assert status(["score", "odd.jsonl", "odd_p.jsonl", "--out", "odd", *QUIET]) == 0
    assert last_json(capsys)["n"] == 1
    assert load_items("odd")["id"].to_pylist() == ["ключ\u2028"]


def test_help_comes_at_once_and_as_a_module():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "harness", "score", "--help"], capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0
        assert "--allow-missing" in done.stdout
    assert min(seconds) < 1.5
