"""Answers from an OpenAI-compatible server (vLLM, llama.cpp, a hosted one). Imports no torch."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from harness.errors import ModelError
from harness.generate.base import Progress, Request, check_decoding
from harness.generate.settings import DecodingSettings, ServerSettings
from harness.records import Generation, Speed

WORTH_A_RETRY = (408, 409, 425, 429, 500, 502, 503, 504)
LONGEST_PAUSE = 30.0


class ServerGenerator:
    """Asks a server's `/chat/completions`, several requests at a time; its own template and stops apply."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._model = settings.model or self._only_model()
        self._speed: Speed | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        """Backend, address, model and requests in flight; never the key."""
        return {
            "backend": "openai",
            "url": self._settings.url,
            "model": self._model,
            "concurrency": self._settings.concurrency,
        }

    def generate(
        self, requests: Sequence[Request], decoding: DecodingSettings, progress: Progress | None = None
    ) -> Iterator[Generation]:
        """Yield answers as the server finishes them; ModelError once a request has failed for good."""
        check_decoding(decoding)
        self._speed = None
        total = len(requests) * decoding.samples
        prompt_tokens = output_tokens = 0
        start = time.perf_counter()
        pool = ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="harness-ask")
        try:
            asked = [
                pool.submit(self._ask, request, decoding, sample)
                for request in requests
                for sample in range(decoding.samples)
            ]
            for done, future in enumerate(as_completed(asked), start=1):
                answer = future.result()
                prompt_tokens += answer.prompt_tokens
                output_tokens += answer.output_tokens
                self._speed = Speed(prompt_tokens, output_tokens, 0, time.perf_counter() - start)
                yield answer
                if progress is not None:
                    progress(done, total)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def speed(self) -> Speed | None:
        """Return the server's token counts over the wall time from the first request to the last answer drawn."""
        return self._speed

    def _ask(self, request: Request, decoding: DecodingSettings, sample: int) -> Generation:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [dict(message) for message in request.messages],
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "seed": decoding.seed + sample,
        }
        if decoding.stop:
            body["stop"] = list(decoding.stop)
        reply = self._call("/chat/completions", body)
        try:
            choice = reply["choices"][0]
            usage = reply.get("usage") or {}
            return Generation(
                id=request.id,
                completion=choice["message"].get("content") or "",
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                output_tokens=int(usage.get("completion_tokens") or 0),
                finished=choice.get("finish_reason") != "length",
                sample=sample,
            )
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ModelError(f"{self._settings.url} answered without `choices`; check generate.url.") from error

    def _only_model(self) -> str:
        served = [str(entry.get("id")) for entry in self._call("/models", None).get("data") or []]
        if len(served) != 1:
            raise ModelError(
                f"{self._settings.url} serves {', '.join(served) or 'no model that it lists'}; name one with "
                "generate.model."
            )
        return served[0]

    def _call(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the server's JSON, trying again with growing pauses where that can help."""
        for attempt in range(self._settings.retries + 1):
            last = attempt == self._settings.retries
            try:
                return self._send(path, body)
            except urllib.error.HTTPError as error:
                if last or error.code not in WORTH_A_RETRY:
                    raise self._refused(error) from error
                pause = _pause(attempt, error.headers.get("Retry-After"))
            except (OSError, http.client.HTTPException) as error:  # refused, reset, timed out
                if last:
                    raise ModelError(
                        f"{self._settings.url} does not answer ({error}); start the server or check generate.url."
                    ) from error
                pause = _pause(attempt, None)
            except ValueError as error:
                raise ModelError(f"{self._settings.url} answered with no JSON; check generate.url.") from error
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _send(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self._settings.key_variable, "")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._settings.url.rstrip("/") + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=self._settings.timeout_seconds) as reply:
            value = json.load(reply)
        if not isinstance(value, dict):
            raise ValueError("no JSON object")
        return value

    def _refused(self, error: urllib.error.HTTPError) -> ModelError:
        if error.code in (401, 403):
            return ModelError(
                f"{self._settings.url} refuses the key ({error.code}); put a valid one into the environment variable "
                f"{self._settings.key_variable}."
            )
        said = " ".join(error.read(500).decode(errors="replace").split())
        return ModelError(f"{self._settings.url} refuses the request ({error.code}: {said}); check generate.*.")


def _pause(attempt: int, retry_after: str | None) -> float:
    """Return seconds to wait: what the server asks for, else doubling from half a second."""
    if retry_after and retry_after.replace(".", "", 1).isdigit():
        return min(float(retry_after), LONGEST_PAUSE)
    return min(0.5 * 2.0**attempt, LONGEST_PAUSE)
