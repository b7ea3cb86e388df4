"""A small real server of another kind: HTTP Basic, no dependencies, no version, and files whose addresses the client chooses."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from verification.declarative.service import load_service
from verification.journeys.model import Service

USER = {"email": "ann", "password": "canary-Basic:word"}
DESCRIPTION = """
service: notes
health: {request: GET /ready, version: none}
dependencies: none
sessions:
  reader: {kind: basic}
journeys:
  look:
    as: reader
    weight: 4
    steps:
      - {name: list, request: PROPFIND /notes, expect: {status: 200, body: {type: array}}}
  write a note:
    as: reader
    weight: 1
    live: true
    steps:
      - {name: write, request: {method: POST, path: /notes, json: {text: "${marker}"}}, expect: {status: 201}, capture: {id: $.id}}
      - {name: read, request: "GET /notes/${id}", expect: {status: 200, body: {text: "${marker}"}}}
    undo:
      - {name: delete, request: "DELETE /notes/${id}", expect: {status: 204}}
      - {name: gone, request: "GET /notes/${id}", expect: {status: 404}}
    sweep: {request: PROPFIND /notes, items: $, where: {text: "${marker}"}, capture: {id: $.id}}
  correct a note:
    as: reader
    weight: 1
    live: true
    steps:
      - {name: write, request: {method: POST, path: /notes, json: {text: "${marker}"}}, expect: {status: 201}, capture: {id: $.id}}
      - {name: correct, request: {method: PUT, path: "/notes/${id}", json: {text: corrected}}, expect: {status: 200}}
    undo:
      - {name: delete, request: "DELETE /notes/${id}", expect: {status: 204}}
  keep a file:
    as: reader
    weight: 1
    live: true
    steps:
      - {name: put, request: {method: PUT, path: "/files/${marker}.txt", body: "x"}, expect: {status: 201}}
      - {name: get, request: "GET /files/${marker}.txt", expect: {status: 200}}
    undo:
      - {name: remove, request: "DELETE /files/${marker}.txt", expect: {status: 204}}
  rarely:
    as: reader
    weight: 0
    steps:
      - {name: count, request: GET /count, expect: {status: 200}}
  not on live:
    as: reader
    weight: 9
    steps:
      - {name: wipe, request: DELETE /everything, expect: {status: 204}}
"""


def described(folder: Path, text: str = DESCRIPTION) -> Service:
    """Return the description of this server, from a file in the folder."""
    path = folder / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return load_service(path, "service.yaml")


class Notes:
    """The server; all of its addresses share the same notes and files.

    ``fail`` maps an operation to how many times it answers 500, ``lose`` to how many times it is done and not answered, ``slow`` to the time (s) that
    its other answers take. ``idle_s``: after this time without a request the server closes a kept connection.
    """

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}
        self.fail: Counter[str] = Counter()
        self.lose: Counter[str] = Counter()
        self.slow: dict[str, float] = {}
        self.stopped = threading.Event()
        self.seen: list[str] = []
        self.paths: list[str] = []
        self.refused = 0
        self.idle_s: float | None = None
        self.connections = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"notes": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    notes: Notes

    def setup(self) -> None:
        self.notes.connections += 1
        super().setup()
        self.connection.settimeout(self.notes.idle_s)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        notes = self.notes
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = f"{self.command} /{self.path.split('/')[1]}{'/{}' if self.path.count('/') > 1 else ''}"
        notes.seen.append(operation)
        notes.paths.append(self.path)
        pair = base64.b64encode(f"{USER['email']}:{USER['password']}".encode()).decode()
        if notes.fail[operation] > 0:
            notes.fail[operation] -= 1
            self._answer(500)
        elif self.path == "/ready":
            self._answer(200)
        elif self.headers.get("Authorization") != f"Basic {pair}":
            notes.refused += 1
            self._answer(401)
        else:
            self.notes.stopped.wait(notes.slow.get(operation, 0))
            made = self._of(operation, body)
            if notes.lose[operation] > 0:
                notes.lose[operation] -= 1
                self.close_connection = True
            else:
                self._answer(*made)

    do_POST = do_PUT = do_DELETE = do_PROPFIND = do_GET  # noqa: N815 - the base class defines the names

    def _of(self, operation: str, body: bytes) -> tuple[int, Any]:
        stored, path = self.notes.stored, self.path
        match operation:
            case "PROPFIND /notes":
                return 200, [note for key, note in list(stored.items()) if key.startswith("/notes/")]
            case "GET /count":
                return 200, len(stored)
            case "POST /notes":
                note = {**json.loads(body), "id": str(uuid.uuid4())}
                stored[f"/notes/{note['id']}"] = note
                return 201, note
            case "PUT /files/{}":
                known, stored[path] = path in stored, body.decode()
                return (204, None) if known else (201, {})
        if path not in stored:
            return 404, None
        if self.command == "DELETE":
            return (204, None) if stored.pop(path, None) is not None else (404, None)
        return 200, stored[path]

    def _answer(self, status: int, value: Any = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
