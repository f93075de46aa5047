from __future__ import annotations

import base64
import gzip
import json
import re

import duckdb
import numpy as np
import pytest
from made_runs import SPEED, TRAINING, make_facts, make_items, make_training, write_run
from rich.console import Console

from harness import units
from harness.comparison import compare
from harness.errors import HarnessError, StoreError
from harness.records import Outcome
from harness.report import items as packing
from harness.report import report, speed_charts, speed_tables
from harness.report.data import OUTCOME_GROUPS, build
from harness.report.items import LONGEST, item_payload
from harness.report.leaderboard import write_leaderboard
from harness.report.terminal import comparison_table, result_table, show

HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(2)">|`"""

FILES = ("index.html", "items.parquet", "summary.json", "summary.md")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return make_training(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    return report(runs, tmp_path_factory.mktemp("report"))


def _unpack(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_every_outcome_is_in_exactly_one_group():
    grouped = [outcome for group in OUTCOME_GROUPS.values() for outcome in group]

    assert sorted(grouped) == sorted(Outcome)


def test_the_same_runs_give_the_same_bytes(runs, written, tmp_path):
    again = report(runs, tmp_path)

    assert sorted(path.name for path in again.parent.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (again.parent / name).read_bytes() == (written.parent / name).read_bytes()


def test_the_page_refers_to_nothing_outside_itself(written):
    text = written.read_text(encoding="utf-8")
    references = re.findall(r'(?:src|href|action)\s*=\s*"([^"]*)"|url\(\s*["\']?([^)"\']*)', text)
    targets = {first or second for first, second in references}

    assert targets
    assert all(target.startswith(("#", "data:,")) for target in targets), targets
    assert "default-src 'none'" in text


def test_a_chart_keeps_no_placeholder_colour_and_shares_no_id(written):
    text = written.read_text(encoding="utf-8")
    ids = re.findall(r'\sid="([^"]+)"', text)

    assert text.count("<svg ") == 5
    assert not re.search(r"#0[123]0[1234]0\d", text)
    assert len(ids) == len(set(ids))


def test_what_a_model_or_a_benchmark_wrote_never_becomes_markup(tmp_path):
    items = make_items(40, 0.5, 1)
    for item in items:
        for name in ("question", "context", "gold_sql", "completion", "sql", "reason"):
            item[name] += HOSTILE
        item["tags"] = [("complexity", f"{HOSTILE}{item['id'][-1]}")]
        item["cluster"] += HOSTILE
    facts = make_facts("hostile", f"checkpoint-5 {HOSTILE}", name=HOSTILE, command=HOSTILE)
    facts["benchmark"]["name"] = HOSTILE
    facts["machine"] = {"gpu": HOSTILE}
    page = report([write_run(tmp_path, facts, items)], tmp_path / "out", title=HOSTILE)

    for text in (page.read_text(encoding="utf-8"), (page.parent / "summary.md").read_text(encoding="utf-8")):
        assert "<script>alert" not in text
        assert "<img" not in text
    rows = [line for line in (page.parent / "summary.md").read_text().splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows[:3]}) == 1, "a pipe in a name adds no column"


def test_the_packed_items_say_what_the_runs_say(runs):
    data = build(runs)
    payload = item_payload(data)
    index, meta, items = _unpack(payload.index), json.loads(payload.meta), _unpack(payload.blocks[0])
    answers = data.rows[2].answers

    assert index["ids"] == list(answers.ids)
    assert [meta["outcomes"][number] for number in index["outcomes"][2]] == list(answers.column("outcome"))
    for shift, rule in enumerate(meta["rules"]):
        bits = [(packed >> 2 * shift) & 3 for packed in index["verdicts"][2]]
        assert bits == [0 if v is None else 1 + bool(v) for v in answers.verdicts(rule)]
    for number, dimension in enumerate(meta["dimensions"]):
        values = data.boards[0].slices[dimension["name"]]
        assert [dimension["values"][v] for v in index["slices"][number]] == [values[id_] for id_ in answers.ids]
    assert items[7]["r"][2]["s"] == answers.column("sql")[7]
    assert "c" not in items[7]["r"][2], "a completion that is its SQL is said once"
    assert items[5]["r"][2]["c"] == answers.column("completion")[5]


def test_an_endless_answer_is_cut_and_says_so(tmp_path):
    items = make_items(3, 0.5, 1)
    items[0]["completion"] = "la " * LONGEST
    payload = item_payload(build([write_run(tmp_path, make_facts("long", "long"), items)]))
    text = _unpack(payload.blocks[0])[0]["r"][0]["c"]

    assert len(text) < LONGEST + 100
    assert text.endswith(f"{3 * LONGEST - LONGEST} more characters stand in items.parquet")


def _random_table(rng):
    rows = [[f"{value:x}" for value in row] for row in rng.integers(2**40, size=(12, 3)).tolist()]
    return json.dumps({"columns": ["a", "b", "c"], "rows": rows, "total": 12, "only": 12})


def test_ten_runs_of_2500_items_stay_under_five_megabytes_whatever_their_answers(tmp_path):
    runs, rng = [], np.random.default_rng(3)
    for number in range(10):
        items = make_items(2500, 0.1 + 0.06 * number, number)
        for item in items:
            item["completion"] = f"{item['sql']} -- {rng.integers(10**9)}"
            if item["table"]:
                item["table"], item["gold_table"] = _random_table(rng), _random_table(rng)
        runs.append(write_run(tmp_path, make_facts(f"run-{number}", f"checkpoint-{number}"), items))

    assert report(runs, tmp_path / "out").stat().st_size < 5_000_000


def test_tables_that_would_make_the_page_too_large_are_cut_and_say_how_many_rows_there_were(tmp_path, monkeypatch):
    items = make_items(40, 0.5, 1)
    for item in items:
        item["table"] = item["gold_table"] = _random_table(np.random.default_rng(1))
    data = build([write_run(tmp_path, make_facts("wide", "wide"), items)])
    whole = _unpack(item_payload(data).blocks[0])[0]["r"][0]["t"]
    monkeypatch.setattr(packing, "SMALLEST", 0)
    monkeypatch.setattr(packing, "BYTES_AN_ANSWER", 1)
    cut = _unpack(item_payload(data).blocks[0])[0]["r"][0]["t"]

    assert len(whole["r"]) == whole["n"] == 12
    assert cut == whole | {"r": []}


def test_the_items_of_all_runs_lie_beside_the_page_for_duckdb(runs, written):
    query = (
        f"SELECT model, count(*), count(*) FILTER (execution_match) FROM '{written.parent}/items.parquet' GROUP BY 1"
    )
    found = sorted(duckdb.sql(query).fetchall())
    summary = json.loads((written.parent / "summary.json").read_text(encoding="utf-8"))

    assert found == sorted((run["model"], run["n"], run["scores"]["default"]["hits"]) for run in summary["runs"])


def test_runs_written_before_a_column_existed_lie_in_the_same_items_file(tmp_path):
    new, old = make_items(20, 0.5, 1), make_items(20, 0.5, 1)
    for item in old:
        del item["table"], item["match_bird"]
        item["run"] = item["rows"] = 7
    folders = [write_run(tmp_path, make_facts(name, name), items) for name, items in (("new", new), ("old", old))]
    path = report(folders, tmp_path / "out").parent / "items.parquet"

    rows = duckdb.sql(f"SELECT run, count(*), count(\"table\"), count(match_bird), max(rows) FROM '{path}' GROUP BY 1")
    assert sorted(rows.fetchall()) == [("new", 20, 20, 20, None), ("old", 20, 0, 0, 7)]


def test_the_summary_holds_the_commands_keys(runs, written):
    summary = json.loads((written.parent / "summary.json").read_text(encoding="utf-8"))
    first = summary["runs"][0]

    assert [run["model"] for run in summary["runs"]] == ["base", "checkpoint-60", "checkpoint-120", "checkpoint-180"]
    assert first["scored"] + first["unscorable"] == first["n"] == 300
    assert sum(first["outcomes"].values()) == 300
    assert first["ci_low"] < first["execution_accuracy"] < first["ci_high"]
    assert first["output_tokens_per_second"] == pytest.approx(10_000 / 8.2)
    assert {"strict", "lenient", "bird", "test_suite", "suite", "exact"} <= first["scores"].keys()
    assert summary["comparisons"][0]["pairs"] == compare(runs).to_json()["pairs"]
    assert [point["step"] for point in summary["curves"][0]["points"]] == [0, 60, 120, 180]


def test_the_pull_request_text_shows_doubt(written):
    text = (written.parent / "summary.md").read_text(encoding="utf-8")

    assert re.search(r"\| base \| \d+\.\d % \| \[\d+\.\d, \d+\.\d\] \| 297 \|", text)
    assert "on this very split" in text
    assert "left out because the gold itself cannot be scored" in text


def test_unlike_runs_are_shown_but_not_compared(tmp_path):
    a = write_run(tmp_path, make_facts("a", "base"), make_items(60, 0.3, 1))
    longer = {"max_new_tokens": 512, "temperature": 0.0}
    b = write_run(tmp_path, make_facts("b", "checkpoint-1", decoding=longer), make_items(60, 0.6, 2))
    page = report([a, b], tmp_path / "out")

    assert "decoding.max_new_tokens is 256 in a and 512 in b" in page.read_text(encoding="utf-8")
    assert json.loads((page.parent / "summary.json").read_text())["comparisons"] == []


def test_two_benchmarks_stand_on_two_boards(tmp_path):
    other = {"name": "spider", "split": "dev", "digest": "s" * 16}
    a = write_run(tmp_path, make_facts("a", "base"), make_items(60, 0.3, 1))
    b = write_run(tmp_path, make_facts("b", "base", benchmark=other, name="spider"), make_items(40, 0.6, 2))
    data = build([a, b])
    payload = item_payload(data)

    assert [board.name for board in data.boards] == ["pocket test", "spider dev"]
    assert [row.label for row in data.rows] == ["base (pocket)", "base (spider)"]
    index = _unpack(payload.index)
    assert len(index["ids"]) == 100, "equal ids of two benchmarks are two items"
    assert index["outcomes"][0][60:] == [-1] * 40
    assert json.loads(payload.meta)["dimensions"][0]["name"] == "benchmark"


def test_runs_without_speed_machine_or_suite_are_shown_as_unknown(tmp_path):
    items = make_items(20, 0.5, 1)
    for item in items:
        for name in ("suite_match", "suite_witness", "gold_table", "table", "witness_case", "answer_digest"):
            del item[name]
    facts = make_facts("bare", "mine", machine=None, timings=None, training=None, generator=None)
    page = report([write_run(tmp_path, facts, items)], tmp_path / "out")
    run = json.loads((page.parent / "summary.json").read_text())["runs"][0]

    assert run["output_tokens_per_second"] is None
    assert run["machine"] == ""
    assert run["lucky"] is None


def test_answers_made_elsewhere_are_not_credited_to_the_machine_that_scored_them(tmp_path):
    facts = make_facts("foreign", "foreign", training=None, timings={"phases": {"score": 3.0}, "speed": None})
    page = report([write_run(tmp_path, facts, make_items(20, 0.5, 1))], tmp_path / "out")
    run = json.loads((page.parent / "summary.json").read_text())["runs"][0]

    assert run["machine"] == ""
    assert "Answered on" not in page.read_text(encoding="utf-8")
    assert "machine gpu" in page.read_text(encoding="utf-8"), "the provenance still says where it was scored"


def _measured_run(folder, **timings):
    phases = {"score": 1.0, "decode": 30.0, "load": 4.0, "benchmark": 0.5, "prefill": 2.0, "novel": 0.1, "duckdb": 9.0}
    ceilings = {
        "decode bandwidth": {"value": 8100.4, "unit": "tok/s", "share": 0.412},
        "decode bandwidth (datasheet)": {"value": 9000.0, "unit": "tok/s", "share": 0.371},
        "decode launches": {"value": 60_000.0, "unit": "tok/s", "share": 0.055},
        "prefill compute (datasheet)": {"value": 500_000.0, "unit": "tok/s", "share": 0.21},
    }
    rates = {"decode_tokens_per_second": 3337.0, "correct_queries_per_second": 4.25, "joules_per_correct_query": 14.5}
    speed = SPEED | {"first_token_seconds": {"p50": 0.021, "p99": 0.2}, "token_seconds": None, "launches_per_step": 1}
    trained = TRAINING | {
        "throughput": {"tokens_per_second": 37_300.0, "mfu_measured": 0.334, "phases": {"train": 200.0, "load": 9.0}}
    }
    found = {"phases": phases, "ceilings": ceilings, "rates": rates, "speed": speed, "binds": {"decode": "bandwidth"}}
    facts = make_facts("fast", "checkpoint-9", training=trained, timings=found | timings)
    return write_run(folder, facts, make_items(20, 0.5, 1))


def _only_row(table):
    (row,) = table.rows
    return dict(zip(table.columns, (cell.text for cell in row), strict=True))


def test_speed_says_what_binds_what_share_is_reached_and_what_a_right_answer_costs(tmp_path):
    data = build([_measured_run(tmp_path)])
    ceilings, machine = _only_row(speed_tables.ceilings(data)), _only_row(speed_tables.hardware(data))

    assert ceilings["MBU"] == "41.2 % of 8 100 (37.1 %)"
    assert ceilings["MFU"] == "–"
    assert ceilings["launches"] == "5.5 % of 60 000"
    assert ceilings["prefill MFU"] == "(21.0 %) of 500 000"
    assert ceilings["training MFU"] == "33.4 %"
    assert ceilings["decode is bound by"] == "bandwidth"
    assert machine["correct queries"] == "4.25 /s"
    assert machine["a correct query"] == "14.5 J"
    assert _only_row(speed_tables.latency(data))["first token p99"] == "200 ms"


def test_rates_that_a_run_did_not_record_follow_from_its_counts(tmp_path):
    items = make_items(20, 0.5, 1)
    facts = make_facts("old", "old", totals={"n": 20})
    row = _only_row(speed_tables.hardware(build([write_run(tmp_path, facts, items)])))
    hits = sum(item["execution_match"] for item in items)

    assert row["correct queries"] == units.rate(hits / 8.2, "/s")
    assert row["a correct query"] == units.quantity(3410 / hits, "J")
    kept = make_facts("kept", "kept", timings={"speed": SPEED, "answers_kept": 3, "phases": {}})
    row = _only_row(speed_tables.hardware(build([write_run(tmp_path, kept, items)])))
    assert row["correct queries"] == "–", "answers of an earlier call were not made in these seconds"


def test_phases_stand_in_the_order_they_happen_and_small_ones_share_a_colour(tmp_path):
    many = {"benchmark", "prepare", "probe", "load", "quantise", "tokenise", "compile", "prefill", "decode", "duckdb"}
    data = build([_measured_run(tmp_path)])

    expected = ("model", "all", "benchmark", "load", "prefill", "decode", "duckdb", "score", "novel")
    assert speed_tables.time_budget(data).columns == expected
    assert _only_row(speed_tables.time_budget(data))["all"] == "46.6 s"
    assert _only_row(speed_tables.training_budget(data)) == {
        "model": "pocket",
        "load": "9.00 s",
        "train": "3 min 20 s",
        "all": "3 min 29 s",
    }
    wide = build([_measured_run(tmp_path / "c", phases={name: 1.0 + len(name) for name in many})])
    assert "other" in speed_charts.time_budget(wide)


def test_runs_that_are_as_fast_and_as_right_keep_their_names_apart(tmp_path):
    runs = [write_run(tmp_path, make_facts(name, name), make_items(40, 0.5, 1)) for name in ("first", "second")]
    chart = speed_charts.frontier(build(runs))
    places = re.findall(r'8\.5px[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>(first|second)<', chart)

    assert sorted(name for *_, name in places) == ["first", "second"]
    (x1, y1, one), (x2, y2, _) = places
    assert abs(float(x1) - float(x2)) > 4 * len(one) or abs(float(y1) - float(y2)) > 8


def test_every_machine_is_described_once_with_its_runs(tmp_path):
    cpu = {"gpu": "", "cpu": "EPYC", "cpu_count": 8, "memory_bytes": 64 * 2**30, "throttle_reasons": ["sw_thermal"]}
    runs = [write_run(tmp_path, make_facts(name, name), make_items(5, 0.5, 1)) for name in ("a", "b")]
    alone = make_facts("c", "c", machine=cpu, training=None, timings=None)
    runs.append(write_run(tmp_path, alone, make_items(5, 0.5, 1)))
    table = speed_tables.machines(build(runs))

    assert [(row[0].text, row[-1].text) for row in table.rows] == [
        ("EPYC (8 cores)", "c (scored only)"),
        ("NVIDIA H100 80GB HBM3", "a, b"),
    ]
    assert [cell.text for cell in table.rows[1]][1:4] == ["80.0 GiB", "700 W", "580.1"]
    assert "sw thermal" in table.note


def test_nothing_to_report_is_one_sentence(runs, tmp_path):
    with pytest.raises(HarnessError, match="no finished run"):
        report([], tmp_path)
    with pytest.raises(HarnessError, match="named twice"):
        report([runs[0], runs[0]], tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        report(runs[:1], tmp_path / "file")


def test_the_leaderboard_ranks_published_reports_and_keeps_hand_written_text(runs, tmp_path):
    readme = tmp_path / "README.md"
    write_leaderboard(tmp_path / "published", readme)
    assert "Nothing is published yet" in readme.read_text()
    readme.write_text(readme.read_text().replace("# Leaderboard", "# Our leaderboard") + "\nBy hand.\n")
    report(runs[:2], tmp_path / "published" / "2026-01-01-first")
    report(runs[2:], tmp_path / "published" / "2026-01-02-second")
    write_leaderboard(tmp_path / "published", readme)
    text = readme.read_text()
    rows = re.findall(r"^\| (\S+) \| pocket \| (\d+\.\d) %.*\[(\S+)\]\(published/\3/\)", text, re.MULTILINE)

    assert text.startswith("# Our leaderboard")
    assert text.endswith("\nBy hand.\n")
    assert [float(share) for _, share, _ in rows] == sorted((float(share) for _, share, _ in rows), reverse=True)
    assert {name for name, *_ in rows} == {"base", "checkpoint-60", "checkpoint-120", "checkpoint-180"}
    assert "| NVIDIA H100 80GB HBM3 | 1 220 tok/s |" in text
    assert "made alike" not in text
    write_leaderboard(tmp_path / "published", readme)
    assert readme.read_text() == text


def test_a_run_that_was_judged_again_says_so_where_it_is_told_how_runs_were_made(tmp_path):
    facts = make_facts("a", "base", rejudged={"from": "an older run", "commit": "0123abc"})
    page = report([write_run(tmp_path, facts, make_items(30, 0.5, 1))], tmp_path / "out").read_text()

    assert "<dt>rejudged from</dt><dd>an older run</dd>" in page


def test_the_leaderboard_says_which_of_its_runs_were_made_otherwise(tmp_path):
    facts = (make_facts("a", "base"), make_facts("b", "final", decoding={"backend": "transformers"}))
    runs = [write_run(tmp_path, one, make_items(30, 0.5, 1)) for one in facts]
    report(runs, tmp_path / "published" / "day")
    write_leaderboard(tmp_path / "published", tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()

    assert "Not all runs of day were made alike: decoding.backend is not recorded in a and transformers in b" in text


def test_a_damaged_summary_is_named(tmp_path):
    folder = tmp_path / "published" / "broken"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text("{}")
    with pytest.raises(StoreError, match=r"broken.summary\.json cannot be read"):
        write_leaderboard(tmp_path / "published", tmp_path / "README.md")


def _printed(thing):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    if callable(thing):
        thing(console)
    else:
        console.print(thing)
    return console.export_text()


def test_the_terminal_shows_accuracy_interval_faults_and_speed(runs):
    text = _printed(lambda console: show(runs[:2], console))

    assert re.search(r"base\s+297\s+\d\.\d %\s+\d+\.\d %\s+\[\d+\.\d, \d+\.\d\].*1 220 tok/s\s+[a-z ]+ \d+", text)


def test_the_terminal_takes_the_commands_json_and_reads_no_markup():
    row = {"model": "[red]me[/]", "n": 10, "scored": 10, "execution_accuracy": 0.5, "exact_match": None}
    text = _printed(result_table([row | {"output_tokens_per_second": None, "outcomes": {"correct": 5, "timeout": 5}}]))

    assert "[red]me[/]" in text
    assert "[23.7, 76.3]" in text
    assert "timeout 5" in text


def test_the_terminal_shows_pairs(runs):
    text = _printed(comparison_table(compare(runs[:2])))

    assert re.search(r"base\s+checkpoint-60\s+297\s+\+\d+\.\d", text)
