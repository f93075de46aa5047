from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import benchmark as benchmarks
from harness.config import Experiment, ScoreChoice, load_experiment
from harness.errors import DataError, ModelError
from harness.evaluate import run as running
from harness.evaluate.asked import rows_of
from harness.evaluate.predictions import read_predictions
from harness.evaluate.run import Evaluation, Hooks
from harness.evaluate.scored import score_predictions
from harness.evaluate.settings import decoding_settings, model_settings, server_settings, train_settings
from harness.evaluate.subjects import Subject, subjects
from harness.evaluate.totals import Totals
from harness.generate.base import Request
from harness.records import RULES, Database, Generation, Outcome, Speed, Verdict
from harness.scoring import ScoreSettings
from harness.store import load_items, read_run

SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL);"
ROWS = [
    {"id": 1, "sql_prompt": "All a?", "sql_context": SCRIPT, "sql": "SELECT a FROM t"},
    {"id": "2", "sql_prompt": "Größtes a?", "sql_context": SCRIPT, "sql": ["SELECT min(a) FROM t", "SELECT 3"]},
    {"id": 3, "sql_prompt": "All c?", "sql_context": SCRIPT, "sql": "SELECT c FROM t"},
    {"id": "é", "sql_prompt": "Drop x", "sql_context": SCRIPT, "sql": "DELETE FROM t WHERE b = 'x'"},
]
IDS = ["1", "2", "3", "é"]


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Path:
    return lines(tmp_path / "bench.jsonl", ROWS)


# -- predictions


def test_ids_meet_as_numbers_and_as_text_in_both_formats(tmp_path):
    rows = [{"id": "1", "sql": "a"}, {"id": "2", "sql": "b"}, {"id": "3", "sql": "c"}, {"id": "é", "sql": "d"}]
    expected = {"1": "a", "2": "b", "3": "c", "é": "d"}
    assert read_predictions(lines(tmp_path / "p.jsonl", rows), IDS).answers == expected
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet", IDS).answers == expected
    numbers = pa.table({"id": pa.array([1.0, 2.0, 3.0]), "sql": ["a", "b", "c"]})
    pq.write_table(numbers, tmp_path / "n.parquet")
    assert read_predictions(tmp_path / "n.parquet", IDS[:3]).answers == {"1": "a", "2": "b", "3": "c"}


def test_sql_is_taken_as_it_stands_and_a_completion_as_a_models_text(tmp_path):
    rows = [
        {"id": 1, "sql": "SELECT 1", "completion": "ignored"},
        {"id": 2, "completion": "```sql\nSELECT 2\n```", "finished": False, "output_tokens": 7},
        {"id": 3, "sql": None},
        {"id": "é", "sql": "", "completion": None},
    ]
    answers = read_predictions(lines(tmp_path / "p.jsonl", rows), IDS).answers
    assert answers["1"] == "SELECT 1"
    assert answers["2"] == Generation("2", "```sql\nSELECT 2\n```", output_tokens=7, finished=False)
    assert answers["3"] == ""
    assert answers["é"] == ""


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"id": n, "sql": ""} for n in (1, 2, 3)], "id 'é' is missing"),
        ([{"id": n, "sql": ""} for n in (1, 2, 2, 3, "é")], "id '2' is given more than once"),
        ([{"id": n, "sql": ""} for n in (2, "2", 1, 3, "é")], "id '2' is given more than once"),
        ([{"id": n, "sql": ""} for n in (1, 2, 3, "é", 4, 5)], "ids '4', '5' are not in the benchmark"),
        ([{"id": n, "sql": ""} for n in range(10, 20)], "ids '10', '11', '12', '13', '14' and 5 more are not"),
        ([], "ids '1', '2', '3', 'é' are missing"),
        ([{"sql": "SELECT 1"}], "row 0 has no 'id'"),
        ([{"id": None, "sql": "SELECT 1"}], "the id None is neither"),
        ([{"id": 1}], "neither 'sql' nor 'completion'"),
        ([{"id": 1, "sql": 5}], "int where text belongs"),
        ([{"id": 1, "completion": ["SELECT 1"]}], "list where text belongs"),
        ([{"id": 1, "completion": "x", "output_tokens": 1.5}], "a count of tokens is a whole number"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, rows, told):
    path = lines(tmp_path / "p.jsonl", rows)
    with pytest.raises(DataError) as caught:
        read_predictions(path, IDS)
    assert told in str(caught.value)
    assert "p.jsonl" in str(caught.value)


def test_all_faults_of_a_predictions_file_are_told_together(tmp_path):
    path = lines(tmp_path / "p.jsonl", [{"id": 1, "sql": ""}, {"id": 1, "sql": ""}, {"id": 9, "sql": ""}])
    with pytest.raises(DataError) as caught:
        read_predictions(path, IDS)
    for told in ("'1' is given more than once", "'9' is not in the benchmark", "are missing", "--allow-missing"):
        assert told in str(caught.value)


def test_missing_predictions_are_allowed_where_asked_for_and_nothing_else_is(tmp_path):
    found = read_predictions(lines(tmp_path / "p.jsonl", [{"id": 2, "sql": "x"}]), IDS, allow_missing=True)
    assert (dict(found.answers), found.missing) == ({"2": "x"}, ("1", "3", "é"))
    with pytest.raises(DataError, match="not in the benchmark"):
        read_predictions(lines(tmp_path / "p.jsonl", [{"id": 7, "sql": "x"}]), IDS, allow_missing=True)


# -- totals


def verdict(outcome: Outcome, match: bool | None, **changes) -> Verdict:
    return Verdict("x", outcome, "", matches=dict.fromkeys(RULES, match), **changes)


def test_shares_are_over_scored_items_and_outcomes_over_all():
    totals = Totals()
    answer = Generation("x", "", prompt_tokens=10, output_tokens=2)
    for one in (
        verdict(Outcome.CORRECT, True, exact_match=True, suite_match=True, road="duckdb"),
        verdict(Outcome.VACUOUS_MATCH, True, suite_match=False, road="mysql"),
        verdict(Outcome.SYNTAX_ERROR, False),
        verdict(Outcome.GOLD_ERROR, None, exact_match=True),
    ):
        totals.add(one, answer)
    facts = totals.facts()
    assert (facts["n"], facts["scored"], facts["unscorable"]) == (4, 3, 1)
    assert facts["execution_accuracy"] == pytest.approx(2 / 3)
    assert facts["exact_match"] == pytest.approx(1 / 3)
    low, high = facts["execution_accuracy_ci"]
    assert 0 < low < 2 / 3 < high < 1
    assert facts["outcomes"] == {"correct": 1, "vacuous_match": 1, "syntax_error": 1, "gold_error": 1}
    assert facts["roads"] == {"duckdb": 1, "mysql": 1, "not run": 2}
    assert facts["suite"]["accuracy"] == 0.5
    assert (facts["prompt_tokens"], facts["output_tokens"]) == (40, 8)


def test_nothing_scored_is_unknown_not_zero():
    totals = Totals()
    totals.add(verdict(Outcome.GOLD_ERROR, None), Generation("x", ""))
    facts = totals.facts()
    assert facts["execution_accuracy"] is None
    assert facts["execution_accuracy_ci"] is None
    assert facts["rules"]["bird"] is None
    json.dumps(facts, allow_nan=False)


# -- scoring a file


def scored(bench: Path, answers: list[dict], out: Path | None, *, allow_missing: bool = False):
    loaded = benchmarks.load(str(bench))
    path = lines(bench.parent / "answers.jsonl", answers)
    found = read_predictions(path, [item.id for item in loaded.items()], allow_missing=allow_missing)
    choice = ScoreChoice(workers=1, cache_dir="")
    return score_predictions(loaded, found, choice, source=path, out=out)


def test_a_file_of_predictions_becomes_a_stored_run(bench, tmp_path):
    answers = [
        {"id": 1, "sql": "SELECT a FROM t ORDER BY a DESC"},
        {"id": 2, "completion": "Sure!\n```sql\nSELECT 3;\n```"},
        {"id": 3, "sql": "SELECT a FROM t"},
        {"id": "é", "sql": "DELETE FROM t WHERE a = 1"},
    ]
    result = scored(bench, answers, tmp_path / "out")
    run = read_run(tmp_path / "out")
    rows = {row["id"]: row for row in load_items(run).to_pylist()}

    assert (result.totals["n"], result.totals["scored"], result.totals["unscorable"]) == (4, 3, 1)
    assert result.totals["execution_accuracy"] == 1.0
    assert list(rows) == IDS
    assert [row["execution_match"] for row in rows.values()] == [True, True, None, True]
    assert rows["3"]["outcome"] == "gold_error"
    assert rows["2"]["sql"] == "SELECT 3"
    assert rows["2"]["gold_sql"] == "SELECT 3"
    assert rows["2"]["completion"].startswith("Sure!")
    assert run.facts["totals"]["outcomes"] == result.totals["outcomes"]
    assert run.facts["benchmark"]["digest"] == run.facts["digests"]["benchmark"]


def test_missing_predictions_count_as_wrong_and_say_so(bench, tmp_path):
    result = scored(bench, [{"id": 1, "sql": "SELECT a FROM t"}], tmp_path / "out", allow_missing=True)
    rows = {row["id"]: row for row in load_items(tmp_path / "out").to_pylist()}
    assert (result.missing, result.totals["scored"]) == (3, 3)
    assert result.totals["execution_accuracy"] == pytest.approx(1 / 3)
    assert rows["2"]["outcome"] == "no_sql"
    assert rows["2"]["reason"] == "No prediction was given for this question."
    assert rows["3"]["outcome"] == "gold_error"


def test_scoring_twice_gives_the_same_files_timings_apart(bench, tmp_path):
    answers = [{"id": identity, "sql": "SELECT a FROM t"} for identity in IDS]
    for name in ("a", "b"):
        scored(bench, answers, tmp_path / name)
    first, second = (read_run(tmp_path / name).facts for name in ("a", "b"))
    apart = {"timings", "digests"}
    assert {k: v for k, v in first.items() if k not in apart} == {k: v for k, v in second.items() if k not in apart}
    tables = [load_items(tmp_path / name).drop_columns(["execute_seconds"]) for name in ("a", "b")]
    assert tables[0].equals(tables[1])


# -- settings and subjects


@pytest.fixture(name="experiment")
def _experiment(bench: Path, tmp_path: Path) -> Experiment:
    path = tmp_path / "trial.toml"
    path.write_text(
        f'[benchmark]\nname = "{bench}"\n[model]\nbase = "{tmp_path}/base"\n[train]\noutput = "{tmp_path}/adapter"\n'
        f'[generate.server]\nretries = 1\n[score]\nworkers = 1\ncache_dir = ""\n[eval]\nruns = "{tmp_path}/runs"\n'
        'models = ["base"]\n'
    )
    return load_experiment(path, ["generate.max_new_tokens=9", "train.lora_r=4", "model.precision=fp32"])


def test_every_room_gets_its_section(experiment, tmp_path):
    assert decoding_settings(experiment).max_new_tokens == 9
    assert train_settings(experiment.train).lora_r == 4
    assert model_settings(experiment.model).precision == "fp32"
    assert model_settings(experiment.model).base == f"{tmp_path}/base"
    assert server_settings(experiment).retries == 1


def test_a_model_that_is_not_there_is_told_with_the_next_command(experiment):
    assert [subject.name for subject in subjects(experiment)] == ["base"]
    for name, told in (("checkpoints", "harness train"), ("final", "harness train"), ("checkpoint-9", "no model of")):
        changed = experiment.model_copy(update={"eval": experiment.eval.model_copy(update={"models": (name,)})})
        with pytest.raises(ModelError, match=told):
            subjects(changed)


# -- one pass with a generator that needs no model


class Parrot:
    """Answers every question with the same text; dies where told to."""

    facts = {"backend": "parrot"}  # noqa: RUF012

    def __init__(self, die_after: int = 99) -> None:
        self.die_after = die_after
        self.asked: list[Request] = []

    def generate(self, requests, decoding, progress=None):
        for number, request in enumerate(requests):
            if number == self.die_after:
                raise KeyboardInterrupt
            self.asked.append(request)
            for sample in range(decoding.samples):
                yield Generation(request.id, "SELECT a FROM t", 10, 5, sample=sample)

    def speed(self):
        return Speed(10, 5, 0, 0.5)


@contextmanager
def no_bar(label: str):
    yield lambda done, total: None


@pytest.fixture(name="said")
def _said() -> list[str]:
    return []


@pytest.fixture(name="evaluation")
def _evaluation(experiment, said, monkeypatch):
    def with_generator(parrot: Parrot, chosen: Experiment = experiment) -> Evaluation:
        monkeypatch.setattr(running, "open_generator", lambda *_: parrot)
        monkeypatch.setattr(running, "model_facts", lambda *_: {"model": "m", "adapter": ""})
        return Evaluation(chosen, Hooks(said.append, no_bar))

    return with_generator


BASE = Subject("base", "base")


def test_one_pass_asks_scores_and_stores(evaluation, tmp_path):
    parrot = Parrot()
    found = evaluation(parrot).one(BASE)
    assert [request.id for request in parrot.asked] == IDS
    assert "<SCHEMA>" in parrot.asked[0].messages[0]["content"]
    totals = found.run.facts["totals"]
    assert (totals["n"], totals["scored"], totals["outcomes"]["correct"]) == (4, 3, 1)
    assert set(found.run.facts["timings"]["phases"]) >= {"prepare", "load", "generate", "score"}
    assert found.run.facts["timings"]["speed"]["output_tokens"] == 5
    assert found.run.facts["machine"]["name"]
    assert found.run.path.startswith(f"{tmp_path}/runs/trial-base-")


def test_a_finished_run_is_reused_without_a_model(evaluation, said):
    first = evaluation(Parrot()).one(BASE)
    parrot = Parrot(die_after=0)
    second = evaluation(parrot).one(BASE)
    assert (first.reused, second.reused) == (False, True)
    assert second.run.id == first.run.id
    assert any("reusing" in line for line in said)


def test_a_killed_pass_asks_only_what_is_left(evaluation, said):
    with pytest.raises(KeyboardInterrupt):
        evaluation(Parrot(die_after=3)).one(BASE)
    parrot = Parrot()
    found = evaluation(parrot).one(BASE)
    assert [request.id for request in parrot.asked] == ["é"]
    assert found.run.facts["timings"]["answers_kept"] == 3
    assert found.run.facts["totals"]["n"] == 4


def test_a_pass_killed_while_scoring_still_says_who_answered(evaluation, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "_score", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluation(Parrot()).one(BASE)
    parrot = Parrot(die_after=0)
    found = evaluation(parrot).one(BASE)
    assert parrot.asked == []
    assert found.run.facts["generator"] == Parrot.facts
    assert found.run.facts["timings"]["answers_kept"] == 4


def test_answers_are_judged_again_rather_than_asked_again(evaluation, experiment, said):
    first = evaluation(Parrot()).one(BASE)
    elsewhere = {**first.run.facts, "machine": {**first.run.facts["machine"], "name": "another machine"}}
    (Path(first.run.path) / "run.json").write_text(json.dumps(elsewhere))
    stricter = experiment.model_copy(update={"score": experiment.score.model_copy(update={"max_rows": 2})})
    parrot = Parrot(die_after=0)
    second = evaluation(parrot, stricter).one(BASE)
    assert parrot.asked == []
    assert second.run.id != first.run.id
    assert second.run.facts["timings"]["answers_from"] == first.run.id
    assert second.run.facts["machine"]["name"] == "another machine", "its speed is no other machine's"
    assert second.run.facts["timings"]["speed"] == first.run.facts["timings"]["speed"]
    assert second.run.facts["totals"]["outcomes"] != first.run.facts["totals"]["outcomes"]


def test_other_questions_prompts_or_decoding_make_another_run(evaluation, experiment):
    changes = [
        experiment.model_copy(update={"eval": experiment.eval.model_copy(update={"limit": 2})}),
        experiment.model_copy(update={"prompt": experiment.prompt.model_copy(update={"system": "guide"})}),
        experiment.model_copy(update={"generate": experiment.generate.model_copy(update={"max_new_tokens": 5})}),
        experiment.model_copy(update={"generate": experiment.generate.model_copy(update={"batch_size": 5})}),
    ]
    ids = [evaluation(Parrot(), changed).one(BASE).run.id for changed in [experiment, *changes]]
    assert len(set(ids)) == 4
    assert ids[4] == ids[0], "the batch size decides no answer"


def test_several_samples_are_all_stored_and_the_first_is_counted(evaluation, experiment):
    sampling = experiment.generate.model_copy(update={"samples": 3, "temperature": 0.7})
    found = evaluation(Parrot(), experiment.model_copy(update={"generate": sampling})).one(BASE)
    rows = load_items(found.run, ["id", "sample"]).to_pylist()
    assert len(rows) == 12
    assert [row["sample"] for row in rows] == [0] * 4 + [1] * 4 + [2] * 4
    assert found.run.facts["totals"]["n"] == 4


# -- one statement for its rows


def test_a_statement_is_run_for_its_rows_in_a_worker():
    database, settings = Database("k", SCRIPT), ScoreSettings(workers=1, suite=False)
    found = rows_of("SELECT a, b, 1.5::DECIMAL(3,1) AS d FROM t ORDER BY a", database, settings)
    assert found.columns == ["a", "b", "d"]
    assert found.rows == [[1, "x", "1.5"], [2, "y", "1.5"], [3, None, "1.5"]]
    assert "not run" in rows_of("DELETE FROM t", database, settings).error
    assert "nope" in rows_of("SELECT nope FROM t", database, settings).error
    assert "does not load" in rows_of("SELECT 1", Database("j", "CREATE TABLE ("), settings).error
