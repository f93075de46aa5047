from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.benchmark import id_text, load
from harness.benchmark.split import divided, overlap
from harness.config import Split
from harness.errors import ConfigError, DataError
from harness.records import Database, Item

SCRIPT = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1);"


def row(number: int, **more: object) -> dict[str, object]:
    return {"id": number, "sql_prompt": f"Question {number}?", "sql_context": SCRIPT, "sql": "SELECT a FROM t"} | more


def written(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in rows), encoding="utf-8")
    return str(path)


def item(identity: str, question: str = "q", gold: str = "SELECT 1", key: str = "k") -> Item:
    return Item(identity, question, "", (gold,), Database(key))


def test_a_bare_file_is_a_benchmark_of_all_its_rows(tmp_path):
    loaded = load(written(tmp_path / "mine.jsonl", [row(1, domain="law"), row(2, sql=["SELECT 1", "SELECT 2"])]))

    first, second = loaded.items()
    assert loaded.name == "mine"
    assert (first.id, first.question, first.golds) == ("1", "Question 1?", ("SELECT a FROM t",))
    assert first.database.script == SCRIPT
    assert dict(first.tags) == {"domain": "law"}
    assert second.golds == ("SELECT 1", "SELECT 2")
    assert first.cluster == second.cluster


def test_every_format_gives_the_same_items(tmp_path):
    rows = [row(1), row(2, sql_prompt='Größe, "quoted"\nand a line?')]
    table = pa.Table.from_pylist(rows)
    names = [written(tmp_path / "a.jsonl", rows)]
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    quoted = [[str(entry[key]).replace('"', '""') for key in entry] for entry in rows]
    lines = [",".join(rows[0]), *(",".join(f'"{cell}"' for cell in entry) for entry in quoted)]
    (tmp_path / "a.csv").write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    names += [str(tmp_path / name) for name in ("a.parquet", "a.arrow", "b.arrow", "a.json", "a.csv")]

    digests = {load(name).digest() for name in names}

    assert len(digests) == 1


def test_bom_crlf_and_blank_lines_are_no_obstacle(tmp_path):
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(row(1)).encode() + b"\r\n\r\n" + json.dumps(row(2)).encode())
    assert [entry.id for entry in load(str(path)).items()] == ["1", "2"]


def test_a_row_without_id_has_its_number(tmp_path):
    rows = [{key: value for key, value in row(n).items() if key != "id"} for n in range(3)]
    assert [entry.id for entry in load(written(tmp_path / "a.jsonl", rows)).items()] == ["0", "1", "2"]


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (7.0, "7"), ("7", "7"), ("é", "é"), (10**20, str(10**20))])
def test_an_id_is_the_same_as_number_and_as_text(value, text):
    assert id_text(value) == text


@pytest.mark.parametrize("value", [None, True, 1.5, "", [], {}])
def test_what_is_no_id_is_none(value):
    assert id_text(value) is None


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row(1), row(1)], "row 1: id '1' is already that of row 0"),
        ([row(1), row("1")], "id '1' is already"),
        ([row(1), row(2, sql=None)], "row 1 (id 2) has no gold"),
        ([row(1, sql="  ")], "has no gold"),
        ([row(1, sql=[])], "has no gold"),
        ([row(1, sql=["SELECT 1", ""])], "has no gold"),
        ([row(1, sql=3)], "int where text belongs"),
        ([row(1, sql_context=None)], "has no context"),
        ([row(1, sql_prompt="")], "has no question"),
        ([row(1, id=True)], "an id is text or a whole number"),
        ([{"id": 1, "question": "q", "sql": "SELECT 1"}], "benchmark.columns.context=COLUMN"),
        ([], "holds no row"),
        ([[1]], "list where an object"),
    ],
)
def test_a_bad_row_is_named_with_its_file(tmp_path, rows, told):
    path = written(tmp_path / "bad.jsonl", rows)
    with pytest.raises(DataError) as caught:
        load(path).items()
    assert told in str(caught.value)
    assert "bad.jsonl" in str(caught.value)


def test_a_truncated_file_is_one_sentence_in_every_format(tmp_path):
    table = pa.Table.from_pylist([row(n) for n in range(500)])
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written(tmp_path / "a.jsonl", [row(n) for n in range(500)])
    (tmp_path / "a.json").write_text(json.dumps([row(n) for n in range(500)]))
    (tmp_path / "a.csv").write_text('id,sql_prompt,sql_context,sql\n1,"q","c","SELECT 1"\n2,"q","c","SELECT')
    (tmp_path / "a.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00truncated")
    for name in ("a.parquet", "a.arrow", "a.jsonl", "a.json", "a.csv", "a.jsonl.gz"):
        path = tmp_path / name
        whole = path.read_bytes()
        path.write_bytes(whole[: -len(whole) // 3])
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            load(str(path)).items()


def test_bytes_that_are_no_text_and_files_that_are_missing_are_named(tmp_path):
    (tmp_path / "latin.jsonl").write_bytes('{"id": 1, "sql_prompt": "Größe"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        load(str(tmp_path / "latin.jsonl")).items()
    with pytest.raises(DataError, match="does not exist"):
        load(str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="did you mean gretel"):
        load("gretl")


def test_a_folder_and_overrides_make_a_benchmark(tmp_path):
    (tmp_path / "benchmark.toml").write_text(
        'name = "mine"\ntrain = "tr.jsonl"\ntest = "te.jsonl"\ndialects = ["sqlite"]\n[columns]\ngold = "answer"\n'
    )
    written(tmp_path / "tr.jsonl", [row(1, answer="SELECT 1")])
    written(tmp_path / "te.jsonl", [row(2, answer="SELECT 2"), row(3, answer="SELECT 3")])

    loaded = load(str(tmp_path))
    assert [entry.golds[0] for entry in loaded.items()] == ["SELECT 2", "SELECT 3"]
    assert [entry.id for entry in loaded.items("train")] == ["1"]
    assert [entry.id for entry in loaded.items("all")] == ["1", "2", "3"]
    assert loaded.dialects == ("sqlite",)
    changed = load(str(tmp_path), {"columns": {"gold": "sql"}, "dialects": "mysql", "evaluate": "train"})
    assert changed.items()[0].golds == ("SELECT a FROM t",)
    assert changed.dialects == ("mysql",)


def test_faults_of_a_benchmark_file_are_told_together(tmp_path):
    (tmp_path / "benchmark.toml").write_text('dialect = ["x"]\nlayout = "csv"\n')
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path))
    assert "did you mean dialects?" in str(caught.value)
    assert "layout = 'csv'" in str(caught.value)


def test_data_and_test_exclude_each_other(tmp_path):
    (tmp_path / "benchmark.toml").write_text('data = "a.jsonl"\ntest = "b.jsonl"\n')
    with pytest.raises(DataError, match="both data and train or test"):
        load(str(tmp_path))


def test_a_hub_data_set_that_cannot_be_had_names_the_remedy(monkeypatch):
    # the variable is read on import, which another test may have caused: then the hub would be tried for 23 seconds
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"cannot be loaded .* benchmark\.data=FILE"):
        load("gretel").items()


@pytest.fixture(name="spider")
def _spider(tmp_path: Path) -> Path:
    folder = tmp_path / "database" / "shop"
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "shop.sqlite") as connection:
        connection.execute("CREATE TABLE cat (name TEXT)")
    return tmp_path


def spider_row(db: str = "shop") -> dict[str, object]:
    return {"db_id": db, "question": "Which cats?", "query": "SELECT name FROM cat"}


def test_spiders_own_files_and_ours_are_read(spider):
    (spider / "dev.json").write_text(json.dumps([spider_row()]))
    written(spider / "train.jsonl", [spider_row() | {"id": "train-1"}])
    for name, changes in ((str(spider), {}), ("spider", {"root": str(spider)})):
        loaded = load(name, changes)
        (entry,) = loaded.items("test")
        assert (entry.id, entry.cluster, entry.golds) == ("0", "shop", ("SELECT name FROM cat",))
        assert entry.database.path.endswith("shop.sqlite")
        assert "cat" in entry.context
        assert loaded.items("train")[0].id == "train-1"


@pytest.mark.parametrize("db", ["../shop", "a/b", "..", "a\\b", "c:x", "nul\x00"])
def test_a_database_id_cannot_leave_the_folder(spider, db):
    written(spider / "dev.jsonl", [spider_row(db)])
    with pytest.raises(DataError, match="is no database id"):
        load(str(spider)).items()


def test_a_missing_database_or_root_names_the_remedy(spider, tmp_path):
    written(spider / "dev.jsonl", [spider_row("zoo")])
    with pytest.raises(DataError, match=r"zoo is not at .*point benchmark\.root"):
        load(str(spider)).items()
    with pytest.raises(DataError, match=r"point benchmark\.root"):
        load("spider", {"root": str(tmp_path / "empty")}).items()


@given(st.sets(st.integers(0, 10_000), min_size=5, max_size=60), st.integers(0, 9), st.randoms())
def test_the_split_is_by_id_whatever_the_order(ids, seed, shuffler):
    items = [item(str(number)) for number in ids]
    shuffled = random.Random(shuffler.random()).sample(items, len(items))
    train, test = divided(items, Split(seed=seed), "x")
    again = divided(shuffled, Split(seed=seed), "x")
    assert (train, test) == again
    assert {entry.id for entry in train} | {entry.id for entry in test} == {str(number) for number in ids}
    assert not {entry.id for entry in train} & {entry.id for entry in test}


def test_the_guides_sizes_are_drawn_and_too_few_rows_are_told():
    items = [item(str(number)) for number in range(50)]
    train, test = divided(items, Split(select=40, train=30, test=10), "x")
    assert (len(train), len(test)) == (30, 10)
    assert divided(items, Split(select=40, train=30, test=10, seed=1), "x")[1] != test
    with pytest.raises(DataError, match="holds 50 rows, but the split asks for 12,500"):
        divided(items, Split(select=12_500), "x")


def test_overlap_counts_prompts_and_answers_once_each():
    train = [item("1", "What?", "SELECT a"), item("2", "Who?", "SELECT b")]
    test = [
        item("3", "what? ", "SELECT c"),
        item("4", "new", "select  B ;"),
        item("5", "What?", "SELECT a"),
        item("6", "What?", "SELECT a", key="elsewhere"),
    ]
    found = overlap(train, test)
    assert (found.same_prompt, found.same_answer, found.either, found.test_items) == (2, 2, 3, 4)


def test_the_digest_moves_with_everything_a_score_depends_on(tmp_path):
    variants = [
        [row(1), row(2)],
        [row(2), row(1)],
        [row(1), row(3)],
        [row(1), row(2, sql="SELECT 1")],
        [row(1), row(2, sql=["SELECT a FROM t", "SELECT 1"])],
        [row(1), row(2, sql_context="CREATE TABLE t (a INT)")],
        [row(1), row(2, sql_prompt="Other?")],
    ]
    digests = {load(written(tmp_path / f"{n}.jsonl", rows)).digest() for n, rows in enumerate(variants)}
    assert len(digests) == len(variants)


def test_public_data_load_whole(shared_data):
    spider = load("spider", {"root": str(shared_data / "spider")})
    assert (len(spider.items("test")), len(spider.items("train"))) == (1034, 6735)
    assert len({entry.cluster for entry in spider.items()}) == 20
    found = spider.overlap()
    assert found is not None
    assert found.either == 0
    assert len(load(str(shared_data / "gretel" / "rows.jsonl")).items()) == 5
    plain = load("sql_create_context", {"data": str(shared_data / "sql_create_context" / "rows.jsonl")})
    assert (len(plain.items()), len(plain.items("train"))) == (200, 9510)
