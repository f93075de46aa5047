"""A local server that speaks as much of the hub's HTTP API as an upload needs, and keeps what arrived."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_thisTokenIsForNobody00000000000"


class Hub(ThreadingHTTPServer):
    """What was created, uploaded and committed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, dict] = {}
        self.files: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.calls: list[tuple[str, str, str, bytes]] = []
        """Method, path, authorization, body."""
        self.blobs: dict[str, bytes] = {}
        self.refuse = False


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        hub, body = self.server, self._body()
        if hub.refuse or self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._reply(401, {"error": "Invalid credentials"})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            known = name in hub.repositories
            hub.repositories.setdefault(name, asked)
            self._reply(409 if known else 200, {"url": f"{hub.url}/{name}", "name": name, "id": "1"})
        elif self.path == "/api/validate-yaml":
            self._reply(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            wanted = json.loads(body)["files"]
            lfs = (".safetensors", ".png", "tokenizer.json")
            self._reply(
                200,
                {
                    "files": [
                        {
                            "path": file["path"],
                            "uploadMode": "lfs" if file["path"].endswith(lfs) else "regular",
                            "shouldIgnore": False,
                        }
                        for file in wanted
                    ]
                },
            )
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.url}/blob/{one['oid']}", "header": {}}}}
                for one in json.loads(body)["objects"]
            ]
            self._reply(200, {"transfer": "basic", "objects": objects})
        elif "/commit/" in self.path:
            self._commit(body)
        else:
            self._reply(404, {"error": f"the fake hub does not know {self.path}"})

    def do_PUT(self) -> None:
        body = self._body()
        oid = self.path.removeprefix("/blob/")
        right = hashlib.sha256(body).hexdigest() == oid
        if right:
            self.server.blobs[oid] = body
        self._reply(200 if right else 400, {})

    def _commit(self, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self.server.commits.append(value["summary"])
            elif entry["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.blobs[value["oid"]]
        url = f"{self.server.url}/me/x/commit/{'0' * 40}"
        self._reply(200, {"success": True, "commitOid": "0" * 40, "commitUrl": url, "hookOutput": ""})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append((self.command, self.path, self.headers.get("Authorization") or "", body))
        return body

    def _reply(self, code: int, value: object) -> None:
        blob = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(blob)))
        self.end_headers()
        self.wfile.write(blob)


@contextmanager
def fake_hub() -> Iterator[Hub]:
    """A running server, gone at the end of the block."""
    hub = Hub()
    threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
