"""Short probes of servers over loopback, with the standard library only."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Mapping
from typing import Any

TIMEOUT_S = 2.0
"""The time that a busy process has to answer; a closed port refuses the connection at once."""


def http_status(port: int, path: str, host: str = "127.0.0.1") -> int | None:
    """Return the status of a GET on loopback with this Host header, or None if no server answers."""
    answer = http_answer(port, path, host)
    return None if answer is None else answer[0]


def http_answer(port: int, path: str, host: str) -> tuple[int, Mapping[str, str]] | None:
    """Return status and headers (lower-case names) of a GET on loopback with this Host header, or None (no answer)."""
    try:
        response = get("127.0.0.1", port, path, {"Host": host}, TIMEOUT_S)
    except (OSError, http.client.HTTPException):
        return None
    return response.status, {name.lower(): value for name, value in response.getheaders()}


def get(host: str, port: int, path: str, headers: Mapping[str, str], timeout_s: float) -> http.client.HTTPResponse:
    """Send a GET and return the answer's status and headers, without its body.

    ``timeout_s`` limits the connecting, the sending, and the whole head of the answer. Raises TimeoutError, OSError,
    ``http.client.HTTPException``.
    """
    connection = _Connection(host, port, timeout_s)
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse()
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._deadline = time.monotonic() + timeout_s
        self.response_class = self._response  # type: ignore[assignment]  # a function that makes one

    def _response(self, sock: socket.socket, *options: Any, **named: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_UntilDeadline(sock, self._deadline), *options, **named)  # type: ignore[arg-type]  # makefile is all that it calls


class _UntilDeadline(io.RawIOBase):
    """Reads from a socket until a deadline on the monotonic clock; the time-out of a socket limits each single read only."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return this reader, as a socket's ``makefile`` returns one."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer and return the number of bytes. Raises TimeoutError at the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)


def says(port: int, question: bytes, answer: bytes) -> bool:
    """Return whether a TCP server's answer to `question` begins with `answer`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
            connection.sendall(question)
            return connection.recv(len(answer)) == answer
    except OSError:
        return False


def listens(port: int) -> bool:
    """Return whether a server accepts connections on the loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S):
            return True
    except OSError:
        return False


def is_free(port: int) -> bool:
    """Return whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
