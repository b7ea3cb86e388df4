"""Short probes of servers over loopback, with the standard library only."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping

TIMEOUT_S = 2.0
"""The time that a busy process has to answer; a closed port refuses the connection at once."""


def http_status(port: int, path: str, host: str = "127.0.0.1") -> int | None:
    """Return the status of a GET on loopback with this Host header, or None if no server answers."""
    answer = http_answer(port, path, host)
    return None if answer is None else answer[0]


def http_answer(port: int, path: str, host: str) -> tuple[int, Mapping[str, str]] | None:
    """Return status and headers (lower-case names) of a GET on loopback with this Host header, or None (no answer)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


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
