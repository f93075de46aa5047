from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas
import pyarrow.parquet as pq
import pytest

from harness.errors import StoreError
from harness.query import open_runs
from harness.records import RULES, Database, Generation, Item, Outcome, Verdict
from harness.store import (
    RunFolder,
    digest_of,
    find_run,
    is_finished,
    item_row,
    list_runs,
    load_items,
    read_run,
    run_id,
    write_run,
)

REQUIRED = {
    "id",
    "question",
    "gold_sql",
    "completion",
    "sql",
    "execution_match",
    "suite_match",
    "exact_match",
    "outcome",
    "reason",
    "prompt_tokens",
    "output_tokens",
    "execute_seconds",
    *(f"match_{rule}" for rule in RULES),
}
"""The columns others rely on."""


def stored_row(number: int = 1, match: bool | None = True, question: str = "How many?") -> dict[str, object]:
    item = Item(
        str(number),
        question,
        "CREATE TABLE t (a INT)",
        ("SELECT 1", "SELECT 2"),
        Database("k"),
        "db",
        {"b": "2", "a": "1"},
    )
    verdict = Verdict(
        item.id,
        Outcome.CORRECT if match else Outcome.GOLD_ERROR if match is None else Outcome.WRONG_VALUES,
        "" if match else "why",
        sql="SELECT 2",
        matches=dict.fromkeys(RULES, match),
        gold_index=1,
    )
    return item_row(item, Generation(item.id, "```sql\nSELECT 2\n```", 10, 5), verdict)


def test_a_run_comes_back_as_it_was_written(tmp_path):
    write_run(tmp_path / "r", {"id": "r", "model": "base", "totals": {"n": 2}}, [stored_row(1), stored_row(2, None)])

    run = read_run(tmp_path / "r")
    items = load_items(run)

    assert (run.id, run.model, run.facts["totals"]) == ("r", "base", {"n": 2})
    assert set(items.column_names) >= REQUIRED
    assert items["execution_match"].to_pylist() == [True, None]
    assert items["match_bird"].to_pylist() == [True, None]
    assert items["gold_sql"].to_pylist() == ["SELECT 2", "SELECT 2"]
    assert items["tags"].to_pylist()[0] == [("a", "1"), ("b", "2")]
    assert load_items(run, ["id"]).column_names == ["id"]
    assert sorted(os.listdir(tmp_path / "r")) == ["items.parquet", "run.json"]


def test_the_items_are_plain_parquet_for_duckdb_and_pandas(tmp_path):
    write_run(tmp_path / "r", {"id": "r"}, [stored_row(1), stored_row(2, False), stored_row(3, None)])
    path = str(tmp_path / "r" / "items.parquet")

    frame = pandas.read_parquet(path)
    assert frame["execution_match"].tolist() == [True, False, None]
    assert dict(frame["tags"][0]) == {"a": "1", "b": "2"}
    told = duckdb.execute("SELECT id, execution_match, tags['b'] FROM read_parquet(?) ORDER BY id", [path]).fetchall()
    assert told == [("1", True, "2"), ("2", False, "2"), ("3", None, "2")]


def test_an_answers_tables_and_digest_come_back_and_older_runs_without_them_still_read(tmp_path):
    shown = {name: f"{name} \ud800" for name in ("answer_digest", "table", "gold_table", "witness_case")}
    verdict = Verdict("1", Outcome.WRONG_VALUES, "why", **shown)
    item = Item("1", "How many?", "", ("SELECT 1",), Database("k"))
    write_run(tmp_path / "new", {"id": "new"}, [item_row(item, Generation("1", "x"), verdict)])
    old = load_items(tmp_path / "new").drop_columns(list(shown))
    (tmp_path / "old").mkdir()
    pq.write_table(old, tmp_path / "old" / "items.parquet")
    digest = hashlib.sha256((tmp_path / "old" / "items.parquet").read_bytes()).hexdigest()
    (tmp_path / "old" / "run.json").write_text(json.dumps({"id": "old", "format": 1, "digests": {"items": digest}}))

    row = load_items(tmp_path / "new").to_pylist()[0]
    assert {name: row[name] for name in shown} == {name: f"{name} ?" for name in shown}
    with open_runs(list_runs(tmp_path)) as tables:
        answer = tables.ask("SELECT run, witness_case FROM items ORDER BY run")
    assert answer.rows == (("new", "witness_case ?"), ("old", None))


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    rows = [stored_row(number) for number in range(5000)]
    for name in ("a", "b"):
        write_run(tmp_path / name, {"id": "r", "b": 1, "a": {"y": 2, "x": 1}}, iter(rows))
    for file in ("run.json", "items.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_text_that_is_no_unicode_does_not_stop_a_run(tmp_path):
    write_run(tmp_path / "r", {"id": "r", "x": "\ud800"}, [stored_row(question="a\ud800b\x00c é")])
    assert load_items(tmp_path / "r")["question"].to_pylist() == ["a?b\x00c é"]


def generation(number: int) -> Generation:
    return Generation(str(number), f"SELECT {number} -- é \ud83d", 3, 4, finished=number % 2 == 0)


def test_a_killed_run_continues_from_its_part(tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        assert folder.resume("inputs") == {}
        folder.keep(generation(1))
        folder.keep(generation(2))
    assert not is_finished(tmp_path / "r")
    with pytest.raises(StoreError, match="unfinished run; run its command again"):
        read_run(tmp_path / "r")

    with RunFolder(tmp_path / "r") as folder:
        kept = folder.resume("inputs")
        assert kept == {("1", 0): generation(1), ("2", 0): generation(2)}
        folder.keep(generation(3))
    with RunFolder(tmp_path / "r") as folder:
        assert len(folder.resume("inputs")) == 3
        folder.write_items([stored_row()])
        folder.finish({"id": "r"})
    assert sorted(os.listdir(tmp_path / "r")) == ["items.parquet", "run.json"]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path, cut):
    with RunFolder(tmp_path) as folder:
        folder.resume("inputs")
        for number in range(3):
            folder.keep(generation(number))
    part = tmp_path / "generations.part"
    part.write_bytes(part.read_bytes()[:-cut])

    with RunFolder(tmp_path) as folder:
        assert len(folder.resume("inputs")) == 2
        folder.keep(generation(9))
    with RunFolder(tmp_path) as folder:
        assert [key for key, _ in folder.resume("inputs")] == ["0", "1", "9"]


def test_a_changed_byte_ends_what_is_trusted(tmp_path):
    with RunFolder(tmp_path) as folder:
        folder.resume("inputs")
        for number in range(3):
            folder.keep(generation(number))
    part = tmp_path / "generations.part"
    part.write_bytes(part.read_bytes().replace(b"SELECT 1", b"SELECT 7"))
    with RunFolder(tmp_path) as folder:
        assert [key for key, _ in folder.resume("inputs")] == ["0"]


def test_answers_to_other_inputs_are_not_taken(tmp_path):
    with RunFolder(tmp_path) as folder:
        folder.resume("old")
        folder.keep(generation(1))
    with RunFolder(tmp_path) as folder:
        assert folder.resume("new") == {}
        folder.keep(generation(2))
    with RunFolder(tmp_path) as folder:
        assert list(folder.resume("new")) == [("2", 0)]


def test_two_processes_do_not_write_one_run(tmp_path):
    code = "import sys; from harness.store import RunFolder; RunFolder(sys.argv[1]).__enter__()"
    with RunFolder(tmp_path / "r"):
        with pytest.raises(StoreError, match=f"another process \\(id {os.getpid()}\\)"), RunFolder(tmp_path / "r"):
            pass
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r")], capture_output=True, text=True)
        assert "another process" in other.stderr
    with RunFolder(tmp_path / "r"):
        assert (tmp_path / "r" / ".lock").exists()


def test_a_full_disk_is_one_sentence_and_keeps_what_was_there(tmp_path, monkeypatch):
    write_run(tmp_path / "r", {"id": "r"}, [stored_row()])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with RunFolder(tmp_path / "new") as folder:
        folder.resume("inputs")
        folder.keep(generation(1))
        with pytest.raises(StoreError, match=r"No space left on device.*run the same command again"):
            folder.write_items([stored_row()])
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path / "new")) == ["generations.part"]
    assert read_run(tmp_path / "r").id == "r"


def test_a_runs_files_are_on_the_disk_before_their_names_are(tmp_path, monkeypatch):
    seen = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        seen.append(("synced", os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        sync(descriptor)

    def named(old: Path, new: Path) -> None:
        seen.append((new.name, old.stat().st_ino, old.stat().st_size))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    write_run(tmp_path, {"id": "r"}, [stored_row()])
    assert [step for step, *_ in seen] == ["synced", "items.parquet", "synced", "run.json"]
    for (_, *on_disk), (_, *under_name) in zip(seen[::2], seen[1::2], strict=True):
        assert on_disk == under_name


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"), RunFolder(tmp_path / "file" / "r"):
        pass


def test_a_rewritten_run_is_never_read_half_old_half_new(tmp_path):
    write_run(tmp_path, {"id": "old"}, [stored_row(1)])
    with RunFolder(tmp_path) as folder:
        folder.write_items([stored_row(2)])
    with pytest.raises(StoreError, match="unfinished"):
        read_run(tmp_path)


def test_damage_is_told(tmp_path):
    write_run(tmp_path / "r", {"id": "r"}, [stored_row()])
    items = tmp_path / "r" / "items.parquet"
    items.write_bytes(items.read_bytes()[:-10])
    with pytest.raises(StoreError, match=r"not the file its run\.json was written with"):
        load_items(tmp_path / "r")
    (tmp_path / "r" / "run.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        read_run(tmp_path / "r")
    (tmp_path / "r" / "run.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(StoreError, match="newer than"):
        read_run(tmp_path / "r")
    with pytest.raises(StoreError, match="holds no run"):
        read_run(tmp_path / "none")


def test_runs_are_found_by_folder_id_and_beginning(tmp_path):
    for name in ("a-base-1", "a-base-2", "b-base-1"):
        write_run(tmp_path / name, {"id": name}, [stored_row()])
    (tmp_path / "c-unfinished").mkdir()
    assert [run.id for run in list_runs(tmp_path)] == ["a-base-1", "a-base-2", "b-base-1"]
    for name in ("checkpoint-60-f", "checkpoint-120-e", "checkpoint-9-0a"):
        write_run(tmp_path / "c" / name, {"id": name}, [stored_row()])
    assert [run.id for run in list_runs(tmp_path / "c")] == ["checkpoint-9-0a", "checkpoint-60-f", "checkpoint-120-e"]
    assert find_run("b-", tmp_path).id == "b-base-1"
    assert find_run("a-base-2", tmp_path).id == "a-base-2"
    assert find_run(str(tmp_path / "a-base-1")).id == "a-base-1"
    with pytest.raises(StoreError, match="several runs begin so"):
        find_run("a-", tmp_path)
    with pytest.raises(StoreError, match="no run has this name"):
        find_run("z", tmp_path)
    with pytest.raises(StoreError, match="none yet"):
        find_run("z", tmp_path / "nowhere")


def test_an_id_is_readable_and_follows_from_its_inputs():
    digest = digest_of({"b": 1, "a": [1, 2]})
    assert digest == digest_of({"a": [1, 2], "b": 1})
    assert run_id("My exp/1", "checkpoint-3", digest) == f"My-exp-1-checkpoint-3-{digest[:10]}"
    assert Path(run_id("../..", "x", digest)).name == run_id("../..", "x", digest)
