"""Whether the engine's answers depend on how many processes share the work, and what its blocks cost, on a GPU.

    python benchmarks/speed/engine_ranks.py --shape gemma-3-1b --prompts 2048 --out DIR

Random weights in the given shape, three times as wide as usual (else every answer repeats one token), bf16, prompts of
20 to 300 tokens, up to 96 new ones each, every fortieth token of the vocabulary an end. Blocks of 512 prompts are
answered by one process, then as two and three processes would share them, then by one that finds a random third of the
answers kept. For comparison the same prompts are cut into stretches, each with slots of its own, as the engine
did before it had blocks. Each share is a new engine in this process. Then the tokens/s of all prompts as one block and
in blocks of several sizes.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import random_base
import torch
from engine_table import Held

from harness.generate.engine.generator import EngineGenerator
from harness.generate.engine.work import Work, longest_first
from harness.generate.share import Share

BLOCK = 512
NEW = 96


def asked(count: int, vocabulary: int) -> list[Work]:
    """Prompts of mixed lengths."""
    rng = random.Random(0)
    lengths = [rng.randint(20, 300) for _ in range(count)]
    return [Work(n, [rng.randrange(3, vocabulary) for _ in range(k)], NEW, str(n)) for n, k in enumerate(lengths)]


def answered(model: Any, works: list[Work], stops: list[int], share: Share) -> dict[str, list[int]]:
    """The share's answers by an engine of its own."""
    engine = EngineGenerator(Held(model))  # type: ignore[arg-type]
    blocks = [block for _, block in share.batches(longest_first(works), BLOCK)]
    return {work.id: ids for work, ids in engine.answers(works, stops, 256, blocks)}


def stretch(model: Any, works: list[Work], stops: list[int], share: Share) -> dict[str, list[int]]:
    """For comparison: a stretch of the prompts, answered by itself."""
    engine = EngineGenerator(Held(model))  # type: ignore[arg-type]
    return {work.id: ids for work, ids in engine.answers(share.items(works), stops, 256)}


def differing(model: Any, works: list[Work], stops: list[int]) -> dict[str, Any]:
    """How many answers differ from those of one process, for each way of sharing."""
    alone = answered(model, works, stops, Share())
    found: dict[str, Any] = {"prompts": len(works), "distinct": len({tuple(ids) for ids in alone.values()})}
    again = answered(model, works, stops, Share())
    found["once more"] = sum(again[name] != alone[name] for name in alone)
    for count in (2, 3):
        parts: dict[str, list[int]] = {}
        for index in range(count):
            parts |= answered(model, works, stops, Share(index, count))
        found[f"{count} processes"] = sum(parts[name] != alone[name] for name in alone)
    kept = frozenset(random.Random(1).sample(sorted(alone), len(alone) // 3))
    kept |= {work.id for work in longest_first(works)[:BLOCK]}  # a whole block: it is left out
    left = answered(model, works, stops, Share(kept=kept))
    found["after a kill"] = sum(ids != alone[name] for name, ids in left.items())
    found["after a kill, answered"] = len(left)
    parts = {}
    for index in range(2):
        parts |= stretch(model, works, stops, Share(index, 2))
    found["stretches"] = sum(parts[name] != alone[name] for name in alone)
    return found


def speeds(model: Any, works: list[Work], stops: list[int]) -> dict[str, Any]:
    """Output tokens a second by block; 0 is all as one."""
    engine = EngineGenerator(Held(model))  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for size in (0, 1024, 512, 256):
        blocks = [block for _, block in Share().batches(longest_first(works), size or len(works))]
        rates = []
        for _ in range(3):
            for _ in engine.answers(works, stops, 0, blocks):
                pass
            speed = engine.speed()
            if speed is not None:
                rates.append(speed.output_tokens / speed.generate_seconds)
        found[f"block {size or 'all'}"] = {"tokens_per_second": rates[1:], "slots": engine.facts["batch_size"]}
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="gemma-3-1b", choices=random_base.SHAPES)
    parser.add_argument("--prompts", type=int, default=2048)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = random_base.make(given.shape, device).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(3)
    vocabulary = model.config.vocab_size
    works = asked(given.prompts, vocabulary)
    stops = random.Random(2).sample(range(vocabulary), vocabulary // 40)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    found = {"device": name, "torch": torch.__version__, "shape": given.shape, "dtype": str(model.dtype)}
    found |= {"block": BLOCK, "answers that differ": differing(model, works, stops)}
    print(json.dumps(found), flush=True)
    found["speed"] = speeds(model, works, stops)
    print(json.dumps(found["speed"]), flush=True)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "engine_ranks.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
