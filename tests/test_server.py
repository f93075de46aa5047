"""Answers from an OpenAI-compatible server: a double that misbehaves as told, and transformers' own real one."""

from __future__ import annotations

import email.utils
import importlib.util
import itertools
import json
import shutil
import socket
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import forks
import pytest

from harness.config import load_experiment
from harness.errors import ConfigError, ModelError
from harness.evaluate.run import Evaluation, Hooks
from harness.evaluate.subjects import subjects
from harness.generate.base import Request
from harness.generate.server import ServerGenerator
from harness.generate.settings import DecodingSettings, ServerSettings
from harness.generate.transport import LONGEST_WAIT, Transport, retry_after
from harness.store import load_items

ROOT = Path(__file__).resolve().parent.parent
POCKET = ROOT / "benchmarks" / "pocket" / "base"
KEY = "sk-thisKeyIsForNobody"
WORDS = ["orders", "total", "customer", "id", "sum", "group", "each", "how"]
REQUESTS = [Request(f"q{n}", ({"role": "user", "content": " ".join(WORDS[: n + 1])},)) for n in range(7)]


# --- a double


class _Double(BaseHTTPRequestHandler):
    """A server that answers with the question, and otherwise as `plan` says: a code, or (code, body, headers)."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        code = self.server.models if isinstance(self.server.models, int) else 200
        self._reply(code, {"data": [{"id": name} for name in self.server.models]} if code == 200 else {"e": "broken"})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.bodies.append(body)
            server.keys.append(self.headers.get("Authorization"))
            server.times.append(time.monotonic())
            server.flying += 1
            server.most = max(server.most, server.flying)
        planned = server.answer(body)
        server.gate.wait(timeout=0.05)
        with server.lock:
            server.flying -= 1
        code, value, headers = planned if isinstance(planned, tuple) else (planned, {"e": "bad"}, {"Retry-After": "0"})
        self._reply(code, answered(body, server.usage) if code == 200 else value, headers)

    def _reply(self, code, value, headers=None):
        blob = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(blob)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(blob)


def answered(body, usage):
    limit = body.get("max_tokens") or body["max_completion_tokens"]
    text = "SELECT " + body["messages"][-1]["content"]
    message = {"content": [{"type": "text", "text": text}] if usage and "parts" in usage else text}
    done = {"choices": [{"message": message, "finish_reason": "length" if limit < 5 else "stop"}]}
    return done | ({"usage": usage} if usage else {})


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Double)
        self.models, self.plan, self.bodies, self.keys, self.times = ["tiny"], [], [], [], []
        self.usage = {"prompt_tokens": 7, "completion_tokens": 4}
        self.lock, self.gate, self.flying, self.most = threading.Lock(), threading.Event(), 0, 0
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.answer = lambda body: self.plan.pop(0) if self.plan else 200


@pytest.fixture
def double(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(_Server()) as server:
        yield server


@contextmanager
def serving(server):
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def ask(settings, requests=REQUESTS, **decoding):
    return list(ServerGenerator(settings).generate(requests, DecodingSettings(**decoding)))


def test_a_server_is_asked_several_at_a_time(double):
    generator = ServerGenerator(ServerSettings(double.url, concurrency=3))
    told = []
    found = list(generator.generate(REQUESTS, DecodingSettings(), lambda done, total: told.append((done, total))))
    assert {g.id: g.completion for g in found} == {r.id: "SELECT " + r.messages[-1]["content"] for r in REQUESTS}
    assert 1 < double.most <= 3
    assert told[-1] == (7, 7)
    speed = generator.speed()
    assert (speed.prompt_tokens, speed.output_tokens) == (49, 28)
    assert speed.generate_seconds > 0
    assert {body["model"] for body in double.bodies} == {"tiny"}
    assert not ask(ServerSettings(double.url), REQUESTS[:1], max_new_tokens=2)[0].finished


def test_greedy_questions_carry_nothing_that_a_server_may_refuse(double):
    ask(ServerSettings(double.url), REQUESTS[:1], max_new_tokens=9)
    assert {name: value for name, value in double.bodies[0].items() if name != "messages"} == {
        "model": "tiny",
        "temperature": 0.0,
        "max_tokens": 9,
    }


def test_samples_are_asked_with_seeds_of_their_own(double):
    found = ask(ServerSettings(double.url), REQUESTS[:2], samples=2, temperature=0.5, top_p=0.9, seed=10)
    assert sorted((g.id, g.sample) for g in found) == [("q0", 0), ("q0", 1), ("q1", 0), ("q1", 1)]
    assert sorted(body["seed"] for body in double.bodies) == [10, 10, 11, 11]
    assert {body["top_p"] for body in double.bodies} == {0.9}


# --- a busy server


def test_a_busy_server_is_asked_again_and_a_refusal_is_told(double):
    settings = ServerSettings(double.url, retries=2)
    double.plan[:] = [503, 429]
    assert len(ask(settings, REQUESTS[:1])) == 1
    assert len(double.bodies) == 3
    for plan, message in (
        ([503] * 3, r"refuses the request \(question q0\) \(503"),
        ([429] * 3, r"429.*run the same command again: answers are kept"),
        ([400], r"\(400: .*bad.*check generate"),
        ([404], r"404.*check generate\.server\.url"),
        ([401], "OPENAI_API_KEY"),
    ):
        double.plan[:] = plan
        with pytest.raises(ModelError, match=message):
            ask(settings, REQUESTS[:1])
        assert double.plan == []


def test_all_threads_wait_as_long_as_the_server_asks(double):
    calls = itertools.count()

    def first_refused(body):
        number = next(calls)
        if number == 1:
            time.sleep(0.5)  # the other thread hears of the refusal before this one asks again
        return (429, {}, {"Retry-After": "1.0"}) if number == 0 else 200

    double.answer = first_refused
    assert len(ask(ServerSettings(double.url, model="tiny", concurrency=2))) == 7
    assert min(double.times[2:]) - double.times[0] >= 0.95


def test_a_rate_limit_slows_an_evaluation_and_does_not_end_it(double):
    turn, refused, through = threading.Condition(), [], []

    def one_in_turn(body):
        """The first question is refused until the six others are through; each of those waits for one refusal."""
        first = body["messages"][-1]["content"] == "orders"
        with turn:
            turn.wait_for(lambda: len(through) >= len(refused) if first else len(through) < len(refused), timeout=30)
            is_refused = first and len(through) < 6
            (refused if is_refused else through).append(body)
            turn.notify_all()
        return (429, {}, {"Retry-After": "0.05"}) if is_refused else 200

    double.answer = one_in_turn
    assert len(ask(ServerSettings(double.url, model="tiny", retries=3, concurrency=2), REQUESTS)) == 7
    assert len(refused) >= 6, "more often than a question may be refused where nothing gets through"


def test_a_wait_that_is_too_long_is_told_with_what_to_do(double):
    double.plan[:] = [(429, {}, {"Retry-After": str(LONGEST_WAIT + 1)})]
    with pytest.raises(ModelError, match=r"asks to wait 601 s; run the same command again then"):
        ask(ServerSettings(double.url), REQUESTS[:1])


def test_without_a_word_from_the_server_the_waits_double(double, monkeypatch):
    waits = []
    monkeypatch.setattr(Transport, "_wait", lambda self, seconds: waits.append(seconds))
    double.plan[:] = [(503, {}, {})] * 4
    assert len(ask(ServerSettings(double.url, retries=4), REQUESTS[:1])) == 1
    assert len(waits) == 4
    assert all(2.0**n / 4 <= seconds <= 2.0**n / 2 for n, seconds in enumerate(waits)), waits


def test_what_a_server_asks_to_wait_is_read_in_every_spelling():
    assert retry_after({"Retry-After": "7"}) == 7
    assert retry_after({"retry-after-ms": "250", "Retry-After": "7"}) == 0.25
    assert retry_after({"Retry-After": email.utils.formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(
        30, abs=2
    )
    assert retry_after({"Retry-After": email.utils.formatdate(time.time() - 30, usegmt=True)}) == 0
    assert retry_after({}) is None
    assert retry_after({"Retry-After": "soon"}) is None


def test_answers_under_way_are_not_lost_when_one_request_fails(double):
    double.answer = lambda body: 400 if body["messages"][-1]["content"] == "orders" else 200
    found = []
    answers = ServerGenerator(ServerSettings(double.url, concurrency=2)).generate(REQUESTS, DecodingSettings())
    with pytest.raises(ModelError, match="question q0"):
        found.extend(answer.id for answer in answers)
    assert "q1" in found
    assert len(found) == len(double.bodies) - 1 < 6, "nothing more is asked, and what was asked is handed over"


# --- what servers do differently


def test_a_question_that_does_not_fit_is_an_empty_answer_and_is_counted(double):
    said = {"error": {"message": "This model's maximum context length is 64 tokens. However, you requested 90."}}
    double.answer = lambda body: (400, said, {}) if "customer" in body["messages"][-1]["content"] else 200
    generator = ServerGenerator(ServerSettings(double.url))
    found = {g.id: (g.completion, g.finished) for g in generator.generate(REQUESTS, DecodingSettings())}
    assert found["q1"] == ("SELECT orders total", True)
    assert found["q2"] == ("", False)
    assert generator.facts["notes"] == ("5 of the questions did not fit the model's context and have no answer",)
    said["error"]["message"] = "'max_tokens' is too large: 9000. This model's maximum context length is 64 tokens."
    with pytest.raises(ModelError, match="too large"):
        list(generator.generate(REQUESTS, DecodingSettings()))


def test_the_newer_name_of_the_limit_is_used_where_a_server_insists(double):
    said = {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}
    double.answer = lambda body: (400, said, {}) if "max_tokens" in body else 200
    assert len(ask(ServerSettings(double.url, concurrency=2))) == 7
    assert sum("max_tokens" in body for body in double.bodies) <= 2


def test_an_answer_in_parts_is_one_text(double):
    double.usage["parts"] = True
    assert [answer.completion for answer in ask(ServerSettings(double.url), REQUESTS[:1])] == ["SELECT orders"]


def test_without_token_counts_no_rate_is_given(double):
    double.usage = None
    generator = ServerGenerator(ServerSettings(double.url))
    assert len(list(generator.generate(REQUESTS, DecodingSettings()))) == 7
    assert generator.speed() is None
    assert "7 answers came without token counts" in generator.facts["notes"][0]


def test_a_server_that_is_not_there_or_has_several_models_is_told(double):
    double.models = ["a", "b"]
    with pytest.raises(ModelError, match=r"serves a, b; name one with generate\.server\.model"):
        ServerGenerator(ServerSettings(double.url))
    double.models = 500
    with pytest.raises(ModelError, match=r"does not list its models .*generate\.server\.model"):
        ServerGenerator(ServerSettings(double.url))
    with pytest.raises(ModelError, match="does not answer"):
        ask(ServerSettings("http://127.0.0.1:9/v1", model="m", retries=0), REQUESTS[:1])


# --- the key


def test_the_key_comes_from_the_environment_and_stays_out_of_the_record(double, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    generator = ServerGenerator(ServerSettings(double.url, model="m"))
    list(generator.generate(REQUESTS[:1], DecodingSettings()))
    assert double.keys == [f"Bearer {KEY}"]
    assert KEY not in json.dumps(generator.facts)
    double.plan[:] = [(400, {"error": f"no such model for {KEY}"}, {})]
    with pytest.raises(ModelError, match=r"no such model for \*\*\*"):
        list(generator.generate(REQUESTS[:1], DecodingSettings()))


def test_the_key_is_not_carried_to_where_a_server_points(double, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(_Server()) as other:
        double.plan[:] = [(307, {}, {"Location": f"{other.url}/chat/completions?a=b"})]
        with pytest.raises(ModelError, match=r"it points to http://127.*check generate\.server\.url"):
            ask(ServerSettings(double.url, model="m"), REQUESTS[:1])
        assert other.bodies == []


@pytest.mark.parametrize("url", ["http://me:secret@host/v1", "http://host/v1?key=secret", "host/v1", "file:///etc/x"])
def test_an_address_with_a_key_in_it_or_none_is_refused(url):
    with pytest.raises(ConfigError, match=r"generate\.server\.url") as caught:
        ServerGenerator(ServerSettings(url, model="m"))
    assert "secret" not in str(caught.value)


# --- a whole evaluation


@contextmanager
def no_bar(label):
    yield lambda done, total: None


@pytest.fixture(name="experiment")
def _experiment(tmp_path, double):
    rows = [
        {"id": n, "sql_prompt": f"Q{n}?", "sql_context": "CREATE TABLE t (a INT);", "sql": "SELECT a FROM t"}
        for n in range(6)
    ]
    (tmp_path / "bench.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "served.toml").write_text(
        f'[benchmark]\nname = "{tmp_path}/bench.jsonl"\n[generate]\nbackend = "server"\n[generate.server]\n'
        f'url = "{double.url}"\nretries = 0\n[score]\nworkers = 1\nsuite = false\ncache_dir = ""\n'
        f'[eval]\nruns = "{tmp_path}/runs"\n'
    )
    return lambda *overrides: load_experiment(tmp_path / "served.toml", overrides)


def test_an_evaluation_over_a_server_resumes_and_never_stores_the_key(double, experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said = []
    double.answer = lambda body: 400 if "Q3?" in body["messages"][-1]["content"] else 200
    with pytest.raises(ModelError, match="question 3"):
        list(Evaluation(experiment("generate.server.concurrency=1"), Hooks(said.append, no_bar)).all())
    kept = len(double.bodies) - 1
    assert kept >= 3
    double.answer = lambda body: 200
    (found,) = Evaluation(experiment(), Hooks(said.append, no_bar)).all()
    assert len(double.bodies) == 7, "no question is asked twice but the one that was refused"
    assert f"tiny: {kept} answers are kept, {6 - kept} questions are left" in said
    assert found.run.model == "tiny"
    assert found.run.facts["kind"] == "served"
    assert found.run.facts["machine"]["name"] == f"server 127.0.0.1:{double.server_port}"
    assert [row["output_tokens"] for row in load_items(found.run, ["output_tokens"]).to_pylist()] == [4] * 6
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    assert all(KEY not in line for line in said)


def test_another_model_behind_the_same_address_is_another_run(double, experiment):
    first, second = (
        next(iter(Evaluation(experiment(), Hooks(print, no_bar)).all())).run.id for double.models in (["one"], ["two"])
    )
    assert first != second


def test_several_models_of_a_server_are_named_in_the_experiment(experiment):
    both = experiment('eval.models=["one", "two"]')
    assert [(subject.name, subject.kind) for subject in subjects(both)] == [("one", "served"), ("two", "served")]
    assert [subject.name for subject in subjects(experiment("generate.server.model=three"))] == ["three"]


# --- a real one


@pytest.fixture(name="served", scope="module")
def _served(tmp_path_factory):
    """`transformers serve` with the pocket model: (its address, the folder it serves)."""
    absent = [name for name in ("fastapi", "openai", "uvicorn") if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"transformers' server needs {', '.join(absent)}: pip install 'harness[dev]'")
    folder = tmp_path_factory.mktemp("served") / "pocket"
    shutil.copytree(POCKET, folder)
    shutil.copy(ROOT / "harness" / "model" / "gemma_chat.jinja", folder / "chat_template.jinja")
    config = json.loads((folder / "generation_config.json").read_text())
    # a server knows only the ends of an answer that stand in the model's own folder
    (folder / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": [1, 5]}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["serve", str(folder), "--device", "cpu", "--dtype", "float32"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder.parent / "home"), "OMP_NUM_THREADS": "1"}
    server = forks.start(command, folder, environment, module="transformers.cli.transformers")
    try:
        until_ready(server, f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        server.kill()


def until_ready(server, address):
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    server.kill()
    raise AssertionError(f"the server did not start: {server.wait().stderr[-2000:]}")


@pytest.mark.slow
def test_a_real_server_gives_the_answers_that_the_model_gives_here(served):
    import torch

    from harness.generate.local import TransformersGenerator
    from harness.model.load import load_base
    from harness.model.settings import ModelSettings

    torch.set_num_threads(1)  # threads cost more than they give at this size, and wait on each other
    url, folder = served
    schema = "CREATE TABLE singer (id INTEGER, name TEXT, age INTEGER);\n"
    asked = [
        Request(f"r{n}", ({"role": "user", "content": f"{schema}{text}"},))
        for n, text in enumerate(
            ["How many singers are there?", "List all names.", "List all names, oldest first.", "ünïcode?"]
        )
    ]
    decoding = DecodingSettings(max_new_tokens=16, batch_size=1)
    local = TransformersGenerator(load_base(ModelSettings(str(folder), precision="fp32", device="cpu")))
    here = {g.id: g for g in local.generate(asked, decoding)}
    remote = ServerGenerator(ServerSettings(url, model=str(folder), concurrency=3))
    there = {g.id: g for g in remote.generate(asked, decoding)}
    assert {key: g.completion for key, g in there.items()} == {key: g.completion for key, g in here.items()}
    assert {key: g.prompt_tokens for key, g in there.items()} == {key: g.prompt_tokens for key, g in here.items()}
    assert {key: g.output_tokens for key, g in there.items()} == {key: g.output_tokens for key, g in here.items()}
    assert len({g.completion for g in there.values()}) > 3
    assert remote.speed().output_tokens == sum(g.output_tokens for g in there.values())
    assert remote.facts["notes"] == ()
    with pytest.raises(ModelError, match=r"generate\.server\.model"):
        ServerGenerator(ServerSettings(url))  # it does not list a model that it was started with
