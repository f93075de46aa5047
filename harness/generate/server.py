"""Answers from an OpenAI-compatible server (vLLM, SGLang, TGI, llama.cpp, Ollama, a hosted one). Imports no torch."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from typing import Any

from harness.errors import ModelError
from harness.generate.base import Progress, Request, check_decoding
from harness.generate.settings import DecodingSettings, ServerSettings
from harness.generate.transport import RefusedError, StoppedError, Transport
from harness.records import Generation, Speed

_TOO_LONG = re.compile(
    r"context[ _](length|size|window)|exceed_context|prompt is too long|max_new_tokens. must be", re.IGNORECASE
)
"""How servers say that a question does not fit the model."""
_TOO_MUCH = re.compile(r"tokens'? is too large", re.IGNORECASE)
"""How they say that no question would, with the answer's length that was asked for."""
_LIMITS = ("max_tokens", "max_completion_tokens")
"""The limit's name, and its newer one, which some hosted models insist on."""


class ServerGenerator:
    """Asks a server's `/chat/completions`, several requests at a time; its own template and stops apply.

    A question that does not fit the model's context is an unfinished, empty answer, and is counted in the notes; any
    other refusal ends the evaluation, after the answers under way have been handed over.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._transport = Transport(settings)
        self._model = settings.model or served_model(settings)
        self._speed: Speed | None = None
        self._limit = 0
        self._lock = threading.Lock()
        self._too_long = 0
        self._uncounted = 0

    @property
    def facts(self) -> Mapping[str, Any]:
        """Backend, address, model, requests in flight and notes; never the key."""
        notes = []
        if self._too_long:
            notes.append(f"{self._too_long} of the questions did not fit the model's context and have no answer")
        if self._uncounted:
            notes.append(f"{self._uncounted} answers came without token counts, so no rate is given")
        return {
            "backend": "openai",
            "url": self._settings.url,
            "model": self._model,
            "concurrency": self._settings.concurrency,
            "notes": tuple(notes),
        }

    def generate(
        self, requests: Sequence[Request], decoding: DecodingSettings, progress: Progress | None = None
    ) -> Iterator[Generation]:
        """Yield answers as the server finishes them; ModelError once a request has failed for good."""
        check_decoding(decoding)
        self._speed, self._too_long, self._uncounted = None, 0, 0
        total = len(requests) * decoding.samples
        prompt_tokens = output_tokens = 0
        self._transport.start()
        start = time.perf_counter()
        pool = ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="harness-ask")
        try:
            asked = [
                pool.submit(self._ask, request, decoding, sample)
                for request in requests
                for sample in range(decoding.samples)
            ]
            for done, answer in enumerate(_in_turn(asked, self._transport), start=1):
                prompt_tokens += answer.prompt_tokens
                output_tokens += answer.output_tokens
                self._speed = Speed(prompt_tokens, output_tokens, 0, time.perf_counter() - start)
                yield answer
                if progress is not None:
                    progress(done, total)
        finally:
            self._transport.stop()
            pool.shutdown(wait=False, cancel_futures=True)

    def speed(self) -> Speed | None:
        """Return the server's token counts over the wall time from the first request to the last answer drawn.

        None where the server left counts out: a rate from part of the tokens would be wrong.
        """
        return None if self._uncounted else self._speed

    def _ask(self, request: Request, decoding: DecodingSettings, sample: int) -> Generation:
        try:
            reply = self._reply(request, decoding, sample)
        except RefusedError as error:
            if error.code in (400, 413, 422) and _TOO_LONG.search(error.said) and not _TOO_MUCH.search(error.said):
                with self._lock:
                    self._too_long += 1
                return Generation(request.id, "", finished=False, sample=sample)
            raise refused(self._settings, error, f" (question {request.id})") from None
        try:
            choice = reply["choices"][0]
            usage = reply.get("usage") or {}
            if usage.get("completion_tokens") is None:
                with self._lock:
                    self._uncounted += 1
            return Generation(
                id=request.id,
                completion=_text(choice["message"].get("content")),
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                output_tokens=int(usage.get("completion_tokens") or 0),
                finished=choice.get("finish_reason") != "length",
                sample=sample,
            )
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ModelError(f"{self._settings.url} answered without `choices`; check generate.server.url.") from error

    def _reply(self, request: Request, decoding: DecodingSettings, sample: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [dict(message) for message in request.messages],
            "temperature": decoding.temperature,
        }
        if decoding.temperature > 0:
            body |= {"top_p": decoding.top_p, "seed": decoding.seed + sample}
        if decoding.stop:
            body["stop"] = list(decoding.stop)
        name = self._limit
        try:
            return self._transport.call("/chat/completions", {**body, _LIMITS[name]: decoding.max_new_tokens})
        except RefusedError as error:
            if name or error.code != 400 or _LIMITS[1] not in error.said:
                raise
            self._limit = 1
        return self._transport.call("/chat/completions", {**body, _LIMITS[1]: decoding.max_new_tokens})


def served_model(settings: ServerSettings) -> str:
    """The name of the only model a server has; ModelError where it lists none or several."""
    remedy = "name one with generate.server.model"
    try:
        # a server that fails to list its models still answers for one that is named
        entries = Transport(settings).call("/models", None, retries=1).get("data") or []
    except RefusedError as error:
        if error.code in (401, 403):
            raise refused(settings, error) from None
        raise ModelError(f"{settings.url} does not list its models ({error}); {remedy}.") from None
    served = [str(entry.get("id")) for entry in entries if isinstance(entry, dict)]
    if len(served) != 1:
        raise ModelError(f"{settings.url} serves {', '.join(served) or 'no model that it lists'}; {remedy}.")
    return served[0]


def refused(settings: ServerSettings, error: RefusedError, what: str = "") -> ModelError:
    """A server's refusal as one sentence with its remedy."""
    if error.code in (401, 403):
        return ModelError(
            f"{settings.url} refuses the key ({error.code}); put a valid one into the environment variable "
            f"{settings.key_variable}."
        )
    remedy = "check generate.server.url" if error.code in (301, 302, 303, 307, 308, 404) else "check generate.*"
    if error.code == 429:
        remedy = "lower generate.server.concurrency, or wait and run the same command again: answers are kept"
    return ModelError(f"{settings.url} refuses the request{what} ({error}); {remedy}.")


def _text(content: Any) -> str:
    """A message's text; some servers give it in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content or ""


def _in_turn(asked: Sequence[Future[Generation]], transport: Transport) -> Iterator[Generation]:
    """Answers as they come; after a failure, those that the server still gives, and then the failure."""
    failure: Exception | None = None
    for future in as_completed(asked):
        try:
            yield future.result()
        except (StoppedError, CancelledError):
            continue
        except Exception as error:
            if failure is None:
                failure = error
                transport.stop()
                for other in asked:
                    other.cancel()
    if failure is not None:
        raise failure
