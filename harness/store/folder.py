"""A run being written: locked against a second process, generations kept as they come, two files at the end.

While it is written the folder holds `generations.part` (one checked line an answer). The end is `items.parquet`, then
`run.json`, each under a temporary name and renamed; `run.json` holds the digest of `items.parquet` and comes last,
so a folder without it is an unfinished run that the same command continues.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import StoreError
from harness.records import Generation
from harness.scratch import whole
from harness.store.rows import SCHEMA

FORMAT = 1
"""Version of the two files; a reader refuses a newer one."""
RUN_FILE = "run.json"
ITEMS_FILE = "items.parquet"
PART_FILE = "generations.part"
_PARTS = "generations*.part"
_LOCK_FILE = ".lock"
_ROWS_A_GROUP = 2048


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"{path} cannot be written ({reason}); free space or name another folder, then run the same command again: "
            "what was generated so far is kept."
        ) from None


class RunFolder:
    """The folder of one run, held by this process alone; use it in a `with` block.

    Where several processes make one run together, the one with `member` 0 holds the folder and finishes the run; the
    others keep their answers in parts of their own beside its part.
    """

    def __init__(self, path: str | Path, member: int = 0) -> None:
        self.path = Path(path)
        self._member = member
        self._own_part = self.path / (PART_FILE if member == 0 else f"generations-{member}.part")
        self._lock: IO[str] | None = None
        self._part: IO[bytes] | None = None
        self._items_digest = ""

    def __enter__(self) -> RunFolder:
        """Make and lock the folder; a StoreError where another process holds it."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            while self._member == 0 and self._lock is None:
                self._lock = self._locked()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None
        if self._lock is not None:
            with contextlib.suppress(OSError):
                (self.path / _LOCK_FILE).unlink()
            self._lock.close()
            self._lock = None

    def _locked(self) -> IO[str] | None:
        """The lock file, locked; None where its last owner removed it in between."""
        path = self.path / _LOCK_FILE
        lock = path.open("a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise StoreError(
                f"{self.path} is being written by another process (id {owner}); wait for it, or stop it first."
            ) from None
        try:
            same = os.fstat(lock.fileno()).st_ino == path.stat().st_ino
        except FileNotFoundError:
            same = False
        if not same:
            lock.close()
            return None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def resume(self, inputs: str) -> dict[tuple[str, int], Generation]:
        """Answers kept by earlier, killed calls with the same inputs, by (id, sample); opens the part for more."""
        path = self._own_part
        with writing(path):
            good_bytes = _read_part(path, inputs)[1]
            self._part = path.open("r+b" if good_bytes else "w+b")
            self._part.truncate(good_bytes)
            self._part.seek(good_bytes)
            if not good_bytes:
                self._part.write(_line({"inputs": inputs}))
                self._part.flush()
        return self.kept(inputs)

    def kept(self, inputs: str) -> dict[tuple[str, int], Generation]:
        """Every answer in the parts of all members, by (id, sample)."""
        parts = [_read_part(path, inputs)[0] for path in sorted(self.path.glob(_PARTS))]
        return {(answer.id, answer.sample): answer for part in parts for answer in part}

    def keep(self, generation: Generation) -> None:
        """Append one answer to the part."""
        if self._part is None:
            raise StoreError(f"{self.path} is not open for answers; call resume first.")
        with writing(self._own_part):
            self._part.write(_line(asdict(generation)))
            self._part.flush()

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep what is known of the one who answers beside the answers: a killed call's successor may not ask it."""
        if self._part is None:
            raise StoreError(f"{self.path} is not open for answers; call resume first.")
        with writing(self._own_part):
            self._part.write(_line({"facts": json.loads(json.dumps(facts, default=str))}))
            self._part.flush()

    def noted(self, inputs: str) -> dict[str, Any]:
        """What was noted last in any member's part; empty where nothing was."""
        notes = [note for path in sorted(self.path.glob(_PARTS)) for note in _read_part(path, inputs)[2]]
        return notes[-1] if notes else {}

    def write_items(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write `items.parquet` from rows of `item_row`, streaming; an older `run.json` is removed first."""
        path = self.path / ITEMS_FILE
        with writing(path), whole(path) as file:
            _write_parquet(file, rows)
            _sync(file)
            file.seek(0)
            self._items_digest = hashlib.file_digest(file, "sha256").hexdigest()
            (self.path / RUN_FILE).unlink(missing_ok=True)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write `run.json` and drop the part: from here on the run is finished."""
        digests = {**facts.get("digests", {}), "items": self._items_digest}
        document = {**facts, "format": FORMAT, "digests": digests}
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n"
        path = self.path / RUN_FILE
        with writing(path):
            with whole(path) as file:
                file.write(text.encode("utf-8", "replace"))
                _sync(file)
            for part in self.path.glob(_PARTS):
                part.unlink(missing_ok=True)


def write_run(path: str | Path, facts: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Both files of a run at once, for those who hold everything already."""
    with RunFolder(path) as folder:
        folder.write_items(rows)
        folder.finish(facts)


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_parquet(file: IO[bytes], rows: Iterable[Mapping[str, Any]]) -> None:
    stream = iter(rows)
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        while group := list(islice(stream, _ROWS_A_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))


def _sync(file: IO[bytes]) -> None:
    """Have it on the disk before its name is: answers are dear."""
    file.flush()
    os.fsync(file.fileno())


def _line(record: Mapping[str, Any]) -> bytes:
    data = json.dumps(record, sort_keys=True).encode("ascii")
    return hashlib.sha256(data).hexdigest()[:16].encode("ascii") + b" " + data + b"\n"


def _read_part(path: Path, inputs: str) -> tuple[list[Generation], int, list[dict[str, Any]]]:
    """The whole, checked answers of a part, the bytes they take, and notes; nothing where it is for other inputs."""
    kept: list[Generation] = []
    notes: list[dict[str, Any]] = []
    if not path.exists():
        return kept, 0, notes
    good = 0
    with path.open("rb") as file:
        for line in file:
            record = _checked(line)
            if record is None:
                break
            if good == 0:
                if record != {"inputs": inputs}:
                    return kept, 0, notes
            elif "facts" in record:
                notes.append(record["facts"])
            else:
                kept.append(Generation(**record))
            good += len(line)
    return kept, good, notes


def _checked(line: bytes) -> dict[str, Any] | None:
    digest, _, data = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or hashlib.sha256(data).hexdigest()[:16].encode("ascii") != digest:
        return None
    record: dict[str, Any] = json.loads(data)
    return record
