from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from harness import benchmark as benchmarks
from harness.benchmark.seen import SeenIds
from harness.cli import status
from harness.config import ScoreChoice
from harness.errors import ConfigError, StoreError
from harness.evaluate.answer_file import AnswerFile
from harness.evaluate.predictions import read_predictions
from harness.evaluate.scored import Scored, score_predictions
from harness.evaluate.shards import Shard, join_shards, parse_shard
from harness.evaluate.stored import stored_rows
from harness.records import Database, Generation, Item
from harness.sandbox.jobs import Answer
from harness.sandbox.protocol import Board
from harness.sandbox.watchdog import Watchdog
from harness.store import read_run
from harness.suite import make
from harness.suite.execute import DuckDBExecutor, StatementError
from harness.suite.record import Suite
from harness.suite.task import Maker, MakerOptions, Order

COUNT = 11
SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL);"
CHOICE = ScoreChoice(workers=1, cache_dir="")
ANSWERS = (
    "SELECT a FROM t WHERE a <> {n}",
    "SELECT b FROM t",
    "SELECT",
    "SELECT a FROM u",
    "SELECT a FROM t LIMIT {n}",
)


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory) -> Path:
    """Eleven questions and ten predictions; the whole scored in one piece and in three shards."""
    folder = tmp_path_factory.mktemp("shards")
    gold = "SELECT a FROM t WHERE a <> {n} ORDER BY a"
    rows = [
        {"id": f"q{n}", "sql_prompt": f"All a but {n}?", "sql_context": SCRIPT, "sql": gold.format(n=n)}
        for n in range(COUNT)
    ]
    lines(folder / "bench.jsonl", rows)
    lines(
        folder / "p.jsonl",
        [{"id": f"q{n}", "sql": ANSWERS[n % 5].format(n=n)} for n in reversed(range(COUNT)) if n != 4],
    )
    scored(folder, folder / "whole")
    for number in (3, 1, 2):
        scored(folder, folder / "parts", Shard(number, 3))
    return folder


def scored(place: Path, out: Path, shard: Shard | None = None, say=lambda text: None) -> Scored:
    benchmark = benchmarks.load(str(place / "bench.jsonl"))
    ids = (item.id for item in benchmark.stream())
    predictions = read_predictions(place / "p.jsonl", ids, allow_missing=True)
    return score_predictions(benchmark, predictions, CHOICE, source=place / "p.jsonl", out=out, shard=shard, say=say)


def content(run: Path) -> tuple[list[dict], dict]:
    """Everything of a run but its timings."""
    record = read_run(run)
    rows = [{**row, "execute_seconds": 0.0} for row in stored_rows(record)]
    facts = {key: value for key, value in record.facts.items() if key not in ("timings", "machine")}
    facts["digests"] = {key: value for key, value in facts["digests"].items() if key != "items"}
    return rows, facts


@pytest.fixture(name="parts")
def _parts(place: Path, tmp_path: Path) -> Path:
    """A copy of the three shards, to spoil."""
    return shutil.copytree(place / "parts", tmp_path / "parts")


def change(shard: Path, **facts) -> None:
    document = json.loads((shard / "run.json").read_text())
    for name, value in facts.items():
        node = document
        *above, last = name.split("__")
        for key in above:
            node = node[key]
        node[last] = value
    (shard / "run.json").write_text(json.dumps(document))


def test_the_run_is_the_same_whatever_the_number_of_shards(place, parts, tmp_path):
    joined = join_shards(parts)
    assert content(parts) == content(place / "whole")
    assert (joined.shards, joined.totals["n"], joined.totals["missing"]) == (3, COUNT, 1)
    assert 0 < joined.totals["execution_accuracy"] < 1
    scored(place, tmp_path / "one", Shard(1, 1))
    join_shards(tmp_path / "one")
    assert content(tmp_path / "one") == content(place / "whole")


def test_joining_again_gives_the_same_bytes(parts):
    join_shards(parts)
    first = (parts / "items.parquet").read_bytes()
    join_shards(parts)
    assert (parts / "items.parquet").read_bytes() == first


@pytest.mark.parametrize("of", [1, 2, 3, 10, 11, 12, 40])
def test_shards_are_stretches_that_cover_every_item_once(of):
    bounds = [Shard(number, of).bounds(COUNT) for number in range(1, of + 1)]
    assert [place for first, last in bounds for place in range(first, last)] == list(range(COUNT))
    assert max(last - first for first, last in bounds) - min(last - first for first, last in bounds) <= 1


def test_more_shards_than_items_leave_empty_ones_that_join(place, tmp_path):
    for name in ("bench.jsonl", "p.jsonl"):
        rows = [json.loads(line) for line in (place / name).read_text().splitlines()]
        lines(tmp_path / name, [row for row in rows if row["id"] == "q3"])
    for number in (1, 2, 3):
        scored(tmp_path, tmp_path, Shard(number, 3))
    assert join_shards(tmp_path).totals["n"] == 1
    rows, facts = content(tmp_path)
    assert [row["id"] for row in rows] == ["q3"]
    assert "shard" not in facts


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ConfigError, match="such as 3/16"):
        parse_shard(text)


def test_a_missing_shard_is_named_with_the_option_that_makes_it(parts):
    shutil.rmtree(parts / "shards" / "00002-of-00003")
    with pytest.raises(StoreError, match="--shard 2/3"):
        join_shards(parts)
    assert not (parts / "run.json").exists()


def test_shards_of_two_cuts_are_refused(place, parts):
    scored(place, parts, Shard(1, 2))
    with pytest.raises(StoreError, match="shards of 2 and of 3"):
        join_shards(parts)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("machine__versions__duckdb", "1.0.0"),
        ("machine__versions__sqlglot", "1.0.0"),
        ("machine__python", "3.9.1"),
        ("digests__judges", "another"),
        ("digests__predictions", "another"),
        ("digests__benchmark", "another"),
        ("score__tolerance", 0.5),
    ],
)
def test_shards_of_different_versions_or_inputs_are_refused_by_field(parts, field, value):
    change(parts / "shards" / "00003-of-00003", **{field: value})
    with pytest.raises(StoreError) as caught:
        join_shards(parts)
    assert f"{field.replace('__', '.')} is " in str(caught.value)
    assert f"{value!r} in shard 3/3" in str(caught.value)
    assert not (parts / "run.json").exists()


def test_another_machine_with_the_same_versions_is_fine(parts):
    change(parts / "shards" / "00003-of-00003", machine__cpu="another", machine__name="another", machine__cpu_count=64)
    assert join_shards(parts).shards == 3
    assert read_run(parts).facts["timings"]["shards"][2]["machine"] == "another"


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(bytes(data))


def test_a_damaged_shard_is_told_at_join_and_made_again_when_asked(place, parts):
    spoil(parts / "shards" / "00002-of-00003" / "items.parquet")
    with pytest.raises(StoreError, match=r"Shard 2/3 is damaged.*another digest.*--shard 2/3"):
        join_shards(parts)
    assert not (parts / "items.parquet").exists()
    said: list[str] = []
    assert scored(place, parts, Shard(2, 3), said.append).reused is False
    assert "damaged and is made again" in said[0]
    join_shards(parts)
    assert content(parts) == content(place / "whole")


def test_a_finished_shard_is_reused_and_one_of_other_predictions_is_not(place, parts):
    folder = parts / "shards" / "00001-of-00003"
    before = (folder / "items.parquet").stat().st_mtime_ns
    assert scored(place, parts, Shard(1, 3)).reused is True
    assert (folder / "items.parquet").stat().st_mtime_ns == before
    change(folder, digests__inputs="another")
    assert scored(place, parts, Shard(1, 3)).reused is False


def test_the_commands_shard_and_join(place, tmp_path, capsys):
    command = ["score", str(place / "bench.jsonl"), str(place / "p.jsonl"), "--allow-missing", "score.workers=1"]
    for number in (1, 2):
        assert status([*command, "--shard", f"{number}/2", "--out", str(tmp_path), "score.cache_dir="]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["shard"], document["n"]) == ("2/2", 6)
    assert status(["score", "--join", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["shards"], document["n"], document["missing"]) == (2, COUNT, 1)
    assert document["out"] == str(tmp_path)


@pytest.mark.parametrize(
    "arguments", [["--shard", "1/2"], ["a", "b", "--shard", "1/2"], ["a", "b", "--join", "c"], ["a"]]
)
def test_options_that_do_not_go_together_are_wrong_usage(arguments):
    assert status(["score", *arguments]) == 2


# -- what lies on disk while it is used


def test_answers_come_back_as_they_were_put_and_the_digest_ignores_their_order():
    answers = {"b": "SELECT 'ü\ud800'", "a": Generation("a", "x\ud800", 3, 4, False, 1), "ü\udfff": ""}
    one, other = AnswerFile(["a", "b", "ü\udfff", "zz"]), AnswerFile(answers)
    for identity in answers:
        assert one.put(identity, answers[identity])
    for identity in reversed(answers):
        other.put(identity, answers[identity])
    assert dict(one) == answers
    assert one.put("b", "again") is False
    assert one["b"] == answers["b"]
    assert one.missing() == ("zz",)
    assert one.digest() == other.digest()
    other = AnswerFile(answers)
    other.put("a", "x")
    assert one.digest() != other.digest()


def test_an_id_met_twice_is_told_with_its_first_row():
    seen = SeenIds()
    assert [seen.earlier(identity, row) for row, identity in enumerate(["a", "b", "\ud800", "b"])] == [None] * 3 + [1]
    assert seen.count == 3


# -- with suites


@pytest.mark.parametrize("fault", [MemoryError(), duckdb.OutOfMemoryException("Out of Memory Error")])
def test_a_suite_whose_maker_ran_out_of_memory_is_asked_again_in_a_fresh_worker(monkeypatch, fault):
    """What the worker had made before fills its memory: without a second try the verdict would follow the cut."""
    board, _ = Board.create()
    maker = Maker(MakerOptions(), Watchdog(board))

    def full(self, database):
        raise fault

    monkeypatch.setattr(Maker, "_place", full)
    body, _ = maker.answer(Order(Database("k", script=SCRIPT), "SELECT a FROM t"), None)
    assert body["doubt"] is True
    assert body["retire"] is True
    assert "memory" in json.loads(body["suite"])["reason"].lower()
    board.close()


class Makers:
    """Forty-eight workers that make nothing."""

    workers = 48

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def run(self, jobs):
        for _ in list(jobs):
            yield Answer({"suite": Suite(reason="none").to_json()})


def test_many_makers_of_suites_have_batches_enough_before_they_wait_for_each_other(monkeypatch):
    monkeypatch.setattr(make, "Pool", lambda *_, **__: Makers())
    taken = 0

    def items():
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield Item(f"q{number}", "?", SCRIPT, (f"SELECT {number}",), Database(f"k{number}", script=SCRIPT))

    next(make.make_suites(items()))
    assert 8 * 8 * Makers.workers <= taken < 9 * 8 * Makers.workers


class Stalls:
    """A watch on a machine that stands still: statements are interrupted as often as it is told to."""

    def __init__(self, connection, times: int) -> None:
        self._connection, self.left = connection, times

    def __enter__(self):
        if self.left:
            self.left -= 1
            raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")

    def __exit__(self, *_):
        return None

    def close(self):
        return None


@pytest.mark.parametrize("sql", ["SELECT count(*) FROM t", "INSERT INTO t SELECT a + 10 FROM t"])
def test_a_machine_that_stood_still_once_changes_no_suite(sql):
    def asked(stalls: int):
        connection = duckdb.connect()
        connection.execute("CREATE TABLE t (a INT)")
        watch = Stalls(connection, stalls)
        with DuckDBExecutor(connection, watch) as executor:
            executor.load(["INSERT INTO t VALUES (1), (2)"])
            ask = executor.query if sql.startswith("SELECT") else executor.state
            found = [ask(sql) for _ in range(2)]
            assert watch.left == 0
            return repr(found)

    assert asked(1) == asked(0)


def test_a_statement_that_runs_away_is_asked_once_more_and_then_believed():
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (a INT)")
    watch = Stalls(connection, 100)
    with DuckDBExecutor(connection, watch) as executor:
        executor.load(["INSERT INTO t VALUES (1)"])
        for _ in range(5):
            with pytest.raises(StatementError, match="Interrupt"):
                executor.query("SELECT a FROM t")
    assert watch.left == 100 - 6
