"""Sends one HTTP request on one connection, cheap enough for a prober: ``http.client``, no pool, no retries."""

from __future__ import annotations

import http.client
import io
import re
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from verification.http.loopback import address_of
from verification.http.route import DIRECT, Route

LARGEST_BODY = 16_000_000
"""The default limit of a body, in bytes. Nothing is decoded here, and the request asks for no encoding."""
_PIECE = 65_536


class WireTimeout(Exception):
    """The answer was not complete in time."""


class TooLargeOnTheWire(http.client.HTTPException):
    """The answer's body is larger than allowed; the text names the limit and the setting."""


class NotSendable(http.client.HTTPException):
    """A header or the path has a character that HTTP does not allow there; the text does not quote it."""


FAILURES = (WireTimeout, OSError, http.client.HTTPException)
"""The exceptions that ``Connection.ask`` raises."""


@dataclass(frozen=True)
class Answer:
    """Status, headers and the whole body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Connection:
    """A connection to one origin. It connects to 127.0.0.1 for ``*.localhost``; the Host header and TLS name are the route's or the URL's."""

    def __init__(
        self,
        base_url: str,
        context: ssl.SSLContext | None,
        timeout_s: float,
        largest: int = LARGEST_BODY,
        route: Route = DIRECT,
    ) -> None:
        """``timeout_s`` limits a request from connecting to the answer's last byte, ``largest`` the body's bytes."""
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._largest = largest
        kind = _Secure if parts.scheme == "https" else _Plain
        self._route = route
        self._http = kind(host, port, timeout_s, context)
        self._http.tls_name = route.tls_name or host

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """Send a request and return the whole answer.

        Raises NotSendable, TooLargeOnTheWire, WireTimeout, OSError, ``http.client.HTTPException``.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            self._http.deadline = deadline
            if self._http.sock is None:
                self._http.connect()
            sock = self._http.sock
            assert sock is not None, "connected just now"
            sock.settimeout(_left(deadline))
            try:
                self._http.request(method, self._prefix + path, body=body, headers=self._route.beside(headers))
            except (ValueError, http.client.InvalidURL):  # UnicodeEncodeError is a ValueError
                raise NotSendable("a character in a header or the path is not allowed by HTTP") from None
            response = self._http.getresponse()
            try:
                return Answer(response.status, response.headers, _body(response, self._largest))
            finally:
                response.close()
        except TimeoutError as exc:
            raise WireTimeout(f"no complete answer within {self._timeout_s:g} s") from exc

    @property
    def usable(self) -> bool:
        """Return whether another request may use this connection: it is open and has nothing to read (not even an end of file).

        Every client checks this before it sends: a connection that the server closed while idle is not a failed
        request.
        """
        sock = self._http.sock
        if sock is None:
            return False
        try:
            poller = select.poll()  # select() cannot take descriptors past 1023
            poller.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
            return not poller.poll(0)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close the connection. May be called again."""
        self._http.close()


def head_over(connected: socket.socket, host: str, port: int, timeout_s: float) -> http.client.HTTPResponse:
    """Send ``GET /`` over an open socket and return the answer's status and headers, without its body.

    ``timeout_s`` limits the request and the whole head. Raises TimeoutError, OSError, ``http.client.HTTPException``.
    """
    connection = _Plain(host, port, timeout_s, None)
    connection.sock = connected
    connected.settimeout(timeout_s)
    connection.request("GET", "/")
    response = connection.getresponse()
    response.close()  # the caller closes the socket
    return response


def number_of(text: str | None) -> int | None:
    """Return the number in a header; None without one, or if it has more than 18 digits."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None


class _Plain(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, timeout_s: float, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self.deadline = time.monotonic() + timeout_s
        self._tls = context
        self.tls_name = host
        self.response_class = self._response  # type: ignore[assignment]  # a function that makes one

    def _response(self, sock: socket.socket, *options: Any, **named: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Paced(sock, self.deadline), *options, **named)  # type: ignore[arg-type]  # makefile is all that it calls

    def connect(self) -> None:
        """Connect to the address of the host."""
        self.sock = socket.create_connection((address_of(self.host), self.port), _left(self.deadline))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Secure(_Plain):
    default_port = 443

    def connect(self) -> None:
        """Connect to the address of the host, with TLS under the URL's own host name."""
        super().connect()
        assert self._tls is not None, "an https origin has a context"
        plain = self.sock
        plain.settimeout(_left(self.deadline))
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.tls_name)
        except BaseException:
            plain.close()
            raise


class _Paced(io.RawIOBase):
    """Reads from a socket until the deadline, also the lines of the head, which ``http.client`` reads byte by byte."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return this reader, as a socket's ``makefile`` returns one."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into a buffer and return the number of bytes. Raises TimeoutError at the deadline."""
        self._sock.settimeout(_left(self._deadline))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the reader; the socket itself closes once its connection has closed it, too."""
        if not self.closed:
            self._raw.close()
        super().close()


def _body(response: http.client.HTTPResponse, largest: int) -> bytes:
    """Return the whole body, also if it arrives slowly.

    Raises TimeoutError at the deadline, TooLargeOnTheWire above ``largest`` bytes, IncompleteRead if the body was cut
    short.
    """
    pieces: list[bytes] = []
    size = 0
    while not response.isclosed():
        piece = response.read1(_PIECE)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
        if size > largest:
            raise TooLargeOnTheWire(f"the answer is larger than {largest / 1e6:g} MB (largest_answer in [deployment])")
    if response.length:  # read1, unlike read, does not report a body that is shorter than its Content-Length
        raise http.client.IncompleteRead(b"".join(pieces), response.length)
    return b"".join(pieces)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
