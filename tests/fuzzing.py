"""Fuzz targets: what must hold for any bytes. Each takes bytes and raises where something does not hold.

    python tests/fuzzing.py TARGET --seconds 600 --corpus FOLDER       (atheris where it is installed, else hypothesis)
    python tests/fuzzing.py TARGET --corpus FOLDER --keep             (the smallest part that reaches as much is kept)

`test_fuzzing.py` runs every target on its seeds, on what is kept of fuzzing (fixtures/fuzz/: findings as they are,
corpora as one JSON string of Latin-1 an input) and on a few drawn inputs.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
try:
    import atheris
except ImportError:
    atheris = None
if atheris is not None and __name__ == "__main__":
    with atheris.instrument_imports(include=["harness"]):
        from harness import config, errors, sqltext
        from harness.benchmark import sources
        from harness.sandbox import protocol
        from harness.scoring import judge
else:
    from harness import config, errors, sqltext
    from harness.benchmark import sources
    from harness.sandbox import protocol
    from harness.scoring import judge

ConfigError, DataError = errors.ConfigError, errors.DataError
KEPT = Path(__file__).parent / "fixtures" / "fuzz"
KEPT_BYTES = 60_000
"""Of each target's corpus, the shortest inputs first."""
READING = {"SELECT", "EXPLAIN", "RELATION", "LOGICAL_PLAN"}
_SQL = (
    b"SELECT a, count(*) FROM t WHERE b = 'x''y' GROUP BY 1 ORDER BY 2 LIMIT 3;",
    b"WITH q AS (SELECT 1) INSERT INTO t SELECT * FROM q",
    b"```sql\nSELECT 1 -- ;\n/* ; */ ; DROP TABLE t\n```\nThis is it.",
    b"EXPLAIN ANALYZE DELETE FROM t; COPY t TO 'x'; PRAGMA a; ATTACH 'b'",
    b'FROM t SELECT $$a;b$$, E\'\\n\', "q""q", `x`, [c]',
)


def text_of(data: bytes) -> str:
    """Any text, lone surrogates included."""
    return data.decode("utf-8", "surrogatepass") if _valid(data) else data.decode("latin-1")


def _valid(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def sql_text(data: bytes) -> None:
    """A completion is read without a fault, and what is found in it is found again in itself."""
    text = text_of(data)
    for finished in (True, False):
        found = sqltext.extract(text, finished)
        assert isinstance(found.sql, str)
        assert len(found.sql) <= 2 * len(text) + 2
    sqltext.split_statements(text)
    gold = "SELECT a FROM t WHERE b = 1"
    sqltext.exact_match(gold, text, ("duckdb", "mysql"))
    same = sqltext.exact_match(text, text, ("duckdb",))
    assert same.string or not text.strip(), "a statement is not its own match"


def classifier(data: bytes) -> None:
    """What is called reading never is writing to DuckDB's own parser."""
    text = text_of(data)
    kind = sqltext.statement_kind(text)
    if kind is not sqltext.Kind.READ:
        return
    try:
        statements = duckdb.extract_statements(text)
    except (duckdb.Error, UnicodeEncodeError, RuntimeError):
        return
    # PRAGMA-like reading statements are bound in a locked, in-memory database; what changes tables or files is not READ
    types = {str(statement.type).rpartition(".")[2].upper() for statement in statements}
    writing = types & {"INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "COPY", "ATTACH", "DETACH", "EXPORT"}
    writing |= types & {"LOAD", "SET", "VARIABLE_SET", "TRANSACTION", "VACUUM", "CALL", "MERGE_INTO", "COPY_DATABASE"}
    assert not writing, f"called reading: {text!r} is {sorted(types)}"


def experiment(data: bytes) -> None:
    """An experiment file is an experiment, or one sentence of ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.toml"
        path.write_bytes(data)
        pairs = [line for line in text_of(data).splitlines() if "=" in line][:3]
        for overrides in ([], pairs):
            try:
                config.load_experiment(path, overrides)
            except ConfigError:
                continue


def parquet(data: bytes) -> None:
    """A Parquet file is rows, or one sentence of ours."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("x.parquet", "x.arrow"):
            path = Path(folder) / name
            path.write_bytes(data)
            try:
                for number, _ in sources.read_rows(path):
                    if number > 50:
                        break
            except DataError:
                continue


def worker(data: bytes) -> None:
    """Whatever a worker sends is frames with a document each, or a fault the pool knows."""
    size = max(1, len(data) // 3)
    reader = protocol.FrameReader(limit=2**20)
    try:
        for start in range(0, len(data), size):
            for frame in reader.feed(data[start : start + size]):
                number, kind, body, blob = protocol.unpack_reply(frame)
                assert isinstance(number, int)
                assert isinstance(kind, int)
                assert isinstance(body, dict)
                judge.unpack_golds(blob)
    except (ValueError, struct.error):
        return


def _parquet_seed() -> bytes:
    table = pa.table(
        {
            "id": [1, 2, 3],
            "sql": ["SELECT 1", None, "x" * 50],
            "when": pa.array([1, 2, 3], pa.timestamp("us", tz="UTC")),
            "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int32())),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


TARGETS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]] = {
    "sql_text": (sql_text, _SQL),
    "classifier": (classifier, _SQL),
    "experiment": (
        experiment,
        ((ROOT / "benchmarks" / "pocket" / "pocket.toml").read_bytes(), b"train.epochs=1\n[benchmark]\nname='x'\n"),
    ),
    "parquet": (parquet, (_parquet_seed(),)),
    "worker": (
        worker,
        (
            protocol.pack_reply(3, {"outcome": "correct"}, b"\x01\x00k\x02\x00\x00\x00ab"),
            protocol.pack_reply(-2, {"held": {}}) * 2,
        ),
    ),
}


def kept(name: str) -> list[bytes]:
    """What fuzzing a target once found, then its kept corpus."""
    found = [path.read_bytes() for path in sorted(KEPT.glob(f"{name}-*"))]
    corpus = KEPT / f"{name}.jsonl"
    lines = corpus.read_bytes().splitlines() if corpus.is_file() else []
    return [*found, *(json.loads(line).encode("latin-1") for line in lines)]


def keep(name: str, corpus: Path) -> None:
    """Put the smallest part of a corpus folder that reaches all it reaches in place of the kept corpus."""
    with tempfile.TemporaryDirectory() as folder:
        # libFuzzer starts its own program again for every input that ends it: a program that can be started so
        again, merged = Path(folder) / "again", Path(folder) / "merged"
        again.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} --merge "$0" "$@"\n')
        again.chmod(0o700)
        merged.mkdir()
        subprocess.run([again, "-merge=1", "-rss_limit_mb=4096", merged, corpus], check=True)
        inputs = sorted((path.read_bytes() for path in merged.iterdir()), key=lambda data: (len(data), data))
    lines = [json.dumps(data.decode("latin-1"), ensure_ascii=False) + "\n" for data in inputs]
    sizes = accumulate(len(line.encode()) for line in lines)
    few = [line for line, size in zip(lines, sizes, strict=True) if size <= KEPT_BYTES]
    (KEPT / f"{name}.jsonl").write_text("".join(few), encoding="utf-8", newline="")
    sys.stderr.write(f"{name}: {len(few)} inputs kept, {len(lines) - len(few)} longer ones not\n")


def main() -> None:
    """Fuzz one target for a while; the first finding ends it and is written to the corpus folder."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("target", choices=sorted(TARGETS))
    options.add_argument("--seconds", type=int, default=600)
    options.add_argument("--corpus", type=Path, default=None)
    options.add_argument("--hypothesis", action="store_true", help="even where atheris is installed")
    options.add_argument("--keep", action="store_true", help="no fuzzing: keep the corpus, made as small as can be")
    options.add_argument("--merge", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    target, seeds = TARGETS[chosen.target]
    if chosen.merge:
        atheris.Setup(chosen.merge, target)
        atheris.Fuzz()
    if chosen.keep:
        keep(chosen.target, chosen.corpus)
        return
    with tempfile.TemporaryDirectory() as scratch:
        corpus = chosen.corpus or Path(scratch)
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate([*seeds, *kept(chosen.target)]):
            (corpus / f"seed-{number}").write_bytes(seed)
        if atheris is None or chosen.hypothesis:
            count = timed(chosen.target, chosen.seconds, corpus)
            sys.stderr.write(f"{chosen.target}: {count:,} inputs in {chosen.seconds} s without a finding\n")
            return
        words = [sys.argv[0], f"-max_total_time={chosen.seconds}", "-max_len=4096", "-rss_limit_mb=4096", "-timeout=25"]
        atheris.Setup([*words, f"-artifact_prefix={corpus}/", str(corpus)], target)
        atheris.Fuzz()


def timed(name: str, seconds: float, corpus: Path) -> int:
    """Seeds changed by hypothesis, a few hundred at a time, until the time is over; how many inputs that were.

    What the last failing example is made of is written to the corpus folder before its fault is raised.
    """
    target, seeds = TARGETS[name]
    seeds = (*seeds, *kept(name))
    end = time.monotonic() + seconds
    count = rounds = 0

    def tried(data: bytes) -> None:
        nonlocal count
        count += 1
        try:
            target(data)
        except BaseException:
            (corpus / f"{name}-hypothesis").write_bytes(data)
            raise

    while time.monotonic() < end:
        drawn(tried, seeds, end - time.monotonic(), examples=500, seed=rounds)
        rounds += 1
    return count


def drawn(
    target: Callable[[bytes], None], seeds: tuple[bytes, ...], seconds: float, examples: int, seed: int | None = None
) -> None:
    """So many examples of seeds changed by hypothesis, fewer where the time is over; the same ones for a seed."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as start_from
    from hypothesis import strategies as st

    end = time.monotonic() + seconds
    changes = st.lists(st.tuples(st.integers(0, 4095), st.binary(max_size=8), st.integers(0, 16)), max_size=6)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=seed is None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(st.binary(max_size=512), st.tuples(st.sampled_from(seeds), changes)))
    def once(given_: bytes | tuple[bytes, list[tuple[int, bytes, int]]]) -> None:
        if time.monotonic() > end:
            return
        if isinstance(given_, bytes):
            target(given_)
            return
        data = given_[0]
        for at, new, cut in given_[1]:
            place = at % (len(data) + 1)
            data = data[:place] + new + data[place + cut :]
        target(data)

    (once if seed is None else start_from(seed)(once))()


if __name__ == "__main__":
    main()
