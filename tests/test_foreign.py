"""Logs of other evaluators, as they were really written: lm-eval 0.4.13 and inspect_ai 0.3.285 on four questions."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from harness import benchmark as benchmarks
from harness.config import ScoreChoice
from harness.errors import DataError
from harness.evaluate.foreign import prediction_rows
from harness.evaluate.predictions import read_predictions
from harness.evaluate.scored import score_predictions
from harness.records import Generation

LOGS = Path(__file__).resolve().parent / "fixtures" / "foreign"
IDS = ["s-1", "s-2", "s-3", "s-4"]
FENCED = "```sql\nSELECT count(*) FROM singer;\n```"


@pytest.mark.parametrize("name", ["lm_eval_samples.jsonl", "inspect.json", "inspect_two_epochs.eval"])
def test_a_real_log_is_scored_as_what_it_says(name, tmp_path):
    benchmark = benchmarks.load(str(LOGS / "singers.jsonl"))
    answers = read_predictions(LOGS / name, IDS)
    choice = ScoreChoice(workers=1, suite=False, cache_dir="")
    totals = score_predictions(benchmark, answers, choice, source=LOGS / name, out=None).totals
    assert (totals["n"], totals["scored"]) == (4, 4)
    assert totals["execution_accuracy"] == 0.75, "three are right, one of them behind a sentence; one is none"
    assert totals["outcomes"]["correct"] == 3


def test_lm_evals_filters_do_not_decide_what_is_scored():
    one = dict(read_predictions(LOGS / "lm_eval_samples.jsonl", IDS).answers)
    two = dict(read_predictions(LOGS / "lm_eval_two_filters.jsonl", IDS).answers)
    assert one == two
    assert one["s-1"] == Generation("s-1", FENCED)
    assert "[invalid]" in (LOGS / "lm_eval_two_filters.jsonl").read_text(), "one filter made nothing of most answers"


@pytest.mark.parametrize("name", ["inspect.json", "inspect_two_epochs.eval"])
def test_inspects_counts_and_cut_answers_come_along(name):
    answers = read_predictions(LOGS / name, IDS).answers
    assert answers["s-1"] == Generation("s-1", FENCED, prompt_tokens=40, output_tokens=12)
    assert answers["s-3"].completion.startswith("The oldest singer is the one")
    assert answers["s-4"] == Generation("s-4", "I do not know whether", 40, 12, finished=False)


def test_a_document_without_an_id_has_its_number(tmp_path):
    rows = [json.loads(line) for line in (LOGS / "lm_eval_samples.jsonl").read_text().splitlines()]
    for row in rows:
        row["doc"]["key"] = row["doc"].pop("id")
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(read_predictions(path, ["0", "1", "2", "3"]).answers) == ["0", "1", "2", "3"]
    assert list(read_predictions(path, IDS, id_column="key").answers) == IDS


def test_a_sample_that_ended_in_an_error_is_missing_and_not_wrong(tmp_path):
    log = json.loads((LOGS / "inspect.json").read_text())
    log["samples"][1] |= {"error": {"message": "no network"}, "output": {"choices": [], "completion": ""}}
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    with pytest.raises(DataError, match="id 's-2' is missing"):
        read_predictions(path, IDS)
    log["samples"][1]["error"] = None
    path.write_text(json.dumps(log))
    assert read_predictions(path, IDS).answers["s-2"].completion == ""


def test_text_is_found_where_a_log_keeps_it(tmp_path):
    log = json.loads((LOGS / "inspect.json").read_text())
    parts = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "text", "text": "SELECT"},
        {"type": "text", "text": " 1"},
    ]
    log["samples"][0]["output"] = {"choices": [{"message": {"content": parts}, "stop_reason": "model_length"}]}
    log["samples"][1]["output"] = {"choices": [{"message": {}}], "completion": "attachment://abc"}
    log["samples"][1]["attachments"] = {"abc": "SELECT 2"}
    (tmp_path / "log.json").write_text(json.dumps(log))
    answers = read_predictions(tmp_path / "log.json", IDS).answers
    assert answers["s-1"] == Generation("s-1", "SELECT 1", finished=False)
    assert answers["s-2"].completion == "SELECT 2"


def archive(path: Path, entries: dict[str, bytes], kind: int) -> Path:
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


def test_archives_in_the_older_compression_are_read_too(tmp_path):
    sample = {"id": 1, "epoch": 1, "output": {"completion": "SELECT 1", "choices": []}}
    entries = {"header.json": b"{}", "samples/1_epoch_1.json": json.dumps(sample).encode()}
    path = archive(tmp_path / "a.eval", entries, zipfile.ZIP_DEFLATED)
    assert read_predictions(path, ["1"]).answers["1"].completion == "SELECT 1"


def test_zstandard_in_several_frames_is_one_text(tmp_path):
    from harness.evaluate.foreign import _content

    codec = pa.Codec("zstd")
    text = b"a" * 300_000 + b"b" * 300_000
    frames = codec.compress(text[:300_000], asbytes=True) + codec.compress(text[300_000:], asbytes=True)
    path = archive(tmp_path / "a.zip", {"x": frames}, zipfile.ZIP_STORED)
    with zipfile.ZipFile(path) as opened, path.open("rb") as file:
        entry = opened.infolist()[0]
        entry.compress_type = 93
        entry.CRC, entry.file_size = zipfile.crc32(text), len(text)
        assert _content(opened, file, entry) == text
        entry.CRC += 1
        with pytest.raises(ValueError, match="x is damaged"):
            _content(opened, file, entry)


def damaged(data: bytes) -> bytes:
    return data[: len(data) // 3]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("inspect_two_epochs.eval", damaged, "no whole log of inspect_ai"),
        ("inspect.json", damaged, "not valid JSON"),
        ("lm_eval_samples.jsonl", damaged, "not valid JSON"),
        ("inspect.json", lambda data: data.replace(b'"output"', b'"outpt"'), "sample 0 has no `id` and `output`"),
        ("lm_eval_samples.jsonl", lambda data: data.replace(b'"resps": [["', b'"resps": [[-1.5, "'), "is no text"),
        ("inspect.json", lambda data: b'{"eval": {}, "samples": []}', "without samples"),
    ],
)
def test_a_log_that_cannot_be_read_is_told_in_a_sentence(tmp_path, name, change, told):
    path = tmp_path / name
    path.write_bytes(change((LOGS / name).read_bytes()))
    with pytest.raises(DataError, match=told) as caught:
        read_predictions(path, IDS)
    assert name in str(caught.value)


def test_files_of_our_own_are_read_as_before(tmp_path):
    own = tmp_path / "p.jsonl"
    own.write_text('{"id": 1, "sql": "SELECT 1", "doc_id": 7}\n')
    assert list(prediction_rows(own)) == [(0, {"id": 1, "sql": "SELECT 1", "doc_id": 7})]
    (tmp_path / "p.json").write_text('[{"id": 1, "sql": "SELECT 1"}]')
    assert list(prediction_rows(tmp_path / "p.json")) == [(0, {"id": 1, "sql": "SELECT 1"})]
    own.write_text("")
    assert list(prediction_rows(own)) == []


def test_the_task_in_the_documents_is_the_one_the_logs_are_from():
    text = (LOGS.parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    task = yaml.safe_load(re.search(r"^```yaml\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)[1])
    row = json.loads((LOGS / "lm_eval_samples.jsonl").read_text().splitlines()[0])
    shown = task["doc_to_text"]
    for column in ("sql_context", "sql_prompt"):
        shown = shown.replace("{{" + column + "}}", row["doc"][column])
    asked = json.loads(row["arguments"]["gen_args_0"]["arg_0"][0])
    assert asked == [{"role": "user", "content": shown}]
    assert task["output_type"] == "generate_until"
