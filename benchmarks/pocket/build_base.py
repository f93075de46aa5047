"""Rebuilds the pocket benchmark's base model from a random start: `python build_base.py --out base --seconds 215`.

Language modelling over corpus.py's endless text, one document a row of 512 tokens, statements weighted above the rest.
Every linear layer runs on weights rounded to NF4 (straight-through gradients), so that loading the model in four bits,
as QLoRA does, costs it nothing. Needs torch, transformers and tokenizers; a GPU to be done in minutes. Always saves.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing as mp
import os
import time
from pathlib import Path
from random import Random

import corpus
import numpy as np
import tokenizer as vocabulary
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from tokenizers import Tokenizer
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

ROW = 512
STATEMENT = 1 << 15
"""Set on a token id: it belongs to a statement (full weight in the loss)."""
REST_WEIGHT = 0.2
NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


def config(vocab: int) -> Gemma3TextConfig:
    """Gemma 3's own architecture, small: 8 layers of 256, three with a window to one without."""
    return Gemma3TextConfig(
        vocab_size=vocab,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        query_pre_attn_scalar=64,
        sliding_window=512,
        max_position_embeddings=2048,
        layer_types=["sliding_attention"] * 3 + ["full_attention"] + ["sliding_attention"] * 3 + ["full_attention"],
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        tie_word_embeddings=True,
        attention_dropout=0.0,
    )


def round_nf4(weight: torch.Tensor) -> torch.Tensor:
    """The weight as NF4 in blocks of 64 would give it back; the gradient passes as if nothing had happened."""
    blocks = weight.reshape(-1, 64)
    scale = blocks.abs().amax(1, keepdim=True).clamp_min(1e-8)
    x = blocks / scale
    rounded = torch.full_like(x, NF4[0])
    for low, high in itertools.pairwise(NF4):
        rounded = rounded + (high - low) * (x > (low + high) / 2).to(x.dtype)
    return weight + ((rounded * scale).reshape(weight.shape) - weight).detach()


class RoundedLinear(torch.nn.Linear):
    """A linear layer that computes with NF4-rounded weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return F.linear(x, round_nf4(self.weight), self.bias)


def make_rows(docs: list[list[corpus.Segment]], tokenizer: Tokenizer) -> np.ndarray:
    """Documents as rows of ROW + 1 ids, padded with 0, statements marked."""
    flat = [text for doc in docs for text, _ in doc]
    ids = iter(tokenizer.encode_batch(flat, add_special_tokens=False))
    rows = np.zeros((len(docs), ROW + 1), dtype=np.uint16)
    for row, doc in zip(rows, docs, strict=True):
        out = [2]
        for _, kind in doc:
            mark = STATEMENT if kind else 0
            out += [i | mark for i in next(ids).ids]
        out = ([*out, 1])[: ROW + 1]
        row[: len(out)] = out
    return rows


def produce(seed: int, tokenizer_file: str, queue: mp.Queue) -> None:
    """A worker: rows of random documents for ever."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    r, tokenizer = Random(seed), Tokenizer.from_file(tokenizer_file)
    corpus.know_pieces(tokenizer.get_vocab())
    while True:
        queue.put(make_rows([corpus.document(r) for _ in range(256)], tokenizer))


class Pool:
    """Rows on the device: fresh ones in order while there are, random old ones when training outruns the workers."""

    def __init__(self, queue: mp.Queue, rows: int, device: str) -> None:
        self.queue, self.filled, self.used, self.reused = queue, 0, 0, 0
        self.rows = torch.zeros(rows, ROW + 1, dtype=torch.int32, device=device)

    def refill(self, at_least: int = 0) -> None:
        """Takes what the workers have; waits until `at_least` rows are there."""
        while self.filled < len(self.rows) and (self.filled < at_least or not self.queue.empty()):
            block = torch.from_numpy(self.queue.get().astype(np.int32))[: len(self.rows) - self.filled]
            self.rows[self.filled : self.filled + len(block)] = block.to(self.rows.device, non_blocking=True)
            self.filled += len(block)

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(ids, marks) of `size` rows."""
        if self.filled - self.used >= size:
            rows = self.rows[self.used : self.used + size]
            self.used += size
        else:
            rows = self.rows[torch.randint(self.filled, (size,), device=self.rows.device)]
            self.reused += size
        return (rows & (STATEMENT - 1)).long(), rows >= STATEMENT


def loss_of(
    model: Gemma3ForCausalLM, ids: torch.Tensor, marks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(weighted loss, loss on statements, per-token correctness)."""
    causal = {"full_attention": None, "sliding_attention": None}
    hidden = model.model(input_ids=ids[:, :-1], attention_mask=causal, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden).float()
    target = ids[:, 1:]
    losses = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    statement = marks[:, 1:].float()
    weight = torch.where(marks[:, 1:], 1.0, REST_WEIGHT) * (target != 0)
    with torch.no_grad():
        bare = (losses * statement).sum() / statement.sum().clamp_min(1)
        right = logits.argmax(-1) == target
    return (losses * weight).sum() / weight.sum(), bare, right


def exact_share(marks: np.ndarray, right: np.ndarray) -> tuple[int, int]:
    """(statements wholly predicted, statements): greedy decoding would repeat those word for word."""
    whole = total = 0
    for mark, good in zip(marks[:, 1:], right, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], mark.astype(np.int8), [0]))))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop < ROW:
                total += 1
                whole += bool(good[start:stop].all())
    return whole, total


def build_tokenizer(folder: Path, documents: int) -> Tokenizer:
    """Trains and saves the tokenizer as transformers reads it, without a chat template: this is a base."""
    r = Random("tokenizer")
    texts = ("".join(t for t, _ in corpus.document(r)) for _ in range(documents))
    made = vocabulary.train(texts, 3072)
    names = dict(zip(("pad_token", "eos_token", "bos_token", "unk_token"), vocabulary.SPECIAL, strict=False))
    PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=2048,
        additional_special_tokens=list(vocabulary.SPECIAL[4:]),
        padding_side="left",
        clean_up_tokenization_spaces=False,
        **names,
    ).save_pretrained(folder)
    return made


def learning_rate(progress: float, step: int, peak: float, warmup: int) -> float:
    """Linear warm-up, level, then down to nothing over the last 60 % of the time."""
    fall = 1.0 if progress < 0.4 else 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - 0.4) / 0.6)))
    return peak * min(1.0, (step + 1) / warmup) * fall


def train(model: Gemma3ForCausalLM, pool: Pool, args: argparse.Namespace, device: str) -> dict[str, float]:
    """Trains for `args.seconds` (compile time apart) and returns the figures."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}],
        lr=args.lr,
        betas=(0.9, 0.97),
        fused=device == "cuda",
    )
    step_loss = torch.compile(loss_of) if device == "cuda" else loss_of

    def step(rate: float) -> torch.Tensor:
        for group in optimizer.param_groups:
            group["lr"] = rate
        ids, marks = pool.batch(args.rows)
        with torch.autocast(device, dtype=torch.bfloat16):
            loss, bare, _ = step_loss(model, ids, marks)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return bare.detach()

    pool.refill(args.rows)
    try:
        step(0.0)
    except Exception as error:  # compiling may fail in many ways; the plain road is always open
        print(f"plain execution, compiling failed: {type(error).__name__}: {error}", flush=True)
        step_loss = loss_of
        step(0.0)
    begun, steps, told, smooth = time.time(), 0, 0.0, None
    while (elapsed := time.time() - begun) < args.seconds and steps < args.steps:
        bare = step(learning_rate(max(elapsed / args.seconds, steps / args.steps), steps, args.lr, args.warmup))
        steps += 1
        if steps % 10 == 0:
            pool.refill()
            if device == "cuda":
                torch.cuda.synchronize()
        if elapsed - told > args.every or steps == 1:
            told, smooth = elapsed, bare.item()
            print(
                f"{elapsed:6.1f} s  step {steps:5d}  statement loss {smooth:.4f}  "
                f"{steps * args.rows * ROW / max(elapsed, 1e-9):,.0f} tok/s  rows {pool.filled:,} reused {pool.reused:,}",
                flush=True,
            )
    seconds = time.time() - begun
    return {
        "steps": steps,
        "seconds": seconds,
        "tokens": steps * args.rows * ROW,
        "fresh_rows": pool.used,
        "reused_rows": pool.reused,
        "tokens_per_second": steps * args.rows * ROW / seconds,
    }


@torch.no_grad()
def measure(model: Gemma3ForCausalLM, rows: np.ndarray, device: str) -> dict[str, float]:
    """Loss on statements and the share of statements predicted word for word, on unseen schemas."""
    bare, whole, total = [], 0, 0
    for block in np.array_split(rows, max(1, len(rows) // 64)):
        data = torch.from_numpy(block.astype(np.int32)).to(device)
        ids, marks = (data & (STATEMENT - 1)).long(), data >= STATEMENT
        with torch.autocast(device, dtype=torch.bfloat16):
            _, loss, right = loss_of(model, ids, marks)
        bare.append(loss.item())
        a, b = exact_share(marks.cpu().numpy(), right.cpu().numpy())
        whole, total = whole + a, total + b
    return {"statement_loss": float(np.mean(bare)), "statements": total, "word_for_word": whole / max(1, total)}


def main() -> None:
    """Tokenizer, training, measurement, files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "base")
    parser.add_argument("--seconds", type=float, default=215)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--rows", type=int, default=128, help="rows of 512 tokens a step")
    parser.add_argument("--lr", type=float, default=2.5e-3)
    parser.add_argument("--warmup", type=int, default=100, help="steps of rising learning rate")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--pool", type=int, default=1_600_000)
    parser.add_argument("--tokenizer-documents", type=int, default=12_000)
    parser.add_argument("--held-out", type=int, default=1024)
    parser.add_argument("--every", type=float, default=10, help="seconds between lines of progress")
    parser.add_argument("--seed", type=int, default=20260)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    begun = time.time()
    tokenizer = build_tokenizer(args.out, args.tokenizer_documents)
    print(f"tokenizer of {tokenizer.get_vocab_size()} entries in {time.time() - begun:.1f} s", flush=True)
    context = mp.get_context("fork")  # before CUDA is touched; the workers need no torch
    queue = context.Queue(maxsize=400)
    workers = [
        context.Process(
            target=produce, args=(args.seed * 1000 + i, str(args.out / "tokenizer.json"), queue), daemon=True
        )
        for i in range(args.workers)
    ]
    for worker in workers:
        worker.start()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    corpus.know_pieces(tokenizer.get_vocab())
    model = Gemma3ForCausalLM(config(tokenizer.get_vocab_size()))
    model.to(device)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.__class__ = RoundedLinear
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters on {device}", flush=True)
    facts = {"torch": torch.__version__, "device": torch.cuda.get_device_name() if device == "cuda" else "cpu"}
    try:
        facts.update(train(model, Pool(queue, args.pool, device), args, device))
    finally:
        for worker in workers:
            worker.terminate()
        model.to(torch.bfloat16).save_pretrained(args.out)
    model.float()
    held_out = make_rows([corpus.document(r) for r in [Random("held out")] for _ in range(args.held_out)], tokenizer)
    facts.update(measure(model, held_out, device))
    (args.out / "build.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
