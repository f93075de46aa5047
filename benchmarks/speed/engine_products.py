"""The tiles of the engine's products of few rows, tried on one GPU in gemma-3-1b's shape, and the engine with them.

    python benchmarks/speed/engine_products.py compile              # in many processes, to Triton's cache
    python benchmarks/speed/engine_products.py sweep --out DIR      # some 20 s; sweep.json, and a table to paste
    python benchmarks/speed/engine_products.py engine --out DIR     # the engine, torch's products and ours in turn

Every product is timed together with the kernel that adds it to the stream, as one captured graph over the matrices of
many layers (more than the L2 holds, so that each comes from memory). A tile whose numbers are wrong is left out.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import gc
import itertools
import json
import multiprocessing
import os
import statistics
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from engine_table import Held, engine_row, prompts
from torch.nn import functional

from harness.generate.engine import decoder, kernels, narrow
from harness.generate.engine.attention import Surroundings
from harness.generate.engine.fused import Fused
from harness.generate.engine.generator import EngineGenerator
from harness.generate.engine.narrow import Narrow, Tile
from harness.generate.engine.shape import Shape
from harness.machine import machine
from harness.throughput.cost import ModelShape

Tensor = torch.Tensor
HIDDEN = 1152
SHAPES = {"qkv": (1536, HIDDEN), "out": (HIDDEN, 1024), "down": (HIDDEN, 6912), "head": (262144, HIDDEN)}
ROWS = (32, 64, 128, 256, 512)
PLAIN_TILES = (
    Tile(64, 16, 128, 4, 4),
    Tile(64, 32, 64, 4, 4), Tile(64, 32, 128, 4, 4), Tile(64, 64, 64, 4, 4), Tile(64, 64, 64, 4, 6),
    Tile(64, 64, 128, 4, 3), Tile(64, 128, 64, 4, 4), Tile(64, 128, 128, 4, 3), Tile(128, 32, 64, 4, 4),
    Tile(128, 64, 64, 4, 4), Tile(128, 64, 128, 4, 3), Tile(128, 64, 128, 8, 4), Tile(128, 128, 64, 4, 3),
    Tile(128, 128, 64, 8, 4), Tile(128, 128, 128, 8, 3), Tile(256, 32, 64, 8, 4), Tile(256, 64, 64, 8, 4),
    Tile(256, 128, 64, 8, 3),
)  # fmt: skip
HEAD_TILES = (
    Tile(64, 128, 64, 4, 4), Tile(64, 256, 64, 4, 3), Tile(64, 256, 64, 8, 4), Tile(128, 128, 64, 8, 4),
    Tile(128, 128, 64, 4, 3), Tile(128, 256, 64, 8, 3), Tile(128, 256, 64, 8, 4), Tile(256, 128, 64, 8, 3),
    Tile(256, 128, 64, 8, 4),
)  # fmt: skip
ATTENTION_TILES = ((32, 2, 3), (32, 4, 2), (32, 4, 3), (32, 4, 4), (64, 4, 2), (16, 2, 4), (64, 8, 2))
"""(positions read at once, warps, stages)"""
PARTS = (1, 2, 4, 8)
SPLITS = (1, 2, 3, 4, 6, 7, 9, 12)
COLD_BYTES = 100 << 20
GAIN = 0.97
"""Torch's product stays where the best tile takes more than this share of its time."""


def candidates(name: str, rows: int) -> Iterator[Tile]:
    """Tiles and splits worth trying for so many rows: not wider than they are, programs for half a GPU to three."""
    count, width = SHAPES[name]
    for tile in HEAD_TILES if name == "head" else PLAIN_TILES:
        if tile.rows > max(64, rows):
            continue
        if name == "head":
            yield tile
            continue
        tiles = -(-rows // tile.rows) * -(-count // tile.outputs)
        for splits in SPLITS if name != "qkv" else (1,):  # attention reads one part
            if (20 if name == "qkv" else 48) <= tiles * splits <= 400 and width // splits >= 2 * tile.inputs:
                yield tile._replace(splits=splits)


def shape() -> Shape:
    """What the pieces need to know."""
    sizes = ModelShape(**{field.name: 1 for field in dataclasses.fields(ModelShape)})
    return Shape(sizes, 1e-6, 1.0, (1,), ("",), "gelu_tanh", True, torch.bfloat16)


def compile_one(job: tuple[str, Tile, int]) -> None:
    """Build one kernel as the sweep will ask for it, by running it on a few rows."""
    name, tile, splits = job
    if name == "attention":
        Attention(1, torch.device("cuda")).ours(0, tile, splits)
        return
    kind = {"device": torch.device("cuda"), "dtype": torch.bfloat16}
    matrix, x = torch.zeros((1024, 4096), **kind), torch.zeros((16, 4096), **kind)
    if name == "head":
        narrow.likeliest(x, matrix, tile)
    else:
        narrow.tiled(x, matrix, None, tile._replace(splits=splits), kernels.ahead(x.device))


def compile_all() -> None:
    """Fill Triton's cache."""
    start = time.perf_counter()
    jobs = [("product", tile, splits) for tile in PLAIN_TILES for splits in (1, 2)]
    jobs += [("head", tile, 1) for tile in HEAD_TILES]
    jobs += [("attention", tile, parts) for tile in ATTENTION_TILES for parts in PARTS]  # type: ignore[misc]
    context = multiprocessing.get_context("fork")  # before this process touches the GPU
    with concurrent.futures.ProcessPoolExecutor(max(1, (os.cpu_count() or 2) - 2), mp_context=context) as pool:
        found = [pool.submit(compile_one, job) for job in jobs]
        for job, one in zip(jobs, found, strict=True):
            if one.exception():
                print(job, one.exception(), file=sys.stderr)
    print(f"{len(jobs)} kernels in {time.perf_counter() - start:.1f} s", file=sys.stderr)


@functools.cache
def side_stream() -> Any:
    """Return a stream to capture on; cuBLAS keeps a workspace for each."""
    return torch.cuda.Stream()


def microseconds(work: Callable[[int], Any], count: int) -> float:
    """The time of `work(n)` for each n below `count`, as one captured graph; the median of five."""
    stream = side_stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work(0)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin()
        for n in range(count):
            work(n)
        graph.capture_end()
        graph.replay()
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(6)]
        marks[0].record()
        for mark in marks[1:]:
            graph.replay()
            mark.record()
        marks[-1].synchronize()
    return statistics.median(a.elapsed_time(b) * 1000 / count for a, b in itertools.pairwise(marks))


class Bench:
    """One product with so many rows, and what stands beside it."""

    def __init__(self, name: str, rows: int, matrices: list[Tensor]) -> None:
        device = matrices[0].device
        self.name, self.matrices = name, matrices
        self.how = kernels.ahead(device)
        self.before, self.pieces = Fused(shape()), Narrow(shape(), device)
        self.x = torch.randn(rows, SHAPES[name][1], device=device, dtype=torch.bfloat16)
        self.stream = torch.randn(rows, HIDDEN, device=device, dtype=torch.bfloat16)
        self.norm = torch.rand(HIDDEN, device=device)
        self.wanted = functional.linear(self.x, matrices[0])

    def torchs(self, n: int) -> Any:
        """The product as before."""
        if self.name == "head":
            return kernels.argmax(functional.linear(self.x, self.matrices[n]))
        if self.name == "qkv":
            self.before._added(self.stream, self.stream[None], self.norm, self.norm)
            return functional.linear(self.x, self.matrices[n])
        return self.before._added(self.stream, functional.linear(self.x, self.matrices[n])[None], self.norm, self.norm)

    def ours(self, n: int, tile: Tile) -> Any:
        """The product by a tile."""
        if self.name == "head":
            return narrow.likeliest(self.x, self.matrices[n], tile)
        if self.name == "qkv":
            self.pieces._added(self.stream, self.stream[None], self.norm, self.norm)
            return narrow.tiled(self.x, self.matrices[n], None, tile, self.how)
        made = narrow.tiled(self.x, self.matrices[n], None, tile, self.how)
        return self.pieces._added(self.stream, made, self.norm, self.norm)

    def right(self, tile: Tile) -> bool:
        """Whether the numbers are torch's, within bf16's rounding."""
        if self.name == "head":  # near ties may fall either way
            chosen = narrow.likeliest(self.x, self.matrices[0], tile)
            logits = self.wanted.gather(1, chosen[:, None])[:, 0].float()
            best = self.wanted.max(1).values.float()
            return bool(((best - logits).abs() <= best.abs() * 2**-7).all())
        made = narrow.tiled(self.x, self.matrices[0], None, tile, self.how).float().sum(0)
        apart = (made - self.wanted.float()).abs().max()
        return bool(apart <= self.wanted.float().abs().max() * 2**-7)


class Attention:
    """Attention of one new token a row behind some 264 others, over caches that together exceed the L2."""

    def __init__(self, rows: int, device: torch.device) -> None:
        room = {"device": device, "dtype": torch.bfloat16}
        heads, size, positions = 4, 256, 336
        self.layers = max(2, -(-COLD_BYTES // (rows * 264 * size * 4)))
        turns = torch.rand((2, positions, size), device=device)
        caches = torch.randn((self.layers, 2, rows + 1, positions, 1, size), **room)
        self.around = [Surroundings((turns[0], turns[1]), keys, values, 512) for keys, values in caches]
        self.qkv = torch.randn((rows, (heads + 2) * size), **room)
        self.lengths = torch.randint(200, 329, (rows,), device=device)
        self.slots = torch.arange(rows, device=device)
        norm = torch.rand(size, device=device)
        self.layer: Any = types.SimpleNamespace(q_norm=norm, k_norm=norm)
        sizes = dataclasses.replace(shape().sizes, heads=heads, kv_heads=1, head_dim=size)
        self.shape = dataclasses.replace(shape(), sizes=sizes, scale=size**-0.5)
        self.how, self.known = kernels.ahead(device), (kernels.MANY, kernels.FEW, kernels.SHARING)

    def torchs(self, n: int) -> Tensor:
        """Attention as the code has it."""
        kernels.MANY, kernels.FEW, kernels.SHARING = self.known
        return kernels.attend(
            self.qkv, self.layer, self.around[n % self.layers], self.lengths, self.slots, self.shape, kernels.IN_TURN
        )

    def ours(self, n: int, tile: tuple[int, int, int], parts: int) -> Tensor:
        """Attention by another tile, in so many parts."""
        kernels.MANY = kernels.FEW = tile
        kernels.SHARING = {1 << (self.qkv.shape[0] - 1).bit_length(): parts}
        out = kernels.attend(
            self.qkv, self.layer, self.around[n % self.layers], self.lengths, self.slots, self.shape, self.how
        )
        kernels.MANY, kernels.FEW, kernels.SHARING = self.known
        return out


def sweep_attention(out: Path) -> dict[int, int]:
    """Time attention's tiles and parts; write them all, print the best and return `kernels.SHARING` for its tiles."""
    found = []
    sharing = dict(kernels.SHARING)
    for rows in ROWS:
        sharing.pop(rows, None)
        bench = Attention(rows, torch.device("cuda"))
        wanted = bench.torchs(0)
        before = microseconds(bench.torchs, max(12, bench.layers))
        timed = []
        for tile, parts in itertools.product(ATTENTION_TILES, PARTS):
            if rows * parts > 1024:
                continue
            try:
                torch.testing.assert_close(bench.ours(0, tile, parts), wanted, rtol=2e-2, atol=2e-2)
                spent = microseconds(lambda n, b=bench, t=tile, p=parts: b.ours(n, t, p), max(12, bench.layers))
                timed.append((round(spent, 2), tile, parts))
            except Exception as error:
                print("attention", rows, tile, parts, str(error)[:200], file=sys.stderr)
        timed.sort()
        ideal = rows * 264 * 256 * 4 / 3.35e6
        print(f"attention {rows:4d} rows: now {before:.1f} us, of an ideal {ideal:.1f}; {timed[:5]}", flush=True)
        known = [one for one in timed if one[1] == (kernels.FEW if one[2] > 1 else kernels.MANY)]
        if known and known[0][2] > 1:
            sharing[rows] = known[0][2]
        found.append({"rows": rows, "now": before, "ideal": ideal, "tried": timed})
        (out / "attention.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    print("SHARING =", sharing, flush=True)
    return sharing


def sweep(out: Path, seconds: float) -> tuple[dict[str, dict[int, Tile]], dict[int, int]]:
    """Time every candidate; write them all, print the best as `narrow.TILES`, and return those and `SHARING`."""
    gc.disable()  # what it would finalise does not belong into a capture
    device, start = torch.device("cuda"), time.perf_counter()
    found: list[dict[str, Any]] = []
    best: dict[str, dict[int, Tile]] = {name: {} for name in SHAPES}
    for name, (count, width) in SHAPES.items():
        copies = max(1, -(-COLD_BYTES // (2 * count * width)))
        matrices = [torch.randn(count, width, device=device, dtype=torch.bfloat16) / 32 for _ in range(copies)]
        for rows in ROWS:
            bench = Bench(name, rows, matrices)
            layers = 3 if name == "head" else max(copies, 30)
            cublas = microseconds(lambda n, b=bench: b.torchs(n % len(b.matrices)), layers)
            timed: list[tuple[float, Tile]] = []
            for tile in candidates(name, rows):
                if time.perf_counter() - start > seconds:
                    print("out of time", name, rows, file=sys.stderr)
                    break
                row: dict[str, Any] = {"name": name, "rows": rows, "tile": tile, "torch": cublas}
                try:
                    if bench.right(tile):
                        row["us"] = microseconds(lambda n, b=bench, t=tile: b.ours(n % len(b.matrices), t), layers)
                        timed.append((row["us"], tile))
                    else:
                        row["error"] = "wrong numbers"
                except Exception as error:
                    row["error"] = f"{type(error).__name__}: {error}"[:200]
                found.append(row)
            timed.sort()
            if timed and timed[0][0] < cublas * GAIN:
                best[name][rows] = timed[0][1]
            shown = "; ".join(f"{us:.1f} {tuple(tile)}" for us, tile in timed[:4])
            print(f"{name:5s} {rows:4d} rows: torch {cublas:6.1f} us; {shown}", flush=True)
            (out / "sweep.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
        del matrices, bench
        torch.cuda.empty_cache()
    sharing = sweep_attention(out)
    gc.enable()
    print(json.dumps(shared(found)), "us over all rows by one tile, its best splits", file=sys.stderr)
    print(table(best), flush=True)
    (out / "tiles.json").write_text(json.dumps(best) + "\n", encoding="utf-8")
    return best, sharing


def shared(found: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """For each product the tiles that lose least against the best of each row count: fewer kernels to compile."""
    lost: dict[str, list[Any]] = {}
    for name in SHAPES:
        by_tile: dict[Tile, dict[int, float]] = {}
        for row in found:
            if row["name"] == name and "us" in row:
                times = by_tile.setdefault(row["tile"][:5], {})
                times[row["rows"]] = min(row["us"], times.get(row["rows"], row["us"]))
        least = {rows: min(times.get(rows, 1e9) for times in by_tile.values()) for rows in ROWS}
        loss = {
            str(tile): round(statistics.mean(times[rows] / least[rows] for rows in times), 3)
            for tile, times in by_tile.items()
            if {64, 128, 256} <= times.keys()
        }
        lost[name] = sorted(loss.items(), key=lambda one: one[1])[:4]
    return lost


def table(best: dict[str, dict[int, Tile]]) -> str:
    """The best tiles as the text of `narrow.TILES`."""
    lines = ["TILES: dict[str, dict[int, Tile]] = {"]
    for name, tiles in best.items():
        lines.append(f'    "{name}": {{')
        for rows, tile in tiles.items():
            numbers = tile if tile.splits > 1 else tile[:5]
            lines.append(f"        {rows}: Tile({', '.join(str(part) for part in numbers)}),")
        lines.append("    },")
    return "\n".join([*lines, "}"])


def engine(out: Path, best: dict[str, dict[int, Tile]], sharing: dict[int, int]) -> None:
    """The engine at 256 and at 64 slots: by torch's products, by the code's tiles and by the sweep's."""
    import random_base

    model = random_base.make("gemma-3-1b", torch.device("cuda")).eval()
    makers, ahead, tiles, shares = decoder._pieces, kernels.ahead, narrow.TILES, kernels.SHARING
    nothing: dict[str, dict[int, Tile]] = {name: {} for name in SHAPES}
    settings: dict[str, tuple[Any, Any, Any, Any]] = {
        "torch's products": (lambda shape, _: (Fused(shape), Fused(shape)), ahead, tiles, shares),
        "the code's tiles": (makers, ahead, tiles, shares),
    }
    if best:
        settings |= {
            "the sweep's tiles": (makers, ahead, best, shares),
            "the sweep's tiles and sharing": (makers, ahead, best, sharing),
            "the sweep's, torch's head": (makers, ahead, best | {"head": {}}, shares),
            "the sweep's, kernels in turn": (makers, lambda _: kernels.IN_TURN, best, shares),
            "torch's products, kernels ahead": (makers, ahead, nothing, shares),
        }
    rows = []
    for name, setting in settings.items():
        decoder._pieces, kernels.ahead, narrow.TILES, kernels.SHARING = setting
        made = EngineGenerator(Held(model))  # type: ignore[arg-type]
        for slots in (256, 64):
            works = prompts(slots, 200, [128], model.config.vocab_size)
            row = engine_row(f"{name}, {slots} slots", made, works, slots, 3)
            rows.append(row)
            shown = {key: round(row[key]) for key in ("tokens_per_second", "decode_tokens_per_second")}
            print(row["name"], shown, round(row.get("share_of_ceiling", 0), 3), row["compile_seconds"], flush=True)
        facts = {"command": " ".join(sys.argv), "rows": rows, "machine": dataclasses.asdict(machine())}
        (out / "engine_products.json").write_text(json.dumps(facts, indent=1, default=dict) + "\n", encoding="utf-8")
        del made
        torch.cuda.empty_cache()


def main() -> None:
    """Do the stages named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="+", choices=("compile", "sweep", "engine"))
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--seconds", type=float, default=30, help="of the sweep; what is left is not tried")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if "compile" in given.stages:
        compile_all()
    with torch.no_grad():
        best, sharing = sweep(given.out, given.seconds) if "sweep" in given.stages else ({}, {})
    if "engine" in given.stages:
        engine(given.out, best, sharing)


if __name__ == "__main__":
    main()
