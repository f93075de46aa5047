from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sqltext import extract

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("completion_*.txt"))


def _read(path: Path) -> tuple[dict[str, str], str, str]:
    head, rest = path.read_text(encoding="utf-8").split("===== completion =====\n")
    completion, sql = rest.split("\n===== sql =====\n")
    return dict(line.split(": ") for line in head.strip().splitlines()), completion, sql.removesuffix("\n")


@pytest.mark.parametrize("path", FIXTURES, ids=[path.stem.removeprefix("completion_") for path in FIXTURES])
def test_the_sql_of_a_completion_is_found(path: Path) -> None:
    facts, completion, sql = _read(path)
    found = extract(completion, finished=facts["finished"] == "yes")
    assert found.sql == sql
    assert found.how == facts["how"]
    assert found.truncated == (facts["truncated"] == "yes")


@given(st.text(max_size=400))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_it_fail(text: str) -> None:
    assert isinstance(extract(text, finished=False).sql, str)


@pytest.mark.parametrize("path", FIXTURES, ids=[path.stem.removeprefix("completion_") for path in FIXTURES])
def test_what_was_extracted_is_extracted_from_itself(path: Path) -> None:
    sql = extract(_read(path)[1]).sql
    assert extract(sql).sql in (sql, "")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 20_000,
        "SELECT a FROM t WHERE a IN (" + ",".join(map(str, range(200_000))) + ")",
        "SELECT 1; " * 50_000,
        "```" * 60_000,
        "SELECT '" + "x" * 1_000_000,
        "Answer: " * 50_000,
        "\n" * 500_000,
        "SELECT 1\n\n" * 20_000,
        "<think>" * 30_000,
        "/*" * 100_000,
        "SELECT a\0b \ud800 FROM t",
    ],
    ids=[
        "parentheses",
        "in-list",
        "loop",
        "fences",
        "long-literal",
        "labels",
        "newlines",
        "blank",
        "think",
        "comment",
        "nul",
    ],
)
def test_the_worst_text_takes_a_moment(text: str) -> None:
    started = time.process_time()
    extract(text, finished=False)
    assert time.process_time() - started < 3
