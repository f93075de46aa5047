"""Temporary folders and files: away with their maker, swept where it was killed, never another's."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import scratch
from harness.evaluate.answer_file import AnswerFile
from harness.sandbox.engine import EngineSettings
from harness.sandbox.pool import Pool
from harness.scratch import Scratch, sweep, write_whole

PREFIX = "harness-test-"


def killed(work: Callable[[], object]) -> None:
    """What a process does that is killed as soon as it has done it."""
    if (child := os.fork()) == 0:
        kept = []
        try:
            kept.append(work())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_a_killed_pools_folder_is_gone_after_the_next_start_and_a_live_ones_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import time; from harness.sandbox.engine import EngineSettings; from harness.sandbox.pool import Pool\n"
        "pool = Pool('harness.sandbox.statements:build', EngineSettings()); print('made', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"made\n"
        (theirs,) = names(tmp_path)
        with Pool("harness.sandbox.statements:build", EngineSettings()):
            assert len(names(tmp_path)) == 2
        assert names(tmp_path) == [theirs]
        other.kill()
    assert names(tmp_path) == [theirs]
    with Pool("harness.sandbox.statements:build", EngineSettings()):
        assert theirs not in names(tmp_path)
    assert names(tmp_path) == []


def test_only_ones_own_scratch_folders_are_swept_and_no_link_is_followed(tmp_path, monkeypatch):
    killed(lambda: Scratch(PREFIX, tmp_path))
    (left,) = names(tmp_path)
    treasure = tmp_path / "treasure"
    (treasure / "inside").mkdir(parents=True)
    (treasure / "lock").touch()
    (treasure / "inside" / "gold").touch()
    (tmp_path / f"{PREFIX}linkaaaa").symlink_to(treasure)
    (tmp_path / f"{PREFIX}mineaaaa").mkdir()  # a folder by the name alone
    (tmp_path / f"{PREFIX}mineaaaa" / "notes").touch()
    (tmp_path / f"{PREFIX}lockaaaa").mkdir()
    (tmp_path / f"{PREFIX}lockaaaa" / "lock").symlink_to(treasure / "lock")
    (tmp_path / f"{PREFIX}name-not-drawn").mkdir()
    os.mkfifo(tmp_path / f"{PREFIX}pipeaaaa")
    others = {name for name in names(tmp_path) if name != left}
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert sweep(PREFIX, tmp_path) == 0
    monkeypatch.setattr(os, "geteuid", lambda: mine)
    (tmp_path / left / "inside" / "deep").mkdir()
    (tmp_path / left / "inside" / "deep" / "link").symlink_to(treasure)
    assert sweep(PREFIX, tmp_path) == 1
    assert set(names(tmp_path)) == others
    assert (treasure / "inside" / "gold").exists()


def test_a_sweep_between_making_and_locking_leaves_the_maker_a_folder(tmp_path, monkeypatch):
    flock, raced = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not raced:  # the maker comes to its lock: another process is quicker
            raced.append(names(tmp_path))
            assert sweep(PREFIX, tmp_path) == 1
        flock(descriptor, how)

    monkeypatch.setattr(scratch.fcntl, "flock", late)
    with Scratch(PREFIX, tmp_path) as path:
        assert len(raced[0]) == 1
        assert path.is_dir()
        assert path.parent.name not in raced[0]
        assert sweep(PREFIX, tmp_path) == 0
    assert names(tmp_path) == []


def test_processes_that_start_die_and_sweep_at_once_lose_nothing(tmp_path):
    faults: list[str] = []

    def alive() -> None:
        for number in range(60):
            with Scratch(PREFIX, tmp_path) as path:
                (path / "file").write_text(str(number))
                sweep(PREFIX, tmp_path)
                if (path / "file").read_text() != str(number):
                    faults.append("lost")

    def dying() -> None:
        for _ in range(40):
            killed(lambda: Scratch(PREFIX, tmp_path))

    threads = [threading.Thread(target=alive) for _ in range(3)]
    for thread in threads:
        thread.start()
    dying()
    for thread in threads:
        thread.join()
    assert faults == []
    sweep(PREFIX, tmp_path)
    assert names(tmp_path) == []


def test_a_scratch_folder_goes_with_its_owner_and_a_forked_child_does_not_take_it(tmp_path):
    kept = Scratch(PREFIX, tmp_path)
    if (child := os.fork()) == 0:
        kept.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert kept.path.is_dir()
    assert sweep(PREFIX, tmp_path) == 0
    kept.path.chmod(0o500)
    del kept
    assert names(tmp_path) == []


def test_what_is_renamed_out_of_a_scratch_folder_stays(tmp_path):
    with Scratch(PREFIX, tmp_path) as path:
        (path / "file").touch()
        path.rename(tmp_path / "whole")
    assert names(tmp_path) == ["whole"]
    assert (tmp_path / "whole" / "file").exists()


def test_a_file_is_written_whole_by_many_at_once_and_a_killed_one_leaves_nothing_behind(tmp_path):
    file = tmp_path / "file"
    texts = [bytes([65 + number]) * 50_000 for number in range(4)]
    write_whole(file, b"old")

    def half() -> None:
        scratch.os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
        write_whole(file, b"half")

    killed(half)
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == [".file.part", "file"]

    def often(text: bytes) -> None:
        for _ in range(30):
            write_whole(file, text)
            seen.append(file.read_bytes() in texts)

    seen: list[bool] = []
    threads = [threading.Thread(target=often, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 120
    assert names(tmp_path) == ["file"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_whole(file, "text")  # type: ignore[arg-type]
    assert names(tmp_path) == ["file"]
    assert file.read_bytes() == b"old"
    (tmp_path / ".file.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"symbolic|Too many"):
        write_whole(file, b"new")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="/proc tells which files a process has open")
def test_the_file_that_holds_very_many_answers_has_no_name_that_a_kill_could_leave():
    def opened() -> set[str]:
        links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        return {os.readlink(link) for link in links if os.path.lexists(link)}

    before = opened()
    answers = AnswerFile(f"{number}{'x' * 4000}" for number in range(6000))
    files = [path for path in opened() - before if path.startswith("/")]
    assert answers.knows("1" + "x" * 4000)
    assert files
    assert all(path.endswith(" (deleted)") for path in files)
