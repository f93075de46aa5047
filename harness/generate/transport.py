"""Requests to an OpenAI-compatible server: tried again with growing pauses, at the pace the server asks for.

Standard library only. The key comes from the environment, goes into the header of requests to the named host and
nowhere else: redirects are not followed, an address with a key in it is refused, and messages are cleaned of it.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any

from harness.errors import ConfigError, ModelError
from harness.generate.settings import ServerSettings

WORTH_A_RETRY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
LONGEST_PAUSE = 30.0
"""Seconds between two tries where the server names no time."""
LONGEST_WAIT = 600.0
"""Seconds that a server may ask for; beyond, the evaluation ends with its answers kept."""
_SAID = 500
"""Characters of a server's words that are shown."""


class RefusedError(Exception):
    """The server answered with an error that another try does not mend."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"{code}: {said}")
        self.code = code
        self.said = said


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would send the key along to wherever it is sent."""

    def redirect_request(self, *args: Any) -> None:
        """Follow none: the reply is then an error of its own code."""


class Transport:
    """Calls from several threads; when the server says how long to wait, all of them wait."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._url = _checked(settings.url)
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._lock = threading.Lock()
        self._open_at = 0.0
        self._answered = 0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Take calls (again)."""
        self._stopped.clear()

    def stop(self) -> None:
        """End every pause: calls that wait raise StoppedError."""
        self._stopped.set()

    def call(self, path: str, body: Mapping[str, Any] | None, *, retries: int | None = None) -> dict[str, Any]:
        """The server's JSON object. RefusedError where it says no, ModelError where it is not there or talks otherwise.

        `retries` (by default the settings') counts tries during which no call of any thread got through, so a rate
        limit slows a long evaluation down and does not end it.
        """
        left = self._settings.retries if retries is None else retries
        attempt, seen = 0, self._answered
        while True:
            self._pause_until_open()
            try:
                reply = self._send(path, body)
            except urllib.error.HTTPError as error:
                said = self._words(error)
                if error.code not in WORTH_A_RETRY:
                    raise RefusedError(error.code, said) from None
                if error.code == 429 and self._answered > seen:
                    attempt, seen = 0, self._answered
                if attempt >= left:
                    raise RefusedError(error.code, said) from None
                self._hold(retry_after(error.headers), attempt)
            except (OSError, http.client.HTTPException) as error:  # refused, reset, timed out
                if attempt >= left:
                    raise ModelError(
                        f"{self._url} does not answer ({error}); start the server or check generate.server.url."
                    ) from error
                self._wait(_pause(attempt))
            except ValueError as error:
                raise ModelError(f"{self._url} answered with no JSON; check generate.server.url.") from error
            else:
                with self._lock:
                    self._answered += 1
                return reply
            attempt += 1

    def _send(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, headers=headers)
        with self._opener.open(request, timeout=self._settings.timeout_seconds) as reply:
            value = json.load(reply)
        if not isinstance(value, dict):
            raise ValueError("no JSON object")
        return value

    def _hold(self, asked: float | None, attempt: int) -> None:
        """Wait after a busy server's answer: all threads, where it says how long; else this one."""
        if asked is None:
            self._wait(_pause(attempt))
            return
        if asked > LONGEST_WAIT:
            raise ModelError(
                f"{self._url} asks to wait {asked:,.0f} s; run the same command again then: what was answered is kept."
            )
        with self._lock:
            self._open_at = max(self._open_at, time.monotonic() + asked)

    def _pause_until_open(self) -> None:
        while (seconds := self._open_at - time.monotonic()) > 0:
            self._wait(seconds)
        if self._stopped.is_set():
            raise StoppedError

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StoppedError

    def _words(self, error: urllib.error.HTTPError) -> str:
        """What the server said, on one line, without the key."""
        try:
            said = " ".join(error.read(4 * _SAID).decode(errors="replace").split())
        except (OSError, http.client.HTTPException):
            said = ""
        if target := error.headers.get("Location"):
            said = f"it points to {target.partition('?')[0]} {said}".strip()
        key = self._key()
        return (said.replace(key, "***") if key else said)[:_SAID]

    def _key(self) -> str:
        return os.environ.get(self._settings.key_variable, "").strip()


def retry_after(headers: Mapping[str, str] | Message) -> float | None:
    """Seconds that a reply's headers ask to wait (`retry-after-ms`, Retry-After in seconds or as a date), else None."""
    milliseconds, given = headers.get("retry-after-ms"), (headers.get("Retry-After") or "").strip()
    for text, scale in ((milliseconds, 0.001), (given, 1.0)):
        try:
            return max(0.0, float(text or "") * scale)
        except ValueError:
            continue
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _pause(attempt: int) -> float:
    """Seconds before the next try: doubling from half a second, spread so that threads do not come all at once."""
    return min(0.5 * 2.0**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)


def _checked(url: str) -> str:
    """The address without a slash at its end; ConfigError where it is none or holds a key, which would be stored."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"generate.server.url = {url!r} is no address; write one like http://localhost:8000/v1.")
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            "generate.server.url holds a user, a password or a query, and would be stored with the run; put the key "
            "into the environment variable of generate.server.key_variable."
        )
    return url.rstrip("/")
