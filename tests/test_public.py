"""The public names: what the command line does, from Python, with results that show themselves."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest
from made_runs import make_facts, make_items, write_run

import harness
from harness.cli import status
from harness.errors import CompareError, ConfigError, DataError, StoreError

SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, '<b>y</b>');"
ROWS = [
    {"id": "1", "sql_prompt": "All a?", "sql_context": SCRIPT, "sql": "SELECT a FROM t"},
    {"id": "2", "sql_prompt": "How many?", "sql_context": SCRIPT, "sql": "SELECT count(*) FROM t"},
    {"id": "3", "sql_prompt": "All b?", "sql_context": SCRIPT, "sql": "SELECT b FROM t"},
]
ANSWERS = {"1": "SELECT a FROM t", "2": "SELECT 2", "3": "SELECT b FROM t LIMIT 1"}
FEW = {"score.workers": 1, "score.cache_dir": ""}


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory) -> Path:
    """A working folder with the runs that the docstrings speak of."""
    folder = tmp_path_factory.mktemp("public")
    runs = folder / "reports" / "runs"
    (folder / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    harness.score(folder / "letters.jsonl", ANSWERS, name="mine", out=runs / "mine", settings=FEW)
    for name, skill in (("better", 0.95), ("worse", 0.3)):
        write_run(runs, make_facts(name, name), make_items(10, skill, 3))
    return folder


@pytest.mark.parametrize("name", ["score", "audit", "compare", "load_run"])
def test_the_examples_of_the_docstrings_hold(place, monkeypatch, name):
    monkeypatch.chdir(place)
    function = getattr(harness, name)
    (found,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert len(found.examples) >= 3
    outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(found)
    assert outcome.failed == 0


def test_a_result_agrees_with_the_command(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    Path("a.jsonl").write_text("".join(json.dumps({"id": key, "sql": sql}) + "\n" for key, sql in ANSWERS.items()))
    assert status(["score", "letters.jsonl", "a.jsonl", "score.workers=1", "score.cache_dir="]) == 0
    document = json.loads(capsys.readouterr().out)
    result = harness.load_run("reports/runs/mine")
    for name in ("n", "scored", "execution_accuracy", "exact_match", "rules", "outcomes"):
        assert getattr(result, name) == document[name], name
    assert list(result.interval) == document["execution_accuracy_ci"]


def test_scored_results_are_compared_without_being_stored(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    first = harness.score(ROWS, ANSWERS, name="first", settings=FEW)
    second = harness.score(
        ROWS, ({"id": row["id"], "completion": row["sql"]} for row in ROWS), name="2nd", settings=FEW
    )
    pair = harness.compare(first, second)[0]
    assert (pair.a_model, pair.b_model, pair.both, pair.only_b) == ("first", "2nd", 2, 1)
    assert list(tmp_path.iterdir()) == []


def test_results_show_themselves_and_escape_what_models_wrote(place, monkeypatch):
    monkeypatch.chdir(place)
    facts = make_facts("x", "<script>alert(1)</script>", totals={"n": 1, "outcomes": {"<b>": 1}})
    run = harness.load_run(write_run(place / "odd", facts, make_items(3, 0.5, 1)))
    html = run._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>: 1" not in html
    assert "66.7 % [20.8, 93.9] n=3" in harness.load_run("reports/runs/mine")._repr_html_()
    shown = harness.compare("reports/runs/worse", "reports/runs/better")._repr_html_()
    assert "+70.0 points" in shown
    assert shown.count("<tr>") == 2
    broken = [{**ROWS[0], "sql": "SELECT '<i>' FROM nowhere"}]
    audited = harness.audit(broken, settings=FEW)
    assert audited.unusable == {"gold_error": ("1",)}
    assert "<i>" not in audited._repr_html_()
    assert "nowhere" in audited._repr_html_()


@pytest.mark.parametrize(
    ("call", "kind", "told"),
    [
        (lambda: harness.load_run("none"), StoreError, "no run has this name"),
        (lambda: harness.score("none.csv", ANSWERS), DataError, "does not exist"),
        (lambda: harness.score(ROWS, {"1": "SELECT 1"}), DataError, "'2', '3' are missing"),
        (lambda: harness.score(ROWS, {"1": 5}), DataError, "where text belongs"),
        (lambda: harness.score([object()], {}), DataError, "mappings of column names"),
        (lambda: harness.score(ROWS, ANSWERS, settings={"score.sweet": True}), ConfigError, "score.suite"),
        (lambda: harness.score(ROWS, ANSWERS, settings={"score.suite": object()}), ConfigError, "truth value"),
        (lambda: harness.audit([]), DataError, "holds no row"),
        (lambda: harness.compare("reports/runs/worse"), CompareError, "needs two runs"),
        (lambda: harness.compare("reports/runs/worse", "reports/runs/mine"), CompareError, "may not be compared"),
    ],
)
def test_what_is_wrong_is_one_sentence(place, monkeypatch, call, kind, told):
    monkeypatch.chdir(place)
    with pytest.raises(kind, match=told) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_settings_reach_the_scoring(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = harness.score(
        ROWS[1:2], {"2": "SELECT 2"}, settings={**FEW, "score.suite": True, "benchmark.dialects": ("mysql", "duckdb")}
    )
    assert result.facts["benchmark"]["dialects"] == ["mysql", "duckdb"]
    assert result.suite_accuracy == 0.0
    assert "suite match" in result._repr_html_()
