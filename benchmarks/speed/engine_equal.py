"""Whether the engine's tokens are those of transformers' generate() in fp32, on the device at hand.

    python benchmarks/speed/engine_equal.py --shape gemma-3-270m --prompts 200

Random weights in the given shape, three times as wide as usual (else every answer repeats one token), random prompts of
20 to 120 tokens, 32 new ones each, greedy. Prints one line of JSON: how many answers there are, how many of them
differ from one another, and for each that is not generate()'s where it parts and how far apart the two logits were.
"""

from __future__ import annotations

import argparse
import json
import random

import random_base
import torch
from engine_table import Held
from transformers import GenerationConfig

from harness.generate.engine.generator import EngineGenerator, Work

NEW = 32


def asked(count: int, vocabulary: int) -> list[Work]:
    """Prompts of mixed lengths, longest last."""
    rng = random.Random(0)
    lengths = sorted(rng.randint(20, 120) for _ in range(count))
    return [Work(n, [rng.randrange(3, vocabulary) for _ in range(length)], NEW) for n, length in enumerate(lengths)]


def generated(model: torch.nn.Module, works: list[Work], batch: int) -> dict[int, list[int]]:
    """What generate() answers, prompts padded on the left."""
    config = GenerationConfig(
        max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    found = {}
    for at in range(0, len(works), batch):
        part = works[at : at + batch]
        width = max(len(work.ids) for work in part)
        ids = torch.tensor([[0] * (width - len(work.ids)) + list(work.ids) for work in part], device=model.device)
        mask = torch.tensor([[0] * (width - len(work.ids)) + [1] * len(work.ids) for work in part], device=model.device)
        with torch.inference_mode():
            out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        found |= {work.number: row[width:].tolist() for work, row in zip(part, out, strict=True)}
    return found


def parted(model: torch.nn.Module, work: Work, ours: list[int], theirs: list[int]) -> dict[str, float]:
    """Where two answers part, and the distance of the two logits there."""
    at = next(n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    ids = torch.tensor([[*work.ids, *ours[:at]]], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0, -1]
    return {"prompt": work.number, "at": at, "gap": float((logits[ours[at]] - logits[theirs[at]]).abs())}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="gemma-3-270m", choices=random_base.SHAPES)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--slots", type=int, default=64, help="1 tries the kernels of a single sequence")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = random_base.make(given.shape, device).float().eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(3)
    works = asked(given.prompts, model.config.vocab_size)
    theirs = generated(model, works, 50)
    engine = EngineGenerator(Held(model))  # type: ignore[arg-type]
    ours = {work.number: answer for work, answer in engine.answers(works, (), given.slots)}
    differ = [work for work in works if ours[work.number] != theirs[work.number]]
    gaps = [parted(model, work, ours[work.number], theirs[work.number]) for work in differ]
    facts = {"shape": given.shape, "slots": given.slots, "prompts": len(works)}
    print(json.dumps(facts | {"distinct": len({tuple(answer) for answer in ours.values()}), "differ": gaps}))


if __name__ == "__main__":
    main()
