"""The judges as modules of Hugging Face's `evaluate`, really loaded by it, and in a real Trainer."""

from __future__ import annotations

import math
import os
import re
import shutil
import socket
import sqlite3
import tempfile
from pathlib import Path
from unittest import mock

import pytest
import tiny_model

import harness.metrics
from harness import stats
from harness.errors import ConfigError, DataError
from harness.metrics import judging

CACHE = tempfile.mkdtemp()
# evaluate decides where it copies modules to when it is imported
with mock.patch.dict(os.environ, {"HF_MODULES_CACHE": CACHE, "HF_HUB_OFFLINE": "1"}):
    import evaluate

SCRIPT = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL);"
CASES = [
    ("SELECT a FROM t ORDER BY a DESC", "SELECT a FROM t", True, False),
    ("Sure:\n```sql\nselect A from T;\n```", "SELECT a FROM t", True, True),
    ("SELECT t1.a FROM t AS t1 WHERE 1 < t1.a", "SELECT a FROM t WHERE a > 1", True, True),
    ("SELECT a FROM t WHERE a > 2", "SELECT a FROM t WHERE a > 1", False, False),
    ("SELECT 3", ["SELECT min(a) FROM t", "SELECT max(a) FROM t"], True, False),
    ("I do not know.", "SELECT b FROM t", False, False),
]
ONE_WORKER = {"workers": 1}


def teardown_module():
    shutil.rmtree(CACHE, ignore_errors=True)


def load(*paths: str):
    modules = [evaluate.load(path, cache_dir=CACHE) for path in paths]
    return modules[0] if len(modules) == 1 else evaluate.combine(modules)


def inputs(cases=CASES, lists: bool = True):
    def gold(value):
        return (value if isinstance(value, list) else [value]) if lists else value

    return {
        "predictions": [prediction for prediction, *_ in cases],
        "references": [{"sql": gold(sql), "context": SCRIPT} for _, sql, *_ in cases],
    }


def test_execution_accuracy_is_that_of_harness_with_its_interval():
    found = load(harness.metrics.EXECUTION_ACCURACY).compute(**inputs(), **ONE_WORKER)
    low, high = stats.wilson(4, 6)
    assert found == {
        "execution_accuracy": pytest.approx(sum(right for _, _, right, _ in CASES) / 6),
        "execution_accuracy_low": low,
        "execution_accuracy_high": high,
        "scored": 6,
        "unscorable": 0,
    }


def test_exact_match_has_its_three_grades():
    found = load(harness.metrics.EXACT_MATCH).compute(**inputs(), **ONE_WORKER)
    assert found == {
        "exact_match": pytest.approx(sum(same for *_, same in CASES) / 6),
        "string_match": pytest.approx(1 / 6),
        "structural_match": pytest.approx(3 / 6),
    }


def test_combined_they_run_the_statements_once(monkeypatch):
    calls = []
    real = judging.score
    monkeypatch.setattr(judging, "score", lambda *how: (calls.append(1), real(*how))[1])
    monkeypatch.setattr(judging, "_LAST", {})
    both = load(harness.metrics.EXECUTION_ACCURACY, harness.metrics.EXACT_MATCH)
    found = both.compute(**inputs(CASES[:4], lists=False), **ONE_WORKER)
    assert found["execution_accuracy"] == 0.75
    assert found["exact_match"] == 0.5
    assert len(calls) == 1


def test_rows_may_be_added_batch_by_batch():
    metric = load(harness.metrics.EXECUTION_ACCURACY)
    for prediction, sql, *_ in CASES[:4]:
        metric.add(prediction=prediction, reference={"sql": sql, "context": SCRIPT})
    assert metric.compute(**ONE_WORKER)["execution_accuracy"] == 0.75


def test_golds_that_cannot_run_are_counted_and_score_nothing():
    metric = load(harness.metrics.EXECUTION_ACCURACY, harness.metrics.EXACT_MATCH)
    bad = [("SELECT nope FROM t", "SELECT nope FROM t", None, None)]
    found = metric.compute(**inputs([*CASES[:1], *bad]), **ONE_WORKER)
    assert (found["execution_accuracy"], found["scored"], found["unscorable"]) == (1.0, 1, 1)
    nothing = metric.compute(**inputs(bad), **ONE_WORKER)
    assert nothing["scored"] == 0
    assert math.isnan(nothing["execution_accuracy"])
    assert math.isnan(nothing["exact_match"])


def test_a_database_file_may_stand_for_the_script(tmp_path):
    with sqlite3.connect(tmp_path / "t.sqlite") as file:
        file.executescript(SCRIPT)
    references = [{"sql": "SELECT count(*) FROM t", "context": str(tmp_path / "t.sqlite")}]
    metric = load(harness.metrics.EXECUTION_ACCURACY)
    how = {"dialects": ["sqlite"], **ONE_WORKER}
    assert metric.compute(predictions=["SELECT 3"], references=references, **how)["execution_accuracy"] == 1.0
    references[0]["context"] = str(tmp_path / "none.sqlite")
    with pytest.raises(DataError, match=r"Reference 0: the database .*none\.sqlite does not exist"):
        metric.compute(predictions=["SELECT 3"], references=references, **how)


def test_suites_expose_luck_where_they_are_asked_for():
    metric = load(harness.metrics.EXECUTION_ACCURACY)
    found = metric.compute(**inputs([("SELECT 3", "SELECT max(a) FROM t", True, False)]), suite=True, **ONE_WORKER)
    assert (found["execution_accuracy"], found["suite_accuracy"]) == (1.0, 0.0)


def test_what_is_no_setting_and_no_gold_is_told():
    metric = load(harness.metrics.EXACT_MATCH)
    with pytest.raises(ConfigError, match="compute takes no 'dialect'; it takes cache_dir, "):
        metric.compute(**inputs(), dialect="sqlite")
    with pytest.raises(DataError, match="Reference 0 has no gold"):
        metric.compute(predictions=["SELECT 1"], references=[{"sql": " ", "context": ""}], **ONE_WORKER)


def test_the_modules_load_from_anywhere_and_call_nobody(tmp_path, monkeypatch):
    def refuse(self, address):
        raise AssertionError(f"called {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where: refuse(None, where))
    monkeypatch.chdir(tmp_path)
    metric = load(harness.metrics.EXACT_MATCH)
    found = metric.compute(predictions=["SELECT 1"], references=[{"sql": "select 1", "context": ""}], **ONE_WORKER)
    assert found["exact_match"] == 1.0
    assert list(tmp_path.iterdir()) == []


def test_the_example_in_the_documents_runs_as_written():
    text = (Path(__file__).resolve().parent.parent / "docs" / "huggingface.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    exec(compile(blocks[0], "docs/huggingface.md", "exec"), {})


def test_the_scripts_are_installed_with_the_package():
    for folder in (harness.metrics.EXECUTION_ACCURACY, harness.metrics.EXACT_MATCH):
        path = Path(folder)
        assert (path / f"{path.name}.py").is_file()
        assert (path / "__init__.py").is_file(), "setuptools passes over folders that are no packages"


def test_a_trainer_computes_them_while_it_trains(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    base = tiny_model.build(tmp_path / "tiny")
    tokenizer = AutoTokenizer.from_pretrained(base)
    golds = ["SELECT a FROM t", "SELECT b FROM t WHERE a = 1"]
    texts = [tokenizer(f"<bos>{n}: ")["input_ids"] for n in range(2)]
    rows = []
    for asked, gold in zip(texts, golds, strict=True):
        answer = tokenizer(gold)["input_ids"] + [tokenizer.eos_token_id]
        rows.append({"input_ids": asked + answer, "labels": [-100] * len(asked) + answer})

    def collate(batch):
        width = max(len(row["input_ids"]) for row in batch)
        pads = {"input_ids": tokenizer.pad_token_id, "labels": -100}
        filled = {k: [row[k] + [pad] * (width - len(row[k])) for row in batch] for k, pad in pads.items()}
        return {key: torch.tensor(value) for key, value in filled.items()}

    both = load(harness.metrics.EXECUTION_ACCURACY, harness.metrics.EXACT_MATCH)

    def compute_metrics(found):
        # the token after each place of the answer, as the model would have it
        kept = [p[:-1][row[1:] != -100] for p, row in zip(found.predictions, found.label_ids, strict=True)]
        said = tokenizer.batch_decode(kept, skip_special_tokens=True)
        return both.compute(
            predictions=said, references=[{"sql": gold, "context": SCRIPT} for gold in golds], **ONE_WORKER
        )

    trainer = Trainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        args=TrainingArguments(
            output_dir=str(tmp_path / "out"), max_steps=40, learning_rate=1e-2, report_to=[], use_cpu=True,
            per_device_train_batch_size=2, save_strategy="no", disable_tqdm=True, logging_strategy="no",
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=collate,
        compute_metrics=compute_metrics,
        preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),
    )  # fmt: skip
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert (before["eval_execution_accuracy"], after["eval_execution_accuracy"]) == (0.0, 1.0)
    assert (before["eval_exact_match"], after["eval_exact_match"]) == (0.0, 1.0)
