"""A reverse proxy on loopback in front of AWS's stand-ins: it injects one of six faults into the calls of one operation."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers, body."""
HELD_S = 3.0
"""The longest delay of a slow answer in seconds: longer than a hasty client waits."""


class Fault(StrEnum):
    """The faults that a call can have."""

    THROTTLED = "throttled"
    FAILED = "500"
    RESET_BEFORE = "reset before it took effect"
    RESET_AFTER = "reset after it took effect"
    SLOW = "an answer slower than the read timeout"
    CONFLICT = "a concurrent writer"


@dataclass
class Armed:
    """The fault of the next ``times`` calls of ``operation``."""

    operation: str
    fault: Fault
    times: int
    conflict: str
    intrude: Callable[[], None] | None = None


class Proxy:
    """Forwards to ``upstream``; ``seen`` counts the calls by operation, ``injected`` counts those with a fault."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.seen: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.armed: Armed | None = None
        self.disarmed = threading.Event()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Serve while the block runs."""
        self._thread.start()
        try:
            yield self
        finally:
            self.disarmed.set()
            self._server.shutdown()
            self._server.server_close()

    @contextmanager
    def injecting(self, armed: Armed) -> Iterator[None]:
        """Inject the fault while the block runs."""
        self.seen.clear()
        self.injected.clear()
        self.disarmed.clear()
        self.armed = armed
        try:
            yield
        finally:
            self.armed = None
            self.disarmed.set()

    def take(self, operation: str) -> Armed | None:
        """Return the fault for this call, or None."""
        self.seen[operation] += 1
        armed = self.armed
        if armed is None or armed.operation != operation or self.injected[operation] >= armed.times:
            return None
        self.injected[operation] += 1
        return armed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: clients that disconnect are part of these tests."""


def operation_of(method: str, path: str, target: str, body: bytes) -> str:
    """Return the operation's name, from the target header, the form, or method and path."""
    if target:
        return target.rpartition(".")[2]
    if b"Action=" in body:
        return parse_qs(body.decode())["Action"][0]
    if path.startswith("/key-value-stores/"):
        keys = re.search(r"/keys(/.+)?$", path)
        return "DescribeKeyValueStore" if keys is None else "GetKey" if keys[1] else "UpdateKeys"
    if path.startswith("/2013-04-01/"):  # Route 53
        if path.startswith("/2013-04-01/change/"):
            return "GetChange"
        if path.startswith("/2013-04-01/healthcheck/"):
            return "GetHealthCheckStatus"
        return {"GET": "ListResourceRecordSets", "POST": "ChangeResourceRecordSets"}[method]
    if "list-type=2" in path:
        return "ListObjectsV2"
    return {"PUT": "PutObject", "GET": "GetObject"}[method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = operation_of(self.command, self.path, self.headers.get("X-Amz-Target", ""), body)
        armed = self.server.proxy.take(operation)
        if armed is None:
            self._answer(*self._forward(body))
            return
        if armed.intrude is not None:
            armed.intrude()
        if armed.fault is Fault.RESET_BEFORE:
            self._reset()
        elif armed.fault in (Fault.RESET_AFTER, Fault.SLOW):
            answer = self._forward(body)
            if armed.fault is Fault.SLOW:
                self.server.proxy.disarmed.wait(HELD_S)
                self._answer(*answer)
            self._reset()
        elif armed.fault is Fault.CONFLICT and armed.intrude is not None:
            self._answer(*self._forward(body))
        else:
            self._answer(*self._error(armed))

    do_GET = do_POST = do_PUT = _serve  # noqa: N815  # the names that the standard library requires

    def _forward(self, body: bytes) -> Answer:
        upstream = http.client.HTTPConnection(self.server.proxy.upstream, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()

    def _error(self, armed: Armed) -> Answer:
        """Return the error in the call's protocol: JSON, XML as S3 writes it, or XML as other services write it."""
        status, code = {
            Fault.THROTTLED: (400, "ThrottlingException"),
            Fault.FAILED: (500, "InternalServerError"),
            Fault.CONFLICT: (409 if "Conflict" in armed.conflict else 400, armed.conflict),
        }[armed.fault]
        if self.headers.get("X-Amz-Target") or self.path.startswith("/key-value-stores/"):
            text = json.dumps({"__type": code, "message": "injected"})
            return status, [("x-amzn-ErrorType", code), ("Content-Type", "application/json")], text.encode()
        error = f"<Error><Code>{code}</Code><Message>injected</Message></Error>"
        if armed.operation not in ("PutObject", "GetObject", "ListObjectsV2"):
            error = f"<ErrorResponse>{error}</ErrorResponse>"
        return status, [("Content-Type", "text/xml")], error.encode()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
