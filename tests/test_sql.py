"""`harness sql`: documented tables over all runs, read-only, closed to everything else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import get_args

import pytest
from made_runs import make_facts, make_items, write_run

from harness.cli import status
from harness.query import TABLES, open_runs, stored_runs
from harness.records import Database, Generation, Item, Outcome, RunKind, Verdict
from harness.store import item_row
from harness.store import write_run as store_run

ROOT = Path(__file__).resolve().parent.parent


def untagged(n: int, skill: float, seed: int) -> list[dict]:
    """Made-up items without tags, whose type a plain list of rows does not tell."""
    return [{name: value for name, value in row.items() if name != "tags"} for row in make_items(n, skill, seed)]


@pytest.fixture(scope="module", name="made")
def _made(tmp_path_factory) -> Path:
    """A working folder with a training's runs, the totals of one spelt out."""
    folder = tmp_path_factory.mktemp("sql")
    for number, model in enumerate(("base", "checkpoint-60", "checkpoint-120")):
        write_run(folder / "reports" / "runs", make_facts(f"run-{model}", model), untagged(40, 0.4, number))
    totals = {
        "n": 40,
        "scored": 39,
        "unscorable": 1,
        "execution_accuracy": 0.5,
        "execution_accuracy_ci": [0.35, 0.65],
        "rules": {"strict": 0.4},
        "outcomes": {"correct": 20, "wrong_values": 20},
        "output_tokens": 820,
    }
    facts = make_facts("it's; a run", "base", name="other", totals=totals)
    write_run(folder / "reports" / "published" / "day" / "runs", facts, untagged(40, 0.5, 7))
    return folder


@pytest.fixture(name="ask")
def _ask(made, monkeypatch, capsys):
    monkeypatch.chdir(made)

    def ask(query: str, *options: str, code: int = 0) -> dict | str:
        assert status(["sql", query, *options]) == code
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]) if code == 0 else captured.err

    return ask


def test_every_documented_column_is_there_with_its_type_and_meaning(made, monkeypatch):
    monkeypatch.chdir(made)
    with open_runs(stored_runs()) as tables:
        for name, columns in TABLES.items():
            answer = tables.ask(f"FROM {name} LIMIT 0")
            assert list(zip(answer.columns, answer.types, strict=True)) == [(c.name, c.type) for c in columns]
    assert [column.name for columns in TABLES.values() for column in columns if not column.meaning] == []


def test_the_page_in_the_docs_lists_every_column():
    text = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
    for name, columns in TABLES.items():
        for column in columns:
            assert f"| `{column.name}` | {column.type} | {column.meaning} |" in text, f"{name}.{column.name}"


def test_the_kinds_that_the_page_names_are_those_that_runs_have():
    (meaning,) = [column.meaning for column in TABLES["runs"] if column.name == "kind"]
    named = re.sub(r"\(.*?\)", "", meaning.partition(": ")[2]).replace(" ", "").split(",")
    assert tuple(named) == get_args(RunKind)
    published = {run.facts["kind"] for run in stored_runs([str(ROOT / "reports/published/*/runs")])}
    assert published
    assert published <= set(named)


def test_runs_of_both_places_are_asked_in_one_query(ask):
    found = ask("SELECT model, n, execution_accuracy, ci_high, accuracy_strict, hardware FROM runs WHERE n = 40")
    assert found["rows"] == [["base", 40, 0.5, 0.65, 0.4, "NVIDIA H100 80GB HBM3"]]
    assert (found["n"], found["runs"]) == (1, 4)
    counted = ask("SELECT run, count(*), count(DISTINCT id) FROM items GROUP BY run ORDER BY run")
    assert len(counted["rows"]) == 4
    assert all(row[1:] == [40, 40] for row in counted["rows"])
    shares = ask("SELECT outcome, n, share FROM outcomes ORDER BY outcome")
    assert shares["rows"] == [["correct", 20, 0.5], ["wrong_values", 20, 0.5]]


def test_a_slow_query_draws_no_bar_on_stdout(ask):
    # DuckDB would draw it over the document once a query takes two seconds
    assert ask("SELECT current_setting('enable_progress_bar')")["rows"] == [[False]]


def test_slices_are_a_map(tmp_path, ask):
    item = Item("1", "q", "", ("SELECT 1",), Database("k"), tags={"kind": "count"})
    row = item_row(item, Generation("1", "SELECT 1"), Verdict("1", Outcome.CORRECT, ""))
    store_run(tmp_path / "r", {"id": "r", "model": "m"}, [row])
    assert ask("SELECT tags['kind'], match_default FROM items", "--runs", str(tmp_path))["rows"] == [["count", None]]


def test_a_checkpoints_gain_is_over_its_own_base(tmp_path, ask):
    for model, accuracy in (("base", 0.25), ("checkpoint-5", 0.75)):
        totals = {"n": 4, "execution_accuracy": accuracy}
        write_run(tmp_path, make_facts(f"r-{model}", model, totals=totals), untagged(4, 0.5, 1))
    found = ask("SELECT model, step, gain FROM checkpoints", "--runs", str(tmp_path))
    assert found["rows"] == [["base", 0, 0.0], ["checkpoint-5", 5, 0.5]]


def test_values_of_every_kind_are_json(ask):
    found = ask(
        "SELECT 1.5::DECIMAL(4,2) AS d, 'nan'::DOUBLE, DATE '2024-01-02', [1, NULL], {'a': TRUE}, 2**70, "
        "'\U0001f600\x01', '\\xAA'::BLOB, INTERVAL 1 DAY"
    )
    (row,) = found["rows"]
    assert row[:6] == ["1.50", None, "2024-01-02", [1, None], {"a": True}, 2.0**70]
    assert row[6] == "\U0001f600\x01"
    assert ask("SELECT started FROM runs LIMIT 1")["types"] == ["TIMESTAMP WITH TIME ZONE"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT * FROM read_csv('/etc/hostname')", "file system operations are disabled"),
        ("SELECT * FROM '/etc/hostname.csv'", "file system operations are disabled"),
        ("SELECT * FROM glob('/*')", "file system operations are disabled"),
        ("SELECT * FROM read_parquet('reports/runs/run-base/items.parquet')", "file system operations are disabled"),
        ("COPY runs TO 'x.csv'", "not one reading statement"),
        ("CREATE TABLE t (a INT)", "not one reading statement"),
        ("DROP VIEW runs", "not one reading statement"),
        ("SELECT 1; SELECT 2", "not one reading statement"),
        ("SET enable_external_access = true", "not one reading statement"),
        ("INSTALL httpfs", "not one reading statement"),
        ("ATTACH 'x.duckdb'", "not one reading statement"),
        ("WITH a AS (SELECT 1) INSERT INTO runs SELECT * FROM a", "not one reading statement"),
        ("SELECT accuracy FROM runs", 'Candidate bindings: "accuracy_'),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM run", "Did you mean"),
    ],
)
def test_what_is_no_query_over_runs_is_refused_in_one_sentence(ask, made, query, told):
    before = {path: path.stat().st_size for path in made.rglob("*")}
    said = ask(query, code=1)
    assert told in said
    assert said.startswith("harness: ")
    assert "Traceback" not in said
    assert {path: path.stat().st_size for path in made.rglob("*")} == before


def test_without_a_query_the_tables_are_listed_and_without_runs_they_are_empty(ask, tmp_path, monkeypatch, capsys):
    listed = ask("")
    assert set(listed["tables"]) == {"runs", "items", "outcomes", "checkpoints"}
    monkeypatch.chdir(tmp_path)
    for name in TABLES:
        assert status(["sql", f"SELECT count(*) FROM {name}"]) == 0
        assert json.loads(capsys.readouterr().out)["rows"] == [[0]]
    assert status(["sql", "FROM runs", "--runs", "nowhere"]) == 1
    assert "nowhere is no folder of runs" in capsys.readouterr().err


def test_a_run_whose_items_are_spoilt_is_named(made, tmp_path, monkeypatch, capsys):
    shutil.copytree(made / "reports" / "runs" / "run-base", tmp_path / "runs" / "run-base")
    (tmp_path / "runs" / "run-base" / "items.parquet").write_bytes(b"PAR1")
    monkeypatch.chdir(tmp_path)
    assert status(["sql", "SELECT count(*) FROM items", "--runs", "runs"]) == 1
    said = capsys.readouterr().err
    assert "run-base" in said
    assert "Traceback" not in said
