from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.cli import status
from harness.config import load_experiment
from harness.errors import ConfigError, StoreError
from harness.evaluate import run as running
from harness.evaluate.rescore import rescore
from harness.evaluate.run import Evaluation, Hooks
from harness.evaluate.subjects import Subject
from harness.evaluate.verify import Verified, verify
from harness.records import Generation
from harness.store import ITEMS_FILE, file_digest, load_items, read_run

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "benchmarks" / "pocket" / "base"
SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL);"
QUERIES = ("SELECT a FROM t", "SELECT b FROM t WHERE a > 1", "SELECT c FROM t", "DELETE FROM t WHERE b = 'x'")
COMPLETIONS = ("SELECT a FROM t", "```sql\nSELECT b FROM t WHERE a >= 2\n```", "no idea", "SELECT sum(a) FROM")


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class Canned:
    """Answers from a list; two samples a question."""

    facts = {"backend": "canned"}  # noqa: RUF012

    def generate(self, requests, decoding, progress=None):
        for place, request in enumerate(requests):
            for sample in range(decoding.samples):
                yield Generation(request.id, COMPLETIONS[(place + sample) % 4], 10, 5, sample != 1, sample)

    def speed(self):
        return None


@contextmanager
def no_bar(label: str):
    yield lambda done, total: None


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory) -> Path:
    """A benchmark, a model folder, and two runs: an evaluation with two samples, and a file of predictions."""
    folder = tmp_path_factory.mktemp("verify")
    rows = [{"id": n, "sql_prompt": f"Q{n}?", "sql_context": SCRIPT, "sql": sql} for n, sql in enumerate(QUERIES)]
    write_lines(folder / "bench.jsonl", rows)
    shutil.copytree(BASE, folder / "base")
    (folder / "trial.toml").write_text(
        f'[benchmark]\nname = "{folder}/bench.jsonl"\n[model]\nbase = "{folder}/base"\n[score]\nworkers = 1\n'
        f'cache_dir = ""\n[eval]\nmodels = ["base"]\nruns = "{folder}/runs"\n'
        "[generate]\nsamples = 2\ntemperature = 1.0\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "open_generator", lambda *_: Canned())
        evaluation = Evaluation(load_experiment(folder / "trial.toml"), Hooks(lambda text: None, no_bar))
        shutil.copytree(evaluation.one(Subject("base", "base")).run.path, folder / "evaluated")
    answers = [{"id": 0, "sql": " SELECT a FROM t"}, {"id": 1, "completion": COMPLETIONS[1]}, {"id": 3, "sql": ""}]
    predictions = write_lines(folder / "p.jsonl", answers)
    command = ["score", str(folder / "bench.jsonl"), str(predictions), "--out", str(folder / "scored")]
    # witness databases are looked at in the other run
    settings = ("score.workers=1", "score.cache_dir=", "score.suite=false")
    assert status([*command, "--allow-missing", *settings]) == 0
    return folder


@pytest.fixture(name="copy")
def _copy(place: Path, tmp_path: Path) -> Path:
    """Both runs, to spoil."""
    for name in ("evaluated", "scored"):
        shutil.copytree(place / name, tmp_path / name)
    return tmp_path


def states(found: Verified) -> dict[str, str]:
    return {check.name: check.state for check in found.checks}


def rewrite(run: Path, change) -> None:
    """Change a run's rows as somebody would who knows about the digest."""
    table = pq.read_table(run / ITEMS_FILE)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), run / ITEMS_FILE)
    document = json.loads((run / "run.json").read_text())
    document["digests"]["items"] = file_digest(run / ITEMS_FILE)
    (run / "run.json").write_text(json.dumps(document))


@pytest.mark.parametrize("name", ["evaluated", "scored"])
def test_an_honest_run_holds(copy, name):
    found = verify(read_run(copy / name))
    assert found.ok, found
    assert found.judged_again == {"evaluated": 8, "scored": 4}[name]
    seen = {check for check, state in states(found).items() if state == "same"}
    assert {"items.parquet", "totals", "benchmark", "judges", "verdicts"} <= seen
    if name == "evaluated":
        assert {"prompt", "model", "tokenizer"} <= seen


def test_every_input_of_an_evaluation_has_a_digest(place):
    digests = read_run(place / "evaluated").facts["digests"]
    assert all(digests[name] for name in ("benchmark", "prompt", "model", "tokenizer", "judges", "generation", "items"))


def test_a_changed_item_is_told_before_anything_else(copy):
    path = copy / "scored" / ITEMS_FILE
    path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    with pytest.raises(StoreError, match="another digest"):
        verify(read_run(copy / "scored"))


def test_totals_that_the_items_do_not_give_are_named(copy):
    path = copy / "scored" / "run.json"
    document = json.loads(path.read_text())
    document["totals"]["execution_accuracy"] = 0.99
    path.write_text(json.dumps(document))
    found = verify(read_run(copy / "scored"), sample=0)
    assert not found.ok
    (check,) = [check for check in found.checks if check.state == "differs"]
    assert (check.name, "execution_accuracy is 0.99" in check.words) == ("totals", True)


def test_a_verdict_that_was_changed_is_found_by_judging_again(copy):
    rewrite(copy / "evaluated", lie)
    found = verify(read_run(copy / "evaluated"))
    assert not found.ok
    assert {(one.id, one.field, one.stored) for one in found.differences} >= {("2", "outcome", "correct")}
    assert verify(read_run(copy / "evaluated"), sample=0).differences == ()


def test_other_questions_weights_and_tokenizers_are_named(copy, place, tmp_path):
    run = read_run(copy / "evaluated")
    base = shutil.copytree(place / "base", tmp_path / "other")
    text = (base / "tokenizer_config.json").read_text()
    (base / "tokenizer_config.json").write_text(text + " ")
    found = verify(run, {"model": {"base": str(base)}}, sample=0)
    assert {name for name, state in states(found).items() if state == "differs"} == {"tokenizer"}
    data = bytearray((base / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (base / "model.safetensors").write_bytes(bytes(data))
    found = verify(run, {"model": {"base": str(base)}}, sample=0)
    assert {name for name, state in states(found).items() if state == "differs"} == {"model", "tokenizer"}
    rows = [json.loads(line) for line in (place / "bench.jsonl").read_text().splitlines()]
    rows[1]["sql"] = "SELECT b FROM t"
    other = write_lines(tmp_path / "bench.jsonl", rows)
    found = verify(run, {"benchmark": {"name": str(other)}})
    assert states(found)["benchmark"] == "differs"
    assert states(found)["verdicts"] == "not checked"


def test_what_is_not_here_is_said_and_proves_nothing(copy, place, tmp_path):
    run = read_run(copy / "evaluated")
    found = verify(run, {"model": {"base": str(tmp_path / "gone")}}, sample=1)
    assert (states(found)["model"], found.ok) == ("not checked", True)
    found = verify(run, {"benchmark": {"name": str(tmp_path / "gone.jsonl")}})
    assert (states(found)["inputs"], found.judged_again) == ("not checked", 0)


def test_the_command_says_what_differs_and_exits_1(copy, capsys):
    assert status(["verify", str(copy / "scored"), "--sample", "2"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["ok"], document["judged_again"]) == (True, 2)
    rewrite(copy / "scored", lambda rows: rows[0].update(rows=7))
    assert status(["verify", str(copy / "scored")]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["differences"] == [
        {"id": "0", "field": "rows", "stored": 7, "now": 3}
    ]
    assert "0: rows is 7, judged again 3" in captured.err


# -- judged again


def by_another_version(run: Path, change=lambda rows: None) -> None:
    """Make a run look as if other judges had given these verdicts, on another machine."""
    rewrite(run, change)
    document = json.loads((run / "run.json").read_text())
    document["digests"] |= {"judges": "0" * 64, "inputs": "1" * 64}
    document["machine"]["name"] = "another machine"
    document["timings"]["speed"] = {"output_tokens": 40, "generate_seconds": 2.0}
    document["timings"]["rates"] = {"queries_per_second": 4.0, "correct_queries_per_second": 99.0}
    document["timings"]["answers_timed"] = 8
    (run / "run.json").write_text(json.dumps(document))


def lie(rows: list[dict]) -> None:
    rows[2] |= {"outcome": "correct", "execution_match": True, "reason": ""}


@pytest.mark.parametrize("name", ["evaluated", "scored"])
def test_answers_judged_again_get_this_versions_verdicts_and_keep_what_made_them(copy, name):
    honest = load_items(copy / name).drop_columns("execute_seconds")
    made = read_run(copy / name)
    by_another_version(copy / name, lie)
    if name == "evaluated":
        # a setting that has another name today
        facts = json.loads((copy / name / "run.json").read_text())
        facts["experiment"]["train"]["loss_columns"] = facts["experiment"]["train"].pop("loss_on")
        (copy / name / "run.json").write_text(json.dumps(facts))
    before = read_run(copy / name)
    found = rescore(before, {}, None)

    assert Path(found.run.path) == copy / made.id
    assert found.run.id == made.id, "the id that the command which made the run would give it now"
    assert load_items(found.run).drop_columns("execute_seconds") == honest
    assert sum(found.outcomes.values()) == found.verdicts["execution_match"] == 1
    facts = found.run.facts
    assert facts["totals"] == made.facts["totals"]
    assert facts["digests"] == {**made.facts["digests"], "items": facts["digests"]["items"]}
    assert facts["machine"]["name"] == "another machine"
    assert facts["timings"]["speed"] == before.facts["timings"]["speed"]
    assert facts["timings"]["phases"] == before.facts["timings"]["phases"]
    accuracy = facts["totals"]["execution_accuracy"]
    assert facts["timings"]["rates"]["correct_queries_per_second"] == pytest.approx(4 * accuracy)
    assert (facts["rejudged"]["from"], facts["rejudged"]["judges_before"]) == (before.id, "0" * 64)
    assert set(facts["rejudged"]["versions"]) >= {"duckdb", "sqlglot"}
    assert verify(found.run).ok
    assert read_run(copy / name).facts == before.facts, "the old run stays as it is"

    for judged in (before, found.run):
        again = rescore(judged, {}, None)
        assert (again.reused, again.run.facts) == (True, facts)


def test_only_the_judging_may_be_changed_and_only_of_the_same_questions(copy, place, tmp_path):
    run = read_run(copy / "evaluated")
    strict = rescore(run, {"score": {"max_rows": 1}}, tmp_path / "strict").run
    assert strict.facts["experiment"]["score"]["max_rows"] == strict.facts["score"]["max_rows"] == 1
    assert strict.facts["totals"] != run.facts["totals"]
    with pytest.raises(ConfigError, match="generate decides what is answered"):
        rescore(run, {"generate": {"samples": 1}}, None)
    with pytest.raises(StoreError, match="name another folder"):
        rescore(run, {"score": {"max_rows": 2}}, copy / "evaluated")
    rows = [json.loads(line) for line in (place / "bench.jsonl").read_text().splitlines()]
    other = write_lines(tmp_path / "bench.jsonl", rows[:3])
    with pytest.raises(StoreError, match="is not the one that"):
        rescore(run, {"benchmark": {"name": str(other)}}, None)
    assert read_run(copy / "evaluated").facts == run.facts


def test_the_command_says_what_changed(copy, capsys):
    by_another_version(copy / "scored", lie)
    assert status(["rescore", str(copy / "scored"), "--out", str(copy / "new"), "score.workers=1"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out.splitlines()[-1])
    assert document["outcomes_changed"] == [{"before": "correct", "now": "gold_error", "n": 1}]
    assert (document["verdicts_changed"]["execution_match"], document["reused"]) == (1, False)
    assert read_run(document["out"]).id == document["run"]
    assert "correct is now gold_error: 1" in captured.err
