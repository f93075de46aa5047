"""`--fail-under` and `--junit`: what a build server asks of a run."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import make_facts, make_items, write_run

from harness.cli import status
from harness.cli.gate import Gate
from harness.cli.junit import write_junit, xml_text
from harness.errors import MarkError, StoreError
from harness.store import read_run

SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y');"
GOLDS = ("SELECT a FROM t", "SELECT b FROM t", "SELECT count(*) FROM t", "SELECT nope FROM t")
ANSWERS = ("SELECT a FROM t", "SELECT b FROM t", "SELECT '<b>]]>&\x07\x00' AS \"\u2028\"", "SELECT 1")
QUIET = ["score.workers=1", "score.cache_dir="]


@pytest.fixture(name="place")
def _place(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    items = [
        {"id": f"q{n}", "sql_prompt": f"Number {n} <&> \x1b?", "sql_context": SCRIPT, "sql": gold}
        for n, gold in enumerate(GOLDS)
    ]
    Path("bench.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    answers = [{"id": f"q{n}", "sql": sql} for n, sql in enumerate(ANSWERS)]
    Path("p.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    return tmp_path


def score(*options: str) -> int:
    return status(["score", "bench.jsonl", "p.jsonl", *options, *QUIET])


@pytest.mark.parametrize(("mark", "code"), [("0.66", 0), ("0.67", 1)])
def test_the_exit_code_says_whether_the_mark_is_reached(place, capsys, mark, code):
    assert score("--fail-under", mark) == code
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert (document["fail_under"], document["passed"]) == (float(mark), code == 0)
    assert document["execution_accuracy"] == pytest.approx(2 / 3)
    told = f"The execution accuracy of p.jsonl is 0.6667 (66.7 % [20.8, 93.9] n=3), below the mark of {float(mark):g}."
    assert (f"harness: {told}" in captured.err) == (code == 1)


def test_where_nothing_can_be_scored_no_mark_is_reached():
    with pytest.raises(MarkError, match="No question of m could be scored, so 0 is not reached"):
        Gate(0.0).check("m", {"execution_accuracy": None, "execution_accuracy_ci": None, "scored": 0})


@pytest.mark.parametrize("mark", ["55", "-1", "half"])
def test_a_mark_that_is_no_share_is_wrong_usage(place, mark, capsys):
    assert score("--fail-under", mark) == 2
    assert "--fail-under" in capsys.readouterr().err


def test_every_question_is_a_test_case_and_the_mark_is_one_more(place, capsys):
    before = {path.name for path in place.iterdir()}
    assert score("--junit", "out/results.xml", "--fail-under", "0.9") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["junit"], document["out"]) == ("out/results.xml", None)
    assert {path.name for path in place.iterdir()} == before | {"out"}

    root = Tree.parse("out/results.xml").getroot()
    assert {key: root.get(key) for key in ("tests", "failures", "skipped")} == {
        "tests": "5",
        "failures": "2",
        "skipped": "1",
    }
    (suite,) = root
    assert suite.get("name") == "bench: p"
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases][:1] == ["q0: Number 0 <&> \\x1b?"]
    assert [[child.tag for child in case] for case in cases] == [[], [], ["failure"], ["skipped"], ["failure"]]
    failure = cases[2].find("failure")
    assert failure.get("type") == "wrong_row_count" or failure.get("type") == "wrong_values"
    assert failure.get("message")
    assert "Gold: SELECT count(*) FROM t" in failure.text
    assert "Answer: SELECT '<b>]]>&\\x07\\x00'" in failure.text
    assert cases[3].find("skipped").get("message").startswith("gold_error: ")
    assert cases[4].find("failure").get("message") == "execution accuracy is 66.67 %, below 90.00 %"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=40))
def test_any_text_is_well_formed_and_readable(text):
    shown = xml_text(text)
    element = Tree.Element("a", b=shown)
    element.text = shown
    back = Tree.fromstring(Tree.tostring(element, encoding="utf-8"))
    # a parser reads every line end as one newline
    assert (back.text or "") == shown.replace("\r\n", "\n").replace("\r", "\n")
    assert back.get("b") is not None
    legal = all(ch in "\t\n\r" or ch >= " " for ch in text) and not any("\ud800" <= ch <= "\udfff" for ch in text)
    assert shown == text or not legal or any(ch in "\ufffe\uffff" for ch in text)


def test_thousands_of_long_answers_stay_a_small_file(tmp_path):
    rows = [{**row, "completion": "x" * 100_000, "sql": "y" * 100_000} for row in make_items(200, 0.2, 1)]
    run = read_run(write_run(tmp_path, make_facts("r", "m"), rows))
    write_junit([run, run], tmp_path / "r.xml")
    assert (tmp_path / "r.xml").stat().st_size < 2_000_000
    root = Tree.parse(tmp_path / "r.xml").getroot()
    assert [len(suite.findall("testcase")) for suite in root] == [200, 200]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/x\.xml cannot be written"):
        write_junit([], tmp_path / "file" / "x.xml")


def test_an_evaluation_is_judged_by_the_model_that_came_last(tmp_path, monkeypatch, capsys):
    from harness.cli import experiments
    from harness.evaluate.run import Evaluated

    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text('[benchmark]\nname = "pocket"\n[eval]\nreport = false\n')
    totals = {"n": 10, "scored": 10, "unscorable": 0, "exact_match": 0.0, "suite": None, "outcomes": {}}
    runs = []
    for model, accuracy in (("base", 0.1), ("checkpoint-5", 0.6)):
        facts = totals | {"execution_accuracy": accuracy, "execution_accuracy_ci": [0.0, 1.0]}
        folder = write_run(tmp_path, make_facts(f"r-{model}", model, totals=facts), make_items(10, accuracy, 1))
        runs.append(Evaluated(read_run(folder), reused=True))
    monkeypatch.setattr(experiments.Evaluation, "all", lambda self: iter(runs))
    assert status(["eval", "e.toml", "--fail-under", "0.55", "--junit", "r.xml"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    assert [suite.get("name") for suite in Tree.parse("r.xml").getroot()] == ["pocket: base", "pocket: checkpoint-5"]
    assert status(["eval", "e.toml", "--fail-under", "0.65"]) == 1
    assert "The execution accuracy of checkpoint-5 is 0.6000" in capsys.readouterr().err
