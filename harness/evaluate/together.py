"""What the ranks of one evaluation do together: share the answering, join what each has scored."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.evaluate.shards import FOLDER, finished_shards, write_joined
from harness.generate.base import Generator, Progress, Request
from harness.generate.settings import DecodingSettings
from harness.generate.share import Share
from harness.ranks import Ranks
from harness.records import Generation, Run
from harness.store import RunFolder

_SUMMED = ("prompt_tokens", "output_tokens", "padded_tokens", "energy_joules")
_LARGEST = ("generate_seconds", "prefill_seconds", "decode_seconds", "peak_memory_bytes")


def shared(
    generator: Generator,
    requests: Sequence[Request],
    decoding: DecodingSettings,
    tick: Progress,
    share: Share,
    ranks: Ranks,
) -> Iterator[Generation]:
    """The answers to a rank's share of all requests.

    A generator that offers `batch_size` cuts its batches from all requests, so that the ranks' answers are, bit for
    bit, those of one process; another (a server) answers each question for itself and gets a stretch.
    """
    size: Any = getattr(generator, "batch_size", None)
    if size is None:
        return generator.generate(share.items(requests), decoding, tick)
    if ranks.count > 1:
        decoding = dataclasses.replace(decoding, batch_size=ranks.agree(size(requests, decoding)))
    generate: Any = generator.generate
    answers: Iterator[Generation] = generate(requests, decoding, tick, share)
    return answers


def join_ranks(folder: RunFolder) -> None:
    """Write the run of all ranks' shards to the folder, which this process holds, and drop the shards."""
    start = time.perf_counter()
    runs = finished_shards(folder.path)
    write_joined(folder, runs, lambda: _timings(runs, time.perf_counter() - start))
    shutil.rmtree(folder.path / FOLDER, ignore_errors=True)


def _timings(runs: Sequence[Run], seconds: float) -> dict[str, Any]:
    """The first rank's phases, everybody's speed as one, and each rank's own."""
    timings = [run.facts["timings"] for run in runs]
    first = timings[0]
    return {
        **first,
        "phases": {**first["phases"], "join": seconds},
        "speed": _speed([own["speed"] for own in timings if own["speed"]]),
        "ranks": [
            {"machine": run.facts["machine"]["name"], "phases": own["phases"], "speed": own["speed"]}
            for run, own in zip(runs, timings, strict=True)
        ],
    }


def _speed(speeds: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Tokens and joules of all together; seconds and memory of the rank that needed most."""
    if not speeds:
        return None
    found: dict[str, Any] = {}
    for names, combined in ((_SUMMED, sum), (_LARGEST, max)):
        for name in names:
            values = [speed[name] for speed in speeds if speed.get(name) is not None]
            found[name] = combined(values) if len(values) == len(speeds) else None
    return found
