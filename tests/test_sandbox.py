"""Properties of the worker pool: order, deadlines, replacement, streaming."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.errors import SandboxError
from harness.sandbox.engine import EngineSettings
from harness.sandbox.jobs import Job, bounded_workers
from harness.sandbox.pool import Pool
from harness.sandbox.protocol import FrameReader, pack_reply, unpack_reply
from harness.sandbox.statements import Statement

TASK = "harness.sandbox.statements:build"
HANGS = "SELECT count(*) FROM range(100000000) a, range(1000000) b"
SCRIPT = "CREATE TABLE t(i INT); INSERT INTO t VALUES (1), (2)"


@pytest.fixture(scope="module")
def pool():
    with Pool(TASK, EngineSettings(), workers=2) as running:
        yield running


def ask(pool: Pool, *statements: Statement | str) -> list[dict]:
    jobs = [Job(s if isinstance(s, Statement) else Statement(s, SCRIPT)) for s in statements]
    return [answer.body for answer in pool.run(jobs)]


def test_answers_come_in_the_order_of_the_jobs(pool):
    found = ask(pool, *[f"SELECT {n}" for n in range(300)])
    assert [body["rows"] for body in found] == [[[str(n)]] for n in range(300)]


def test_a_hanging_statement_is_interrupted_and_asked_once_more_alone(pool):
    begun = time.monotonic()
    answers = list(pool.run([Job(Statement(HANGS, seconds=0.3)), Job(Statement("SELECT 1"))]))
    assert answers[0].body["kind"] == "timeout"
    assert answers[0].retried
    assert answers[1].body["rows"] == [["1"]]
    assert time.monotonic() - begun < 8


def test_what_a_job_made_is_gone_for_the_next(pool):
    assert ask(pool, Statement("SELECT * FROM t", SCRIPT))[0]["rows"] == [["1"], ["2"]]
    bodies = ask(pool, *[Statement("SELECT * FROM t")] * 4)
    assert all(body["kind"] == "catalog" for body in bodies)


def test_the_clock_stands_still(pool):
    asked = "SELECT now(), current_date, current_timestamp, today(), current_time, localtimestamp, localtime"
    first, second = ask(pool, asked, asked)
    assert first["rows"] == second["rows"]
    assert first["rows"][0][1] == "2024-07-01"


def test_workers_are_confined(pool):
    ask(pool, "SELECT 1")
    assert {name for name, held in pool.confinement.items() if not held} <= {"network"}
    for pid in pool.pids():
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert "Max address space         2147483648" in limits
        assert "Max file size             0 " in limits


def test_a_worker_has_none_of_our_environment(pool, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    with Pool(TASK, EngineSettings(), workers=1) as fresh:
        ask(fresh, "SELECT 1")
        environment = Path(f"/proc/{fresh.pids()[0]}/environ")
        try:
            text = environment.read_bytes()
        except PermissionError:
            pytest.skip("this kernel does not show a protected process's environment")
    assert b"HF_TOKEN" not in text


def test_a_killed_worker_costs_nothing_but_a_second_attempt(pool):
    answers = []
    for number, answer in enumerate(pool.run(Job(Statement(f"SELECT {n}")) for n in range(3000))):
        answers.append(answer.body["rows"][0][0])
        if number in (100, 900):
            os.kill(pool.pids()[0], 9)
    assert answers == [str(n) for n in range(3000)]


def test_a_worker_that_cannot_start_is_told_with_a_remedy():
    with Pool("harness.sandbox.nowhere:build", None, workers=1) as broken, pytest.raises(SandboxError, match="nowhere"):
        list(broken.run([Job(None)]))


def test_the_working_folder_is_empty_and_goes_away():
    with Pool(TASK, EngineSettings(), workers=1) as fresh:
        ask(fresh, "SELECT 1")
        folder = Path(os.readlink(f"/proc/{fresh.pids()[0]}/cwd"))
        assert list(folder.iterdir()) == []
    assert not folder.exists()


def test_jobs_are_taken_no_further_ahead_than_the_window():
    taken = 0

    def jobs():
        nonlocal taken
        for n in range(2000):
            taken += 1
            yield Job(Statement(f"SELECT {n}"))

    with Pool(TASK, EngineSettings(), workers=1, window=64) as small:
        for given, _ in enumerate(small.run(jobs()), start=1):
            assert taken - given <= 64


def test_an_unfinished_run_leaves_the_pool_usable(pool):
    for answer in pool.run(Job(Statement(f"SELECT {n}")) for n in range(500)):
        assert answer.body["rows"] == [["0"]]
        break
    assert ask(pool, "SELECT 7")[0]["rows"] == [["7"]]


def test_no_worker_outlives_its_pool():
    with Pool(TASK, EngineSettings(), workers=2) as fresh:
        ask(fresh, *["SELECT 1"] * 40)
        pids = fresh.pids()
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_all_workers_together_fit_the_memory():
    assert bounded_workers(2**60) == 1
    assert bounded_workers(1, 2) == min(2, len(os.sched_getaffinity(0)))


def test_frames_survive_any_cut():
    frames = [pack_reply(n, {"text": "x" * n}, b"\0blob") for n in range(40)]
    stream = b"".join(frames)
    for size in (1, 3, 7, 1000):
        reader = FrameReader()
        found = [f for at in range(0, len(stream), size) for f in reader.feed(stream[at : at + size])]
        assert [unpack_reply(f)[0] for f in found] == list(range(40))
        assert unpack_reply(found[-1])[2:] == ({"text": "x" * 39}, b"\0blob")


def test_a_frame_that_claims_too_much_is_refused():
    with pytest.raises(ValueError, match="over the limit"):
        list(FrameReader(limit=100).feed(b"\xff\xff\xff\x7f"))
