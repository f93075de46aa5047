from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from made_runs import make_facts, make_items, make_training, write_run

from harness import stats
from harness.cli.reading import compare as command
from harness.comparison import compare, load_answers
from harness.comparison.curve import learning_curves
from harness.comparison.features import length_classes, schema_size, statement_features
from harness.comparison.samples import sampling
from harness.comparison.slices import item_slices, slice_scores
from harness.errors import CompareError, StoreError


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return make_training(tmp_path_factory.mktemp("runs"))


def _hand_made(folder, name, verdicts, **changes):
    items = [
        {"id": id_, "execution_match": verdict, "gold_sql": "SELECT 1", "outcome": "correct", "cluster": ""}
        for id_, verdict in verdicts.items()
    ]
    return write_run(folder, make_facts(name, name, **changes), items)


def test_a_pair_counted_by_hand(tmp_path):
    a = _hand_made(tmp_path, "a", {"1": True, "2": True, "3": False, "4": False, "5": None, "6": True})
    b = _hand_made(tmp_path, "b", {"6": True, "5": True, "4": True, "3": True, "2": False, "1": True, "7": True})
    (pair,) = compare([a, b]).pairs

    assert (pair.both, pair.only_a, pair.only_b, pair.neither) == (2, 1, 2, 0)
    assert (pair.n, pair.unscored, pair.unpaired) == (5, 1, 1)
    assert pair.difference == pytest.approx(0.2)
    assert pair.flipped_to_right == ("3", "4")
    assert pair.flipped_to_wrong == ("2",)
    assert pair.p_value == pytest.approx(stats.mcnemar_exact(1, 2))
    assert pair.p_clustered is None


def test_swapping_the_runs_mirrors_the_pair(training):
    (forth,) = compare(training[:2]).pairs
    (back,) = compare(training[1::-1]).pairs

    assert back.difference == -forth.difference
    assert (back.only_a, back.only_b, back.p_value) == (forth.only_b, forth.only_a, forth.p_value)
    assert forth.ci_low < forth.difference < forth.ci_high


def test_the_document_has_the_contracts_keys(training):
    document = json.loads(json.dumps(compare(training).to_json()))
    keys = {"a", "b", "n", "difference", "ci_low", "ci_high", "p_value", "both", "only_a", "only_b", "neither"}

    assert len(document["pairs"]) == 6
    assert all(keys <= pair.keys() for pair in document["pairs"])
    assert all(pair["p_holm"] >= pair["p_value"] for pair in document["pairs"])


def test_a_pair_is_the_same_whoever_stands_beside_it(training):
    alone, together = compare(training[:2]).pairs[0], compare(training).pairs[0]

    assert (alone.ci_low, alone.ci_high, alone.p_value) == (together.ci_low, together.ci_high, together.p_value)


def test_one_databases_luck_is_not_evidence_about_models(tmp_path):
    runs = []
    for name, databases in (("a", {5, 6, 7}), ("b", {0, 1, 2, 3, 4})):
        items = [
            {"id": f"{index}", "execution_match": index // 25 in databases, "cluster": f"db{index // 25}"}
            for index in range(200)
        ]
        runs.append(write_run(tmp_path, make_facts(name, name), items))
    (pair,) = compare(runs).pairs

    assert pair.clusters == 8
    assert pair.p_value < 1e-3, "item by item, 125 wins against 75 look decisive"
    assert pair.p_clustered > 0.5, "database by database, five against three do not"
    assert pair.ci_low < 0 < pair.ci_high
    assert not pair.distinguishable


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"benchmark": {"name": "x", "split": "test", "digest": "other", "dialects": ["mysql"]}}, "benchmark.digest"),
        ({"digests": {"prompt": "0123456789abcdef" * 4}}, r"prompt\.digest is p+ in a and 0123456789ab in b"),
        ({"decoding": {"max_new_tokens": 64, "temperature": 0.0}}, "decoding.max_new_tokens"),
        ({"score": {"tolerance": 1e-3, "suite": True}}, "score.tolerance"),
    ],
)
def test_unlike_runs_are_refused_with_the_field_and_shown_marked_on_demand(tmp_path, change, field):
    a = _hand_made(tmp_path, "a", {"1": True, "2": False})
    b = _hand_made(tmp_path, "b", {"1": True, "2": True}, **change)
    with pytest.raises(CompareError, match=field) as refused:
        compare([a, b])
    # other judges are no reason to ask the model again
    assert ("harness rescore" in str(refused.value)) == field.startswith("score")
    (pair,) = compare([a, b], anyway=True).pairs

    assert len(pair.unlike) == 1
    assert re.search(field, pair.unlike[0])


def test_the_size_of_a_batch_does_not_make_runs_unlike(tmp_path):
    a = _hand_made(tmp_path, "a", {"1": True})
    b = _hand_made(tmp_path, "b", {"1": True}, decoding={"max_new_tokens": 256, "temperature": 0.0, "batch_size": 1})

    assert compare([a, b]).pairs[0].unlike == ()


def test_what_cannot_be_compared_says_so(tmp_path):
    a = _hand_made(tmp_path, "a", {"1": True})
    b = _hand_made(tmp_path, "b", {"2": True})
    for runs, words in (([a], "needs two runs"), ([a, a], "named twice"), ([a, b], "no item")):
        with pytest.raises(CompareError, match=words):
            compare(runs)


def test_unreadable_runs_are_named(tmp_path):
    with pytest.raises(StoreError, match="holds no run"):
        load_answers(tmp_path)
    run = _hand_made(tmp_path, "broken", {"1": True})
    (run / "items.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="not the file"):
        load_answers(run)


def test_text_matches_leave_out_the_items_whose_gold_is_broken(training):
    answers = load_answers(training[0])

    assert answers.score("exact").n == answers.score().n < len(answers.ids)


def test_the_curve_starts_at_the_base_and_doubts_its_best(training):
    (curve,) = learning_curves([load_answers(run) for run in reversed(training)])

    assert [point.step for point in curve.points] == [0, 60, 120, 180]
    assert curve.best.score.share == max(point.score.share for point in curve.points)
    assert "3 checkpoints on this very split" in curve.caveat
    assert "could have stopped there" in curve.hint


def test_the_merged_model_is_no_further_point_of_the_curve(tmp_path):
    trained = make_facts("x", "x")["training"] | {"step": 20}
    runs = [
        load_answers(write_run(tmp_path, make_facts(model, model, training=trained), make_items(60, skill, 1)))
        for model, skill in (("base", 0.1), ("merged", 0.9), ("final", 0.9), ("checkpoint-20", 0.5))
    ]
    (curve,) = learning_curves(runs)

    assert [point.model for point in curve.points] == ["base", "checkpoint-20"]


def test_a_steep_curve_asks_for_more(tmp_path):
    skills = (("base", 0.1), ("checkpoint-10", 0.4), ("checkpoint-20", 0.8))
    runs = []
    for model, skill in skills:
        items = make_items(400, skill, 1)
        for item in items:
            item["cluster"] = item["id"]
        runs.append(load_answers(write_run(tmp_path, make_facts(model, model), items)))
    (curve,) = learning_curves(runs)

    assert "longer training may still help" in curve.hint


def test_the_hint_repeats_the_verdicts_of_the_pairs_shown_beside_it(training):
    answers = [load_answers(run) for run in training]
    alone = learning_curves(answers)[0]
    pairs = [replace(pair, p_holm=0.9) for pair in compare(answers).pairs]
    beside = learning_curves(answers, pairs=pairs)[0]

    assert alone.hint.startswith("checkpoint-120 cannot be told")
    assert beside.hint.startswith("checkpoint-60 cannot be told")


def test_training_that_does_harm_is_told(tmp_path):
    runs = [
        load_answers(write_run(tmp_path, make_facts(model, model), make_items(100, skill, 1)))
        for model, skill in (("base", 0.8), ("checkpoint-10", 0.4), ("checkpoint-20", 0.3))
    ]
    (curve,) = learning_curves(runs)

    assert curve.hint == "No checkpoint scores higher than base."
    assert curve.caveat == ""


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT a FROM t",
            {
                "complexity": "basic SQL",
                "joins": "0",
                "subquery": "no",
                "window": "no",
                "nesting": "0",
                "statement": "read",
            },
        ),
        ("SELECT a FROM t, u WHERE t.x = u.x", {"joins": "1"}),
        ("SELECT a FROM t JOIN u USING (x) JOIN v USING (y) JOIN w USING (z)", {"joins": "3 or more"}),
        ("SELECT a FROM t WHERE b IN (SELECT b FROM u WHERE c = (SELECT 1))", {"subquery": "yes", "nesting": "2"}),
        ("SELECT rank() OVER (ORDER BY a) FROM t", {"complexity": "window functions", "window": "yes"}),
        ("SELECT a FROM t UNION SELECT b FROM u ORDER BY 1", {"set_operation": "yes", "order_limit": "order by"}),
        ("WITH c AS (SELECT 1) SELECT * FROM c LIMIT 3", {"subquery": "yes", "order_limit": "limit"}),
        ("SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1", {"aggregation": "group by, having"}),
        ("SELECT max(a) FROM t", {"complexity": "aggregation", "aggregation": "whole table"}),
        ("SELECT max(a) FROM t JOIN u USING (x)", {"complexity": "single join"}),
        ("SELECT a FROM t WHERE b IN (SELECT b FROM u JOIN v USING (x))", {"complexity": "subqueries"}),
        ("UPDATE t SET a = 1 WHERE b = 2", {"statement": "write", "joins": "0"}),
        ("SELEC whatever FROM (", {"joins": "unparsed", "statement": "unparsed"}),
        ("", {"joins": "unparsed"}),
    ],
)
def test_features_of_statements(sql, expected):
    features = statement_features(sql)

    assert {name: features[name] for name in expected} == expected


def test_schema_and_prompt_classes():
    assert schema_size("CREATE TABLE a (x INT); create temp table b (y INT)") == "2-3 tables"
    assert schema_size("") == "none shown"
    classes = length_classes([10, 20, 30, 40, 50, 60, 70, 80, None])
    assert classes[0] == "up to 30 tokens"
    assert classes[7] == "over 70 tokens"
    assert classes[8] == "unknown"


def test_a_benchmarks_own_complexity_is_kept_and_a_missing_one_is_read_off_the_gold(tmp_path):
    items = make_items(60, 0.5, 1)
    own = item_slices(load_answers(write_run(tmp_path, make_facts("own", "own"), items)))
    for item in items:
        item["tags"] = [("hardness", item["id"][-1])]
    hard = item_slices(load_answers(write_run(tmp_path, make_facts("hard", "hard"), items)))
    for item in items:
        item["tags"] = []
    bare = item_slices(load_answers(write_run(tmp_path, make_facts("bare", "bare"), items)))

    assert set(own["complexity"]) == {"aggregation", "basic SQL", "subqueries", "single join", "window functions"}
    assert next(iter(hard)) == "hardness"
    assert "complexity" not in hard
    assert bare["complexity"] == own["complexity"]


def test_items_whose_witnesses_tell_nothing_apart_are_a_slice_of_their_own(tmp_path):
    items = make_items(30, 0.5, 1)
    for number, item in enumerate(items):
        item["discriminating"] = (True, False, None)[number % 3]
    slices = item_slices(load_answers(write_run(tmp_path, make_facts("a", "a"), items)))

    assert slices["discriminating"][:3] == ["yes", "no", "unknown"]


def test_slices_partition_the_items_and_small_ones_are_marked(training):
    answers = load_answers(training[2])
    slices = item_slices(answers)
    scored = slice_scores(answers, slices)

    assert {"complexity", "joins", "subquery", "window", "prompt_length", "database"} <= slices.keys()
    assert "schema_size" not in slices, "a dimension with one value says nothing"
    for dimension in slices:
        assert sum(part.items for part in scored if part.dimension == dimension) == len(answers.ids)
        assert sum(part.score.hits for part in scored if part.dimension == dimension) == answers.score().hits
    assert any(part.small for part in slice_scores(load_answers(training[0]), {"id": answers.ids}))


def test_several_samples_give_pass_at_k_and_a_majority(tmp_path):
    rows = []
    for id_, verdicts, digests in (
        ("1", [0, 1, 1, 0], "abbc"),
        ("2", [0, 0, 1, 0], "aabc"),
        ("3", [1, 1, 1, 1], "aaaa"),
    ):
        rows += [
            {"id": id_, "sample": sample, "execution_match": bool(verdicts[sample]), "answer_digest": digests[sample]}
            for sample in range(4)
        ]
    answers = load_answers(write_run(tmp_path, make_facts("sampled", "sampled"), rows))
    result = sampling(answers)

    assert answers.score().share == pytest.approx(1 / 3), "the headline is the first sample"
    assert [k for k, *_ in result.pass_at] == [1, 2, 4]
    assert result.pass_at[0][1] == pytest.approx((0.5 + 0.25 + 1) / 3)
    assert result.pass_at[2][1] == 1.0
    assert result.majority.hits == 2
    assert sampling(load_answers(make_training(tmp_path, 20)[0])) is None


def test_an_unknown_judgement_is_refused_with_the_known_ones(training):
    with pytest.raises(CompareError, match="No judgement is called speed; known are default, strict"):
        compare(training[:2], rule="speed")


def test_witness_databases_make_runs_unlike_under_the_suites_rule_only(tmp_path):
    a = write_run(tmp_path, make_facts("a", "a"), make_items(20, 0.3, 1))
    plain = {"tolerance": 1e-6, "suite": False}
    b = write_run(tmp_path, make_facts("b", "b", score=plain), make_items(20, 0.6, 2))

    assert compare([a, b]).pairs[0].unlike == ()
    with pytest.raises(CompareError, match=r"score\.suite is True in a and False in b"):
        compare([a, b], rule="suite")


def test_the_test_over_databases_decides_where_databases_can_answer(tmp_path):
    runs = []
    for name, databases in (("a", ()), ("b", range(6)), ("c", ()), ("d", range(6, 30))):
        items = [{"id": f"{i}", "execution_match": i // 20 in databases, "cluster": f"db{i // 20}"} for i in range(600)]
        runs.append(write_run(tmp_path, make_facts(name, name), items))
    pairs = {(pair.a, pair.b): pair for pair in compare(runs).pairs}
    doubtful = pairs["a", "b"]

    assert doubtful.p_holm < 1e-6
    assert doubtful.ci_low > 0
    assert doubtful.p_clustered == pytest.approx(2 / 2**6)
    assert doubtful.p_clustered_holm == pytest.approx(3 * 2 / 2**6), "six databases out of thirty, and six pairs"
    assert not doubtful.distinguishable
    assert pairs["a", "d"].distinguishable
    few = [write_run(tmp_path / "few", make_facts(n, n), make_items(40, s, 1)) for n, s in (("a", 0.1), ("b", 0.9))]
    (pair,) = compare(few).pairs
    assert pair.clusters == 5
    assert pair.p_clustered >= 2 / 2**5
    assert pair.p_clustered_holm is None, "five databases cannot fall under 5 % however large the difference"
    assert pair.distinguishable


def test_the_detectable_difference_grows_where_databases_agree_within(tmp_path):
    pairs = []
    for shared in (True, False):
        runs = []
        for name, lead in (("a", 0), ("b", 12)):
            items = [
                {"id": f"{i}", "execution_match": i // 20 < lead, "cluster": f"db{i // 20 if shared else i}"}
                for i in range(600)
            ]
            runs.append(write_run(tmp_path / str(shared), make_facts(name, name), items))
        pairs += compare(runs).pairs

    assert pairs[0].minimum_detectable > 3 * pairs[1].minimum_detectable


def test_the_command_prints_pairs_curve_and_what_samples_bought(training, tmp_path, capsys):
    rows = [
        {"id": str(i), "sample": n, "execution_match": n == i % 2, "answer_digest": "xyz"[n], "gold_sql": "SELECT 1"}
        for i in range(10)
        for n in range(3)
    ]
    sampled = [write_run(tmp_path, make_facts(name, name, training=None), rows) for name in ("s1", "s2")]
    command([str(run) for run in training], "default", anyway=False)
    shown = capsys.readouterr()
    document = json.loads(shown.out.splitlines()[-1])

    assert len(document["pairs"]) == 6
    assert [point["step"] for point in document["curves"][0]["points"]] == [0, 60, 120, 180]
    assert document["sampling"] == {}
    for words in (
        "by database",
        "neither",
        "Learning curve of pocket",
        "(best)",
        "on this very split",
        "stopped there",
    ):
        assert words in shown.err
    command([str(run) for run in sampled], "default", anyway=False)
    shown = capsys.readouterr()
    assert json.loads(shown.out)["sampling"]["s1"]["majority"]["n"] == 10
    assert "pass@2" in shown.err
    assert "curves" not in shown.err


def test_unlike_pairs_are_marked_in_the_terminal(tmp_path, capsys):
    a = _hand_made(tmp_path, "a", {"1": True, "2": False})
    b = _hand_made(tmp_path, "b", {"1": True, "2": True}, decoding={"max_new_tokens": 64, "temperature": 0.0})
    command([str(a), str(b)], "default", anyway=True)

    text = capsys.readouterr().err
    assert "b (unlike)" in text
    assert "unlike: decoding.max_new_tokens is 256 in a and 64 in b" in text
