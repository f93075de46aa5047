from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import torch
from tiny_model import build

from harness.errors import ConfigError, DataError, DeviceError
from harness.generate.base import Request
from harness.generate.local import TransformersGenerator
from harness.generate.replay import ReplayGenerator
from harness.generate.settings import DecodingSettings
from harness.generate.share import Share
from harness.model.load import load_base
from harness.model.settings import ModelSettings

WORDS = ["orders", "total", "customer", "id", "sum", "group", "each", "how"]
REQUESTS = [Request(f"q{n}", ({"role": "user", "content": " ".join(WORDS[: n + 1])},)) for n in range(7)]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = build(tmp_path_factory.mktemp("base") / "tiny")
    return load_base(ModelSettings(str(folder), precision="fp32", device="cpu"))


def answers(loaded, requests=REQUESTS, **decoding):
    generator = TransformersGenerator(loaded)
    done = list(generator.generate(requests, DecodingSettings(**{"max_new_tokens": 12, **decoding})))
    return {(g.id, g.sample): g for g in done}, generator


def test_processes_without_a_batch_are_noted_with_the_setting_that_occupies_them(loaded):
    note = "2 of 4 processes had nothing to answer: 7 questions make 2 batches of 4; "
    note += "generate.batch_size=1 would occupy all"
    generator = TransformersGenerator(loaded)
    for index, count in ((0, 4), (1, 4), (0, 2)):
        decoding = DecodingSettings(max_new_tokens=2, batch_size=4)
        list(generator.generate(REQUESTS, decoding, share=Share(index, count)))
        assert list(generator.facts["notes"]) == ([note] if count == 4 else [])


# --- transformers


def test_the_batch_does_not_change_an_answer(loaded):
    alone, _ = answers(loaded, batch_size=1)
    together, _ = answers(loaded, batch_size=8)
    static, _ = answers(loaded, batch_size=3, cache="static")
    assert alone == together == static
    assert len(alone) == len(REQUESTS)
    assert len({g.completion for g in alone.values()}) > 1


def test_an_answer_is_the_greedy_choice_of_each_step(loaded):
    ids = loaded.encode(REQUESTS[3].messages)
    expected = list(ids)
    with torch.inference_mode():
        while len(expected) < len(ids) + 6:
            expected.append(int(loaded.model(torch.tensor([expected])).logits[0, -1].argmax()))
    found, _ = answers(loaded, [REQUESTS[3]], max_new_tokens=6)
    text = loaded.tokenizer.decode(expected[len(ids) :], skip_special_tokens=True)
    assert found["q3", 0].completion == text


def test_tokens_are_counted_by_kind(loaded):
    found, generator = answers(loaded, batch_size=4)
    lengths = sorted((len(loaded.encode(r.messages)) for r in REQUESTS), reverse=True)
    padding = sum(max(batch) * len(batch) - sum(batch) for batch in (lengths[:4], lengths[4:]))
    speed = generator.speed()
    assert speed.prompt_tokens == sum(lengths) == sum(g.prompt_tokens for g in found.values())
    assert speed.padded_tokens == padding
    assert speed.output_tokens == sum(g.output_tokens for g in found.values())
    assert speed.generate_seconds == pytest.approx(speed.prefill_seconds + speed.decode_seconds)
    assert 0 < speed.prefill_seconds < speed.generate_seconds
    assert speed.peak_memory_bytes > 0
    assert generator.facts["batch_size"] == 4
    assert json.loads(json.dumps(generator.facts))["precision"] == "fp32"


def test_a_stop_token_ends_an_answer_and_is_counted(loaded):
    first = answers(loaded, [REQUESTS[0]], max_new_tokens=8)[0]["q0", 0]
    assert (first.finished, first.output_tokens) == (False, 8)
    ids = loaded.encode(REQUESTS[0].messages)
    out = loaded.model.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False, eos_token_id=1)[0, len(ids) :]
    third = out.tolist()[2]
    place = out.tolist().index(third)
    stop = loaded.tokenizer.convert_ids_to_tokens(third)
    stopped = answers(loaded, [REQUESTS[0]], max_new_tokens=8, stop=(stop,))[0]["q0", 0]
    assert (stopped.finished, stopped.output_tokens) == (True, place + 1)
    assert first.completion.startswith(stopped.completion)


def test_answers_come_batch_by_batch_with_progress(loaded, monkeypatch):
    calls, told = [], []
    real = loaded.model.generate
    monkeypatch.setattr(loaded.model, "generate", lambda **how: (calls.append(len(how["input_ids"])), real(**how))[1])
    stream = TransformersGenerator(loaded).generate(
        REQUESTS, DecodingSettings(max_new_tokens=2, batch_size=3), lambda done, total: told.append((done, total))
    )
    next(stream)
    assert calls == [3]
    list(stream)
    assert (calls, told) == ([3, 3, 1], [(3, 7), (6, 7), (7, 7)])


def test_too_little_memory_halves_the_batch_and_says_so(loaded, monkeypatch):
    real = loaded.model.generate
    limit = 2

    def small(**how):
        if len(how["input_ids"]) > limit:
            raise torch.OutOfMemoryError("out of memory")
        return real(**how)

    expected, _ = answers(loaded)
    monkeypatch.setattr(loaded.model, "generate", small)
    found, generator = answers(loaded, batch_size=8)
    assert found == expected
    assert generator.facts["notes"] == (
        "memory did not suffice for batches of 7; went on with 3",
        "memory did not suffice for batches of 3; went on with 1",
    )
    limit = 0
    with pytest.raises(DeviceError, match="a single question"):
        answers(loaded)


def test_sampling_repeats_with_its_seed(loaded):
    how = {"temperature": 1.5, "samples": 3, "max_new_tokens": 8}
    first, _ = answers(loaded, seed=1, **how)
    again, _ = answers(loaded, seed=1, **how)
    other, _ = answers(loaded, seed=2, **how)
    assert first == again
    assert first != other
    assert Counter(request for request, _ in first) == {r.id: 3 for r in REQUESTS}
    with pytest.raises(ConfigError, match="same answer each time"):
        answers(loaded, samples=2)


# --- replay


def test_replay_gives_back_what_a_file_holds(tmp_path):
    rows = [{"id": 1, "completion": "a", "finished": False, "output_tokens": 3}, {"id": 2, "sql": "SELECT 1"}]
    lines, table = tmp_path / "p.jsonl", tmp_path / "p.parquet"
    lines.write_text("\n".join(map(json.dumps, rows)))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"id": "1", "completion": "a"}]), table)
    asked = [Request("2", ()), Request("1", ())]
    found = list(ReplayGenerator(lines).generate(asked, DecodingSettings()))
    assert [(g.id, g.completion, g.finished, g.output_tokens) for g in found] == [
        ("2", "SELECT 1", True, 0),
        ("1", "a", False, 3),
    ]
    assert next(iter(ReplayGenerator(table).generate(asked[1:], DecodingSettings()))).completion == "a"
    with pytest.raises(DataError, match="no answer for '3'"):
        list(ReplayGenerator(lines).generate([Request("3", ())], DecodingSettings()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": 1}', "row 1: an answer needs"),
        ('{"id": 1, "sql": "a"}\n{"id": 1, "sql": "b"}', "row 2: a second answer for '1'"),
        ("[1]", "line 1 is no JSON object"),
        ("{", "cannot be read"),
    ],
)
def test_a_bad_answer_file_is_told(tmp_path, text, message):
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        ReplayGenerator(tmp_path / "p.jsonl")


def test_replay_and_server_need_no_torch():
    import subprocess
    import sys

    rooms = "harness.generate.replay, harness.generate.server, harness.trainer.result"
    code = f"import sys, {rooms}; assert 'torch' not in sys.modules"
    root = Path(__file__).resolve().parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
