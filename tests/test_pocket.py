"""The embedded benchmark: rows as its generator makes them, golds that hold in DuckDB, the base its card describes."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path
from random import Random

import duckdb
import pyarrow.parquet as pq
import pytest

POCKET = Path(__file__).resolve().parent.parent / "benchmarks" / "pocket"
CLASSES = {
    "basic SQL",
    "aggregation",
    "single join",
    "multiple_joins",
    "subqueries",
    "window functions",
    "set operations",
    "CTEs",
}
GRETEL = ("id", "domain", "sql_complexity", "sql_task_type", "sql_prompt", "sql_context", "sql")


@pytest.fixture(scope="module", name="scripts")
def _scripts():
    """The benchmark's scripts as modules; they are run by path, so they import each other from their own folder."""
    sys.path.insert(0, str(POCKET))
    try:
        import corpus  # imports the others: generate, shapes, schema, wording
        import generate

        yield {"generate": generate, "corpus": corpus}
    finally:
        sys.path.remove(str(POCKET))


@pytest.fixture(scope="module", name="recipe")
def _recipe() -> dict:
    return tomllib.loads((POCKET / "benchmark.toml").read_text(encoding="utf-8"))["generator"]


def rows(split: str) -> list[dict]:
    return pq.read_table(POCKET / "data" / f"{split}.parquet").to_pylist()


@pytest.fixture(scope="module", name="data")
def _data() -> dict[str, list[dict]]:
    return {split: rows(split) for split in ("train", "test")}


def test_the_generator_gives_the_committed_rows_again(scripts, recipe, data):
    for split in ("train", "test"):
        made = scripts["generate"].build(
            recipe["seed"], split, recipe[f"{split}_rows"], recipe["questions_per_database"]
        )
        assert made == data[split], split


def test_another_seed_gives_other_rows(scripts, recipe, data):
    assert scripts["generate"].build(recipe["seed"] + 1, "test", 16, 8) != data["test"][:16]


def test_sizes_columns_and_ids(data):
    assert len(data["train"]) >= 4000
    assert len(data["test"]) >= 300
    assert set(GRETEL) <= set(data["train"][0])
    ids = [row["id"] for split in data.values() for row in split]
    assert len(set(ids)) == len(ids)


def test_domains_and_tables_of_the_test_split_do_not_occur_in_training(scripts, data):
    domains = {split: {row["domain"] for row in data[split]} for split in data}
    assert len(domains["train"]) >= 20
    assert len(domains["test"]) == 8
    assert not domains["train"] & domains["test"]
    tables = {"train": Counter(), "test": Counter()}
    for split, _, _, made in scripts["generate"].read_domains():
        tables[split].update(table.name for table in made)
    assert not set(tables["train"]) & set(tables["test"])
    assert max((tables["train"] + tables["test"]).values()) == 1


def test_every_class_and_writing_task_is_in_both_splits(data):
    for split in data.values():
        assert {row["sql_complexity"] for row in split} == CLASSES
        starts = Counter(row["sql"].split(None, 1)[0] for row in split)
        assert {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "CREATE"} == set(starts)


def test_every_shape_has_several_phrasings(scripts):
    book = scripts["generate"].BOOK
    expand = sys.modules["wording"].expand
    for key, templates in book.items():
        if isinstance(templates, dict) or not isinstance(templates[0], str):
            continue
        seen = {expand(Random(seed), t) for t in templates for seed in range(40)}
        assert len(seen) >= 2 or key == "labels_union yes", key


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> object:
    """Rows of a reading statement (in order where it orders), every table's and view's rows after a writing one."""
    connection.execute("BEGIN")
    try:
        fetched = connection.execute(sql).fetchall()
        if sql.startswith(("SELECT", "WITH")):
            return fetched if " ORDER BY " in sql and " OVER (" not in sql else sorted(fetched, key=repr)
        names = [
            n for (n,) in connection.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()
        ]
        return {n: sorted(connection.execute(f"SELECT * FROM {n}").fetchall(), key=repr) for n in names}
    finally:
        connection.execute("ROLLBACK")


def test_golds_run_in_duckdb_and_answer_something(data):
    some = [row for place, row in enumerate(data["train"]) if place // 8 % 24 == 0]  # every twenty-fourth database
    sample = data["test"] + some
    connection, loaded = None, None
    for row in sample:
        if row["sql_context"] != loaded:
            connection, loaded = duckdb.connect(":memory:", config={"threads": 1}), row["sql_context"]
            connection.execute(loaded)
            tables = [n for (n,) in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()]
            assert 2 <= len(tables) <= 4
            assert all(connection.execute(f"SELECT count(*) FROM {n}").fetchone()[0] >= 3 for n in tables)
        got = answer(connection, row["sql"])
        if isinstance(got, dict):
            assert got != answer(connection, f"DELETE FROM {tables[0]} WHERE false"), row["sql"]
        else:
            assert got, row["sql"]
            assert any(value is not None for value in got[0]), row["sql"]


def test_near_misses_answer_otherwise_in_duckdb_too(scripts):
    """Judged while generating in SQLite; here the same in the engine that scores."""
    generate = scripts["generate"]
    r, checked = generate.Random("near misses"), 0
    for _, _, _, tables in generate.read_domains():
        schema = generate.populate(r, tables)
        connection = duckdb.connect(":memory:", config={"threads": 1})
        connection.execute(schema.script())
        for _, _, shape in generate.questions(r, schema, 12, Counter()):
            gold = answer(connection, shape.sql)
            for near in shape.near:
                assert answer(connection, near) != gold, (shape.sql, near)
                checked += 1
            assert all(answer(connection, same) == gold for same in shape.same), shape.sql
    assert checked > 500


def test_questions_name_every_literal_of_their_gold(data):
    for row in data["test"]:
        for text in re.findall(r"'([^']*)'", row["sql"]):
            assert text.rstrip("%") in row["sql_prompt"], row


def test_the_corpus_has_none_of_the_benchmarks_tables_or_format(scripts):
    corpus = scripts["corpus"]
    made = [table.name for seed in range(2000) for table in corpus.schema(corpus.Random(seed)).tables]
    names = {table.name for _, _, _, tables in scripts["generate"].read_domains() for table in tables}
    assert len(set(made)) > 1000
    assert not set(made) & names
    text = "".join(part for seed in range(300) for part, _ in corpus.document(corpus.Random(seed)))
    assert "start_of_turn" not in text
    assert "SCHEMA" not in text


def test_no_question_in_tags_is_answered_in_the_corpus(scripts):
    corpus = scripts["corpus"]
    tagged = 0
    for seed in range(600):
        document = corpus.document(corpus.Random(seed))
        if any("</" in part for part, kind in document if not kind):
            tagged += 1
            assert not any(part for part, kind in document if kind)
    assert tagged > 30


def test_no_phrase_template_is_in_both_books(scripts):
    own, other = scripts["generate"].BOOK, scripts["corpus"].BOOK
    assert set(own) == set(other)
    shared = [
        t
        for key in own
        if isinstance(own[key][0] if isinstance(own[key], tuple) else None, str)
        for t in own[key]
        if t in other[key]
    ]
    assert shared == []


def test_the_base_is_a_small_gemma_3_with_its_card():
    folder = POCKET / "base"
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12_000_000
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["Gemma3ForCausalLM"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    assert "build_base.py" in card
    assert f"{facts['statement_loss']:.3f}" in card


def test_the_base_loads_and_its_tokenizer_has_gemmas_turns():
    from transformers import AutoTokenizer, Gemma3ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(POCKET / "base")
    assert tokenizer.convert_tokens_to_ids(["<pad>", "<eos>", "<bos>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.encode("<start_of_turn>user<end_of_turn>", add_special_tokens=False)[::2] == [4, 5]
    assert not tokenizer.chat_template
    text = "Größe 12.5, 'O''Neil'\n\n  SELECT x_y FROM é;\t日本"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    model = Gemma3ForCausalLM.from_pretrained(POCKET / "base")
    assert 2_000_000 < sum(p.numel() for p in model.parameters()) < 6_000_000
    assert model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()
    assert len(tokenizer) == model.config.vocab_size
