from __future__ import annotations

import sqlite3

from harness.benchmark import compact_script, compact_sqlite

SCRIPT = """
CREATE TABLE team (id INT PRIMARY KEY, name VARCHAR(20));
CREATE TABLE player (id INT, name TEXT, team_id INT REFERENCES team(id), born DATE);
INSERT INTO team VALUES (1, 'O''Hara'), (2, 'Blue');
INSERT INTO player (name, id) VALUES ('Ann', 7), ('Ann', 8);
"""


def test_a_script_shows_types_keys_references_and_distinct_values_beside_their_columns():
    text = compact_script(SCRIPT, 2)

    assert text.splitlines() == [
        "team(id int primary key [1, 2], name varchar(20) ['O''Hara', 'Blue'])",
        "player(id int [7, 8], name text ['Ann'], team_id int references team (id), born date)",
    ]


def test_without_values_only_the_columns_are_shown():
    assert "[" not in compact_script(SCRIPT, 0)


def test_a_script_that_cannot_be_read_is_shown_as_it_stands():
    assert compact_script("CREATE TABLE (((", 2) == "CREATE TABLE (((" == compact_script("CREATE TABLE (((", 0)


def test_a_database_file_reads_like_the_script_that_made_it(tmp_path):
    path = tmp_path / "t.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCRIPT)
    connection.close()

    lines = compact_sqlite(str(path), 1).splitlines()

    assert lines[0] == "team(id int primary key [1], name varchar(20) ['O''Hara'])"
    assert "team_id int references team(id)" in lines[1]


def test_a_database_is_found_whatever_characters_its_path_has(tmp_path):
    folder = tmp_path / "a#b ?c%20d"
    folder.mkdir()
    path = folder / "t.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE t (a INT);")
    connection.close()

    assert compact_sqlite(str(path), 1) == "t(a int)"


def test_long_values_are_cut_so_that_one_cell_cannot_fill_the_prompt():
    text = compact_script("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('" + "x" * 500 + "');", 1)

    assert len(text) < 60
