"""A small real server on loopback that speaks the service's contract and fails on request."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from verification.declarative.service import load_service

SERVICE = load_service(Path(__file__).resolve().parents[2] / "suites" / "service.yaml", "suites/service.yaml")
"""The shipped description, which this server keeps."""
USER = {"email": "smoke-1@telehealth.example", "password": "canary-Pass/word+1"}


class Service:
    """The state of the server and its faults: ``fail`` maps an operation to a status, ``delays`` to seconds."""

    def __init__(self) -> None:
        self.consults: dict[str, dict[str, Any]] = {}
        self.tokens: set[str] = set()
        self.fail: dict[str, int] = {}
        self.delays: dict[str, float] = {}
        self.headers: dict[str, str] = {"X-Bg-Color": "blue", "X-Bg-Generation": "7"}
        self.version = "1.0.0"
        self.hosts: set[str] = set()
        self.ports: list[int] = []
        self.logins = 0
        self.seen: list[str] = []
        self.raw: bytes | None = None
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.service = self
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://api.telehealth.localhost:{self.port}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    service: Service

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: a client that closes its connection does not fail the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._route()

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base class defines the names

    def _route(self) -> None:
        service = self.server.service
        service.hosts.add(self.headers.get("Host", ""))
        service.ports.append(self.client_address[1])
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation, consult = _operation(self.command, self.path)
        service.seen.append(operation)
        time.sleep(service.delays.get(operation, 0))  # the service is slow; the test does not wait here
        status = service.fail.get(operation)
        if service.raw is not None:
            self.wfile.write(service.raw)
            self.close_connection = True
        elif status is not None:
            self._answer(status, {"title": "broken", "status": status}, "application/problem+json")
        elif operation not in _OPEN and self.headers.get("Authorization", "")[7:] not in service.tokens:
            self._answer(401, {"title": "no token", "status": 401}, "application/problem+json")
        else:
            self._answer(*_answer(service, operation, consult, json.loads(body or b"null")))

    def _answer(self, status: int, value: Any, content_type: str = "application/json") -> None:
        body = b"" if status == 204 else json.dumps(value).encode()
        self.send_response(status)
        for name, text in self.server.service.headers.items():
            self.send_header(name, text)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_PATHS = {
    "/health": "health",
    "/health/database": "healthDatabase",
    "/health/redis": "healthRedis",
    "/auth/login": "login",
    "/auth/logout": "logout",
}
_OPEN = {"health", "healthDatabase", "healthRedis", "login"}


def _operation(method: str, path: str) -> tuple[str, str]:
    path = path.partition("?")[0]
    if path in _PATHS:
        return _PATHS[path], ""
    match = re.fullmatch(r"/consults/(.+)", path)
    if match:
        return {"GET": "readConsult", "DELETE": "cancelConsult"}[method], match[1]
    return {"GET": "listConsults", "POST": "createConsult"}[method], ""


def _answer(service: Service, operation: str, consult: str, value: Any) -> tuple[int, Any]:
    if operation == "health":
        return 200, {"status": "ok", "version": service.version}
    if operation in {"healthDatabase", "healthRedis"}:
        return 200, {"status": "ok", "latency_ms": 0.1}
    if operation == "logout":
        return 204, None
    if operation == "login":
        service.logins += 1
        if value != USER:
            return 401, {"title": "no", "status": 401}
        token = f"token-{uuid.uuid4()}"
        service.tokens.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
    if operation == "createConsult":
        entry = {**value, "id": str(uuid.uuid4()), "status": "booked", "created_at": "2026-01-01T00:00:00Z"}
        service.consults[entry["id"]] = entry
        return 201, entry
    if operation == "listConsults":
        return 200, {"items": list(service.consults.values()), "next_cursor": None}
    if consult not in service.consults:
        return 404, {"title": "none", "status": 404}
    return (204, service.consults.pop(consult)) if operation == "cancelConsult" else (200, service.consults[consult])
