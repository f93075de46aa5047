"""What a hostile model, data set, cache or server can not do; docs/threat-model.md names the test behind each line."""

from __future__ import annotations

import json
import pickle
import sqlite3
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tiny_model

from harness import benchmark as benchmarks
from harness.cli import status
from harness.config import ScoreChoice, load_experiment
from harness.errors import DataError, HarnessError, ModelError
from harness.evaluate import foreign
from harness.evaluate.predictions import read_predictions
from harness.evaluate.run import Evaluation, Hooks
from harness.evaluate.scored import score_predictions
from harness.evaluate.subjects import Subject
from harness.scoring.cache import _digest
from harness.scoring.gold import Gold
from harness.scoring.packed import unpacked
from harness.store import load_items, read_run

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2);"
KEY = "sk-0123456789-do-not-write-me-down"


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Path:
    rows = [{"id": n, "sql_prompt": "q?", "sql_context": SCRIPT, "sql": f"SELECT a + {n} FROM t"} for n in range(3)]
    return lines(tmp_path / "bench.jsonl", rows)


# -- a hostile model


@pytest.fixture(scope="module", name="model")
def _model(tmp_path_factory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("hostile") / "tiny")


ESCAPES = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.popen('id > MARKER').read() }}",
    "import": "{{ self.__init__.__globals__.__builtins__.__import__('os').system('id > MARKER') }}",
    "files": "{% include '/etc/passwd' %}",
    "changing the chat": "{{ messages.append({'role': 'user', 'content': 'x'}) }}",
    "a loop without end": "{% for a in range(1000000000) %}x{% endfor %}",
}


@pytest.mark.parametrize("name", ESCAPES)
def test_a_chat_template_cannot_leave_its_sandbox(model, tmp_path, monkeypatch, name):
    from harness.model.chat import render
    from harness.model.load import load_tokenizer
    from harness.model.settings import ModelSettings

    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.jinja").write_text(ESCAPES[name])
    tokenizer, _ = load_tokenizer(ModelSettings(str(model), chat_template_from="hostile.jinja"), model)
    with pytest.raises(ModelError, match="The chat template refuses these messages"):
        render(tokenizer, [{"role": "user", "content": "q"}], prompt=True)
    assert not (tmp_path / "MARKER").exists()


def test_code_that_comes_with_a_tokenizer_is_not_run(model, tmp_path, monkeypatch):
    import shutil

    from harness.model.chat import _read_template
    from harness.model.load import load_tokenizer
    from harness.model.settings import ModelSettings

    folder = shutil.copytree(model, tmp_path / "own")
    (folder / "own.py").write_text("open('MARKER', 'w'); class Own: pass\n")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}, "chat_template": "x"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # nobody is asked, so nobody says yes
    for read in (lambda: load_tokenizer(ModelSettings(str(folder)), folder), lambda: _read_template(str(folder))):
        try:
            read()
        except (HarnessError, ValueError):
            continue
        finally:
            assert not (tmp_path / "MARKER").exists()


# -- a hostile cache


class Exploit:
    """A pickle that writes a file as it is read."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self):
        return (open, (self.marker, "w"))


def test_a_pickle_in_the_gold_cache_runs_nothing_and_changes_no_verdict(bench, tmp_path):
    marker = tmp_path / "MARKER"
    lines(tmp_path / "p.jsonl", [{"id": n, "sql": f"SELECT {n} + a FROM t"} for n in range(3)])

    def scored(out: str) -> list[dict]:
        benchmark = benchmarks.load(str(bench))
        predictions = read_predictions(tmp_path / "p.jsonl", (item.id for item in benchmark.stream()))
        choice = ScoreChoice(workers=1, suite=False, cache_dir=str(tmp_path / "cache"), reuse_verdicts=False)
        score_predictions(benchmark, predictions, choice, source=tmp_path / "p.jsonl", out=tmp_path / out)
        return [{**row, "execute_seconds": 0.0} for row in load_items(read_run(tmp_path / out)).to_pylist()]

    honest = scored("one")
    poison = b"\0" + pickle.dumps(Exploit(str(marker)))
    with sqlite3.connect(tmp_path / "cache" / "golds.sqlite") as file:
        keys = [row[0] for row in file.execute("SELECT key FROM entry")]
        file.executemany("UPDATE entry SET data = ?, digest = ?", [(poison, _digest(key, poison)) for key in keys[:1]])
        for key in keys:
            file.execute("UPDATE entry SET data = ?, digest = ? WHERE key = ?", (poison, _digest(key, poison), key))
    assert len(keys) == 3
    assert scored("two") == honest
    assert not marker.exists()


@pytest.mark.parametrize("value", [Exploit("MARKER"), print, Path("x"), pickle.Unpickler, threading.Thread])
def test_a_stored_gold_names_only_what_golds_are_made_of(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="a stored gold names"):
        unpacked(pickle.dumps(value))
    assert not (tmp_path / "MARKER").exists()
    gold = Gold(sql="SELECT 1", seconds=0.5)
    assert Gold.unpack(gold.pack()) == gold


# -- hostile data


@pytest.mark.parametrize("name", ["../../x", "..", "/etc/passwd", "a/b", "a\\b", "c:x", "x\0y", "."])
def test_a_database_id_is_no_path(tmp_path, name):
    lines(tmp_path / "dev.jsonl", [{"question": "q?", "query": "SELECT 1", "db_id": name}])
    (tmp_path / "benchmark.toml").write_text('layout = "spider"\n')
    with pytest.raises(DataError, match="is no database id"):
        benchmarks.load(str(tmp_path)).items("test")


def test_an_archive_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "_LARGEST", 2**20)
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/1.json", b" " * (2**20 + 1))
    assert path.stat().st_size < 2**14
    with pytest.raises(DataError, match="unpacks to 1,048,577 bytes"):
        list(foreign._samples_of_archive(path))


def test_a_run_name_and_an_id_lead_nowhere(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "b2.jsonl", [{"id": "../../x", "sql_prompt": "q", "sql_context": SCRIPT, "sql": "SELECT 1"}])
    lines(tmp_path / "p2.jsonl", [{"id": "../../x", "sql": "SELECT 1"}])
    command = ["score", "b2.jsonl", "p2.jsonl", "--out", "out/run", "score.workers=1", "score.suite=false"]
    assert status([*command, "score.cache_dir="]) == 0
    assert status(["report", "out/run", "--out", "page"]) == 0
    assert {path.name for path in tmp_path.iterdir()} <= {"bench.jsonl", "b2.jsonl", "p2.jsonl", "out", "page"}


# -- secrets


class _Echo(BaseHTTPRequestHandler):
    """Answers questions, and complaints with the key it was sent."""

    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        refused = self.server.refuses
        key = self.headers.get("Authorization", "")
        reply = {"choices": [{"message": {"content": "SELECT a FROM t"}, "finish_reason": "stop"}]}
        body = json.dumps({"error": f"bad key {key}"} if refused else reply).encode()
        self.send_response(401 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def no_bar(label: str):
    yield lambda done, total: None


def test_keys_stand_in_no_file_and_no_message(bench, tmp_path, monkeypatch, capsys):
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, KEY)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.refuses = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "x.toml").write_text(
        f'[benchmark]\nname = "{bench}"\n[generate]\nbackend = "server"\n[generate.server]\nmodel = "m"\n'
        f'url = "http://127.0.0.1:{server.server_port}/v1"\n[score]\nworkers = 1\nsuite = false\n'
        f'cache_dir = "{tmp_path}/cache"\n[eval]\nruns = "{tmp_path}/runs"\nmodels = ["m"]\n'
    )
    said: list[str] = []
    experiment = load_experiment(tmp_path / "x.toml")
    found = Evaluation(experiment, Hooks(said.append, no_bar)).one(Subject("m", "server"))
    assert found.run.facts["totals"]["n"] == 3
    server.refuses = True
    other = load_experiment(tmp_path / "x.toml", ["generate.max_new_tokens=7", "generate.server.retries=0"])
    with pytest.raises(HarnessError) as caught:
        Evaluation(other, Hooks(said.append, no_bar)).one(Subject("m", "server"))
    server.shutdown()
    assert status(["report", found.run.path, "--out", str(tmp_path / "page")]) == 0
    captured = capsys.readouterr()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert KEY not in " ".join([str(caught.value), *said, captured.out, captured.err])
