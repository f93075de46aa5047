"""The engine beside transformers' generate() on one GPU, in gemma-3-1b's shape: random weights, random prompts.

    python benchmarks/speed/engine_table.py --out DIR            # an H100 takes about three minutes
    python benchmarks/speed/engine_table.py --shape tiny --out DIR   # the same code on a CPU

Random weights are right for speed and wrong for quality; no stop token ends an answer, so every row makes as many
tokens as it is told to: 128 each, or lengths drawn from `--lengths`, a JSON list such as the token counts of Spider's
golds. Rates count output tokens over prefill and decode together. Writes engine.json: machine, command, and every row
with its ceiling and the seconds of its first pass.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import statistics
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import random_base
import torch
from transformers import GenerationConfig

from harness.generate.engine import generator as engine_room
from harness.generate.engine.generator import EngineGenerator, Work
from harness.machine import machine
from harness.throughput import clock
from harness.throughput.cost import decode_bytes
from harness.throughput.peaks import datasheet


class Held:
    """A model as the engine takes it, without a tokenizer."""

    def __init__(self, model: Any) -> None:
        self.model, self.facts, self.tokenizer = model, {"precision": "bf16"}, None
        self.device = model.get_input_embeddings().weight.device


def prompts(count: int, width: int, new: Sequence[int], vocabulary: int, seed: int = 0) -> list[Work]:
    """So many random prompts; each one's number of new tokens is drawn from `new`."""
    rng = random.Random(seed)
    return [
        Work(number, [rng.randrange(3, vocabulary) for _ in range(width)], rng.choice(new)) for number in range(count)
    ]


def engine_row(name: str, engine: EngineGenerator, works: list[Work], slots: int, repeats: int) -> dict[str, Any]:
    """One setting, repeated; the first pass captures and is reported apart."""
    start = clock(engine._loaded.device)
    for _ in engine.answers(works, (), slots):
        pass
    first = clock(engine._loaded.device) - start
    warmed = engine.speed()
    rates, decode_rates, speeds = [], [], []
    for _ in range(repeats):
        for _ in engine.answers(works, (), slots):
            pass
        speed = engine.speed()
        assert speed is not None
        assert speed.decode_seconds is not None
        speeds.append(speed)
        rates.append(speed.output_tokens / speed.generate_seconds)
        decode_rates.append((speed.output_tokens - len(works)) / speed.decode_seconds)
    speed = speeds[len(speeds) // 2]
    context = statistics.mean(len(work.ids) + work.limit / 2 for work in works)
    rows = min(slots, len(works))
    row = {
        "name": name,
        "tokens_per_second": statistics.median(rates),
        "all": [round(rate, 1) for rate in rates],
        "decode_tokens_per_second": statistics.median(decode_rates),
        "prefill_seconds": speed.prefill_seconds,
        "decode_seconds": speed.decode_seconds,
        "seconds": speed.generate_seconds,
        "prompts": len(works),
        "rows": rows,
        "prompt_tokens": speed.prompt_tokens,
        "output_tokens": speed.output_tokens,
        "padded_tokens": speed.padded_tokens,
        "decode_steps": engine.facts["decode_steps"],
        "first_pass_seconds": round(first, 2),
        "compile_seconds": warmed.compile_seconds if warmed else None,
        "first_token_seconds": speed.first_token_seconds,
        "token_seconds": speed.token_seconds,
        "peak_memory_bytes": speed.peak_memory_bytes,
        "energy_joules": speed.energy_joules,
    }
    peak = datasheet(machine().gpu).bytes
    if peak:
        width = engine.shape.number_bytes
        ceiling = rows * peak / decode_bytes(engine.shape.sizes, 1, rows, context, width, width)
        row |= {"decode_ceiling": ceiling, "share_of_ceiling": row["decode_tokens_per_second"] / ceiling}
    return row


def generate_row(model: Any, works: list[Work], batch: int, cache: str | None) -> dict[str, Any]:
    """What generate() does on one batch."""
    device = model.device
    ids = torch.tensor([list(work.ids) for work in works[:batch]], device=device)
    new = works[0].limit
    config = GenerationConfig(
        max_new_tokens=new,
        min_new_tokens=new,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        cache_implementation=cache,
    )
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        start = clock(device)
        model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        seconds = clock(device) - start
    name = f"generate(), batch {batch}" + (f", {cache} cache" if cache else "")
    return {"name": name, "tokens_per_second": batch * new / seconds, "rows": batch, "seconds": seconds}


def table(shape: str, device: str, quick: bool, lengths: Sequence[int], only: str) -> list[dict[str, Any]]:
    """Every row; one that fails says why, and the others go on."""
    start = time.perf_counter()
    model = random_base.make(shape, torch.device(device)).eval()
    made = time.perf_counter() - start
    vocabulary = model.config.vocab_size
    many, width, new = (2048, 200, [128]) if not quick else (24, 20, [8])
    short = [32] if not quick else [4]
    found: list[dict[str, Any]] = [{"name": "model made", "seconds": made}]

    def row(make: Any, *values: Any) -> None:
        if only and only not in str(values[0] if values else "generate()"):
            return
        begun = time.perf_counter()
        try:
            found.append(make(*values))
        except Exception as error:
            traceback.print_exc()
            found.append({"name": str(values[0]), "error": f"{type(error).__name__}: {error}"})
        print(f"{time.perf_counter() - begun:6.1f} s", json.dumps(found[-1], default=str), file=sys.stderr, flush=True)

    batches = (1, 64, 256) if not quick else (1, 4)
    for batch in batches:
        row(lambda b=batch: generate_row(model, prompts(b, width, short, vocabulary), b, None))
    engine = EngineGenerator(Held(model))  # type: ignore[arg-type]
    for slots in (2048, 1024, 256) if not quick else (16, 8):
        row(
            engine_row, f"engine, {slots} slots, fixed lengths", engine, prompts(many, width, new, vocabulary), slots, 3
        )
    if lengths:
        row(
            engine_row,
            "engine, real lengths",
            engine,
            prompts(many, width, lengths, vocabulary),
            512 if not quick else 8,
            3,
        )
    row(engine_row, "engine, one prompt", engine, prompts(1, width, new, vocabulary), 1, 5)
    row(
        engine_row,
        "engine, 64 rows",
        engine,
        prompts(64 if not quick else 4, width, new, vocabulary),
        64 if not quick else 4,
        3,
    )
    return found


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="gemma-3-1b", choices=random_base.SHAPES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompt-tokens", type=int, default=engine_room.PROMPT_TOKENS)
    parser.add_argument("--rows", default="", help="only the rows whose name has this in it")
    parser.add_argument("--tile", default="", help="BLOCK,WARPS,STAGES of the attention kernel, to try others")
    parser.add_argument("--lengths", type=Path, help="JSON list of output lengths in tokens")
    given = parser.parse_args()
    lengths = json.loads(given.lengths.read_text()) if given.lengths else []
    if given.tile:
        from harness.generate.engine import kernels

        kernels.MANY = tuple(int(part) for part in given.tile.split(","))
    engine_room.PROMPT_TOKENS = given.prompt_tokens
    device = "cuda" if torch.cuda.is_available() else "cpu"
    given.out.mkdir(parents=True, exist_ok=True)
    rows = table(given.shape, device, given.shape == "tiny", lengths, given.rows)
    facts = {"command": " ".join(sys.argv), "shape": given.shape, "weights": "random", "rows": rows}
    facts["machine"] = dataclasses.asdict(machine())
    (given.out / "engine.json").write_text(json.dumps(facts, indent=1, default=dict) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
