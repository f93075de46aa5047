from __future__ import annotations

import sqlite3

import pytest

from harness.config import PromptChoice
from harness.errors import ConfigError
from harness.prompt import GUIDE_SYSTEM, example, messages, prompt_digest, shown_schema
from harness.records import Database, Item

SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x;('), (2, 'y'), (3, 'z');"
ITEM = Item("1", "How many {context} are there?", SCRIPT, ("SELECT 1", "SELECT 2"), Database("k", SCRIPT))

GUIDE_TEXT = """Given the <USER_QUERY> and the <SCHEMA>, generate the corresponding SQL command to retrieve the desired data, considering the query's syntax, semantics, and schema constraints.

<SCHEMA>
CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x;('), (2, 'y'), (3, 'z');
</SCHEMA>

<USER_QUERY>
How many {context} are there?
</USER_QUERY>
"""  # noqa: E501 (the guide's text, character by character)


def test_the_default_prompt_is_the_guides_text():
    assert messages(ITEM, PromptChoice()) == [{"role": "user", "content": GUIDE_TEXT}]


def test_the_guides_system_message_is_its_text():
    first = messages(ITEM, PromptChoice(system="guide"))[0]
    assert first == {
        "role": "system",
        "content": "You are a text to SQL query translator. Users will ask you questions in English and you will "
        "generate a SQL query based on the provided SCHEMA.",
    }
    assert messages(ITEM, PromptChoice(system="Answer in SQL."))[0]["content"] == "Answer in SQL."
    assert first["content"] == GUIDE_SYSTEM


def test_training_shows_the_prompt_of_the_evaluation_and_teaches_the_first_gold():
    choice = PromptChoice(schema="ddl", system="guide")
    shown, answer = example(ITEM, choice)
    assert shown == messages(ITEM, choice)
    assert answer == "SELECT 1"


def test_the_schema_can_be_shown_without_rows_or_with_a_few():
    assert shown_schema(ITEM, PromptChoice(schema="ddl")) == "CREATE TABLE t (a INT, b TEXT);"
    two = shown_schema(ITEM, PromptChoice(schema="ddl+rows", sample_rows=2))
    assert two == "CREATE TABLE t (a INT, b TEXT);\nINSERT INTO t VALUES (1, 'x;('), (2, 'y');"
    assert shown_schema(ITEM, PromptChoice(schema="ddl+rows", sample_rows=0)) == "CREATE TABLE t (a INT, b TEXT);"


def test_a_schema_no_tokenizer_reads_is_shown_whole_rather_than_lost():
    script = "CREATE TABLE t (a TEXT DEFAULT 'open"
    item = Item("1", "q", script, ("SELECT 1",), Database("k", script))
    assert shown_schema(item, PromptChoice(schema="ddl")).startswith(script)


def test_a_database_file_is_shown_by_its_tables(tmp_path):
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cat (name TEXT)")
        connection.executemany("INSERT INTO cat VALUES (?)", [("Tom",), ("Kit",), ("Ann",)])
    item = Item("1", "q", "shipped", ("SELECT 1",), Database("k", path=str(path)))
    bare = shown_schema(item, PromptChoice(schema="ddl"))
    rows = shown_schema(item, PromptChoice(schema="ddl+rows", sample_rows=2))
    assert "cat" in bare
    assert "Tom" not in bare
    assert "Tom" in rows
    assert "Ann" not in rows


def test_a_template_of_ones_own_is_filled(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("{question} -- {context} {other}")
    text = messages(ITEM, PromptChoice(template=str(path)))[0]["content"]
    assert text == f"{ITEM.question} -- {SCRIPT} {{other}}"


def test_a_template_without_its_places_is_refused(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("{question}")
    with pytest.raises(ConfigError, match=r"lacks \{context\}"):
        messages(ITEM, PromptChoice(template=str(path)))
    with pytest.raises(ConfigError, match="cannot be read"):
        messages(ITEM, PromptChoice(template=str(tmp_path / "none.txt")))


def test_the_digest_moves_with_everything_that_changes_the_prompt(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("{question} {context}")
    choices = [
        PromptChoice(),
        PromptChoice(system="guide"),
        PromptChoice(schema="ddl"),
        PromptChoice(schema="ddl+rows"),
        PromptChoice(schema="ddl+rows", sample_rows=1),
        PromptChoice(template=str(path)),
    ]
    assert len({prompt_digest(choice) for choice in choices}) == len(choices)
    assert prompt_digest(PromptChoice(sample_rows=1)) == prompt_digest(PromptChoice())
