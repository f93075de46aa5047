"""`harness init`: one's own database and questions become a benchmark that every command works on."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.benchmark import load
from harness.cli import status
from harness.config import load_experiment

SCRIPT = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE purchase (id INTEGER, customer_id INTEGER REFERENCES customer (id), amount REAL);
INSERT INTO customer VALUES (1, 'Ann', 'Oslo'), (2, 'Bo', 'Bergen');
INSERT INTO purchase VALUES (1, 1, 9.5), (2, 1, 3.0), (3, 2, 7.25);
"""
QUESTIONS = """\
question,sql,kind
How many customers are there?,SELECT count(*) FROM customer,count
How many purchases are there?,SELECT count(*) FROM purchase,count
What did Ann spend?,"SELECT sum(amount) FROM purchase JOIN customer AS c ON c.id = customer_id WHERE name = 'Ann'",list
"Which towns, by name?",SELECT town FROM customer,list
"""
QUIET = ["score.workers=1", "score.cache_dir="]


@pytest.fixture(name="place")
def _place(tmp_path: Path, monkeypatch) -> Path:
    """A working folder with one database in four forms, and a file of questions."""
    monkeypatch.chdir(tmp_path)
    with duckdb.connect("shop.duckdb") as connection:
        connection.execute(SCRIPT)
        for name in ("customer", "purchase"):
            for kind in ("csv", "parquet"):
                Path(kind).mkdir(exist_ok=True)
                connection.execute(f"COPY {name} TO '{kind}/{name}.{kind}'")
    connection = sqlite3.connect("shop.sqlite")
    connection.executescript(SCRIPT)
    connection.close()
    Path("questions.csv").write_text(QUESTIONS, encoding="utf-8")
    return tmp_path


def init(*arguments: str) -> int:
    return status(["init", *arguments])


def document(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("source", ["shop.duckdb", "shop.sqlite", "csv", "parquet"])
def test_every_kind_of_database_becomes_a_benchmark_that_can_be_audited(place, capsys, source):
    assert init("shop", "--database", source, "--questions", "questions.csv") == 0
    made = document(capsys)
    assert made["tables"] == {"customer": 2, "purchase": 3}
    assert (made["n"], made["columns"]) == (4, {"question": "question", "gold": "sql"})
    assert Path(made["database"]).is_file()
    assert {path.name for path in Path(made["folder"]).iterdir()} == {
        "benchmark.toml",
        "shop.toml",
        "questions.csv",
        "database",
    }
    assert status(["audit", "shop", *QUIET]) == 0
    found = document(capsys)
    assert (found["n"], found["usable"], found["unusable_ids"]) == (4, 3, {"gold_error": ["4"]})


def test_predictions_are_scored_and_sliced_on_it(place, capsys):
    assert init("shop", "--database", "shop.sqlite", "--questions", "questions.csv") == 0
    answers = ["SELECT count(id) FROM customer", "SELECT 4", "SELECT 12.5", "SELECT city FROM customer"]
    text = "".join(json.dumps({"id": n, "sql": sql}) + "\n" for n, sql in enumerate(answers, start=1))
    Path("p.jsonl").write_text(text)
    assert status(["score", "shop", "p.jsonl", *QUIET]) == 0
    scored = document(capsys)
    assert (scored["n"], scored["scored"], scored["execution_accuracy"]) == (4, 3, pytest.approx(2 / 3))
    items = load("shop").items()
    assert [item.tags["kind"] for item in items] == ["count", "count", "list", "list"]
    assert {item.cluster for item in items} == {"shop"}


def test_the_files_say_what_every_setting_means_and_hold(place, capsys):
    assert init("own/shop", "--database", "shop.duckdb", "--questions", "questions.csv", "--model", "some/model") == 0
    text = Path("own/shop/benchmark.toml").read_text()
    assert tomllib.loads(text)["dialects"] == ["duckdb"]
    assert text.count("#") > 8
    experiment = load_experiment("own/shop/shop.toml")
    assert experiment.model.base == "some/model"
    assert experiment.benchmark.name == "own/shop"
    assert "harness eval own/shop/shop.toml" in Path("own/shop/shop.toml").read_text()
    assert load(experiment.benchmark.name).digest() == load("own/shop").digest()
    # the commented settings are right too
    more = [line.removeprefix("# ") for line in Path("own/shop/shop.toml").read_text().splitlines()]
    start = more.index('backend = "server"')
    Path("own/shop/server.toml").write_text(
        '[benchmark]\nname = "own/shop"\n[generate]\n' + "\n".join(more[start : start + 5])
    )
    assert load_experiment("own/shop/server.toml").generate.server.url == "http://localhost:8000/v1"


def test_to_train_on_some_of_the_questions_is_one_word(place, capsys):
    Path("many.csv").write_text("question,sql\n" + "".join(f"Number {n}?,SELECT {n}\n" for n in range(20)))
    assert init("shop", "--database", "shop.duckdb", "--questions", "many.csv") == 0
    benchmark = load("shop", {"evaluate": "test"})
    assert (len(benchmark.items("train")), len(benchmark.items("test"))) == (16, 4)
    assert benchmark.overlap().either == 0
    assert len(load("shop").items()) == 20


def test_the_benchmark_is_a_copy(place, capsys):
    assert init("shop", "--database", "shop.sqlite", "--questions", "questions.csv") == 0
    digest = load("shop").digest()
    Path("shop.sqlite").unlink()
    Path("questions.csv").unlink()
    assert load("shop").digest() == digest


def test_what_a_database_has_not_yet_written_to_its_file_comes_along(place, capsys):
    source = sqlite3.connect("live.sqlite")
    source.execute("PRAGMA journal_mode = wal")
    source.execute("CREATE TABLE customer (id INTEGER)")
    source.execute("INSERT INTO customer VALUES (1)")
    source.commit()
    assert Path("live.sqlite-wal").stat().st_size > 0
    assert init("shop", "--database", "live.sqlite", "--questions", "questions.csv") == 0
    assert document(capsys)["tables"] == {"customer": 1}
    source.close()


def test_golds_may_be_several_and_columns_may_be_called_anything(place, capsys):
    rows = [
        {"id": "a-1", "asked": "How many?", "right": json.dumps(["SELECT 2", "SELECT count(*) FROM customer"])},
        {"id": "a-2", "asked": "“Who”, «exactly»?\n[red]", "right": "SELECT name FROM customer"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), "q.parquet")
    names = ["--question", "asked", "--gold", "right", "--dialect", "postgres"]
    assert init("shop", "--database", "csv", "--questions", "q.parquet", *names) == 0
    first, second = load("shop").items()
    assert (first.id, first.golds) == ("a-1", ("SELECT 2", "SELECT count(*) FROM customer"))
    assert second.question == "“Who”, «exactly»?\n[red]"
    assert load("shop").dialects == ("postgres", "duckdb")


BAD = {
    "no database": (["--database", "none.db"], "There is no database at none.db; name a DuckDB"),
    "a database that is text": (["--database", "text.txt"], "text.txt is neither a DuckDB nor an SQLite database"),
    "a damaged database": (["--database", "broken.duckdb"], "broken.duckdb is not a readable DuckDB database"),
    "a damaged SQLite database": (["--database", "broken.sqlite"], "broken.sqlite"),
    "a database without a table": (["--database", "bare.duckdb"], "The database has no table"),
    "a folder without tables": (["--database", "empty"], "The folder empty holds no .csv or .parquet file"),
    "a folder with a broken table": (["--database", "spoilt"], "t.parquet cannot be read as a table"),
    "a table twice": (["--database", "double"], "would both be the table 't'; rename one"),
    "no questions": (["--questions", "none.csv"], "none.csv does not exist"),
    "questions without a gold": (["--questions", "half.csv"], "half.csv has no gold column: its columns are question"),
    "a column that is not there": (["--gold", "gold"], "questions.csv has no column 'gold' for the gold; its columns"),
    "semicolons": (["--questions", "german.csv"], "german.csv is separated by semicolons; save it as CSV with commas"),
    "an empty gold": (["--questions", "hole.csv"], "hole.csv question 2 has nothing in 'sql'; fill it in"),
    "an id twice": (["--questions", "twice.csv"], "twice.csv question 2: the id '7' is that of question 1 too"),
    "an empty file": (["--questions", "nothing.csv"], "nothing.csv holds no question"),
    "a file that is not UTF-8": (["--questions", "latin.csv"], "latin.csv is not UTF-8 text"),
    "a bad list of golds": (["--questions", "list.csv"], "list.csv"),
    "a dialect that is none": (["--dialect", "klingon"], "--dialect is 'klingon'; choose duckdb"),
}


@pytest.fixture(name="spoilt")
def _spoilt(place: Path) -> Path:
    Path("text.txt").write_text("hello")
    Path("broken.duckdb").write_bytes(Path("shop.duckdb").read_bytes()[:3000])
    Path("broken.sqlite").write_bytes(Path("shop.sqlite").read_bytes()[:60])
    duckdb.connect("bare.duckdb").close()
    for name in ("empty", "spoilt", "double"):
        Path(name).mkdir()
    Path("spoilt/t.parquet").write_bytes(b"PAR1")
    Path("double/t.csv").write_text("a\n1\n")
    Path("double/T.parquet").write_bytes(Path("parquet/customer.parquet").read_bytes())
    Path("half.csv").write_text("question,remark\nHow many?,x\n")
    Path("german.csv").write_text("question;sql\nHow many?;SELECT 1\n")
    Path("hole.csv").write_text("question,sql\nHow many?,SELECT 1\nHow few?, \n")
    Path("twice.csv").write_text("id,question,sql\n7,How many?,SELECT 1\n7,How few?,SELECT 2\n")
    Path("nothing.csv").write_text("question,sql\n")
    Path("latin.csv").write_bytes("question,sql\nWas für?,SELECT 1\n".encode("latin-1"))
    Path("list.csv").write_text('question,sql\nHow many?,"[""SELECT 1"", 2]"\n')
    return place


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(spoilt, capsys, name):
    changes, told = BAD[name]
    given = {"--database": "shop.duckdb", "--questions": "questions.csv"}
    given |= dict(zip(changes[::2], changes[1::2], strict=True))
    before = set(spoilt.rglob("*"))
    assert init("shop", *(word for pair in given.items() for word in pair)) == 1
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.startswith("harness: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert set(spoilt.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("taken", "taken is there already; choose another name"),
        ("a b", "'a b' is no name for a benchmark"),
        ("shop.csv", "reads like the name of a data file"),
        ("..", "is no name for a benchmark"),
        ("questions.csv/shop", "cannot be written"),
    ],
)
def test_a_name_that_cannot_be_is_one_sentence(place, capsys, name, told):
    Path("benchmarks/taken").mkdir(parents=True)
    assert init(name, "--database", "shop.duckdb", "--questions", "questions.csv") == 1
    captured = capsys.readouterr()
    assert told in captured.err
    assert "Traceback" not in captured.err
    assert list(Path("benchmarks").iterdir()) == [Path("benchmarks/taken")]


def test_a_question_is_asked_of_it_by_its_name(place, capsys, monkeypatch):
    from harness.cli import asking

    assert init("shop", "--database", "shop.duckdb", "--questions", "questions.csv") == 0
    item = asking._item("How many?", Path("shop"))
    assert item.database == load("shop").items()[0].database
    assert "CREATE TABLE purchase" in item.context
    assert asking._item("How many?", Path("shop.duckdb")).database.path == str(place / "shop.duckdb")


def test_training_on_what_will_be_asked_is_said(place, capsys, monkeypatch):
    import harness.trainer.train
    from harness.evaluate.training import train_experiment

    Path("many.csv").write_text("question,sql\n" + "".join(f"Number {n}?,SELECT {n}\n" for n in range(20)))
    assert init("shop", "--database", "shop.duckdb", "--questions", "many.csv") == 0
    monkeypatch.setattr(harness.trainer.train, "train", lambda *_, **__: None)
    for overrides, told in (([], True), (["benchmark.evaluate=test"], False)):
        said: list[str] = []
        train_experiment(load_experiment("benchmarks/shop/shop.toml", overrides), say=said.append)
        assert any("benchmark.evaluate=test" in line for line in said) == told


def test_a_model_is_evaluated_and_asked_on_it(place, capsys):
    import tiny_model

    tiny_model.build(Path("tiny"))
    assert init("shop", "--database", "shop.duckdb", "--questions", "questions.csv", "--model", "./tiny") == 0
    few = ["generate.max_new_tokens=3", "model.device=cpu", *QUIET, "score.suite=false"]
    capsys.readouterr()
    assert status(["eval", "benchmarks/shop/shop.toml", *few, "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    (run,) = json.loads(captured.out)["runs"]
    assert (run["model"], run["n"], run["scored"], run["unscorable"]) == ("base", 4, 3, 1)
    settings = [word for pair in few for word in ("--set", pair)]
    shown = ["--schema", "shop", "--experiment", "benchmarks/shop/shop.toml", "--model", "base"]
    assert status(["ask", "How many customers?", *shown, *settings]) == 0
    assert document(capsys)["model"] == "base"
