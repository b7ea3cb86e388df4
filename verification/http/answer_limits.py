"""Limits the size of an answer and its whole time, so that no release can fill the memory or block a run."""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore
import httpx

from verification.http.decoding import ENCODINGS, MOST_ENCODINGS, Meter, TooLarge


@dataclass(frozen=True)
class AnswerLimits:
    """Limits of one answer: ``largest`` in bytes, of the encoded and of the decoded body; ``deadline_s`` from the request to the body's end."""

    largest: int = 16_000_000
    deadline_s: float = 30.0

    @classmethod
    def of(cls, megabytes: float, deadline_s: float) -> AnswerLimits:
        """Return the limits for the settings ``largest_answer`` (MB) and ``request_deadline`` (seconds)."""
        return cls(int(megabytes * 1_000_000), deadline_s)

    @property
    def too_large(self) -> str:
        """Return the message for an answer above the size, with the name of the setting."""
        return f"the answer is larger than {self.largest / 1e6:g} MB (largest_answer in [deployment])"

    @property
    def too_slow(self) -> str:
        """Return the message for an answer after the deadline, with the name of the setting."""
        return f"no complete answer within {self.deadline_s:g} s (request_deadline in [deployment])"


class AnswerTooLarge(httpx.ReadError):
    """The body is larger than allowed; the text names request, limit and setting."""


class AnswerTooSlow(httpx.ReadTimeout):
    """The answer was not complete at the deadline; the text names request, limit and setting."""


class UnreadableEncoding(httpx.ReadError):
    """The body has an encoding that the client did not ask for, or that its header does not name."""


class _Running(threading.local):
    """The deadline of the request that this thread is sending, on the monotonic clock."""

    until: float | None = None


class LimitedTransport(httpx.HTTPTransport):
    """Sends a request and ends it at the deadline, also in the middle of the answer; limits the size of the body.

    Raises AnswerTooLarge, AnswerTooSlow, UnreadableEncoding besides the exceptions of ``httpx.HTTPTransport``.
    """

    def __init__(self, verify: ssl.SSLContext, limits: httpx.Limits, answers: AnswerLimits) -> None:
        super().__init__(verify=verify, trust_env=False, retries=0, limits=limits)
        self._answers = answers
        self._running = _Running()
        # httpx limits each single read; only the network layer below it can limit their sum.
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            retries=0,
            network_backend=_Network(self._running),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, with the limits and exceptions of the class."""
        name = f"{request.method} {request.url.path}"
        until = time.monotonic() + self._answers.deadline_s
        with self._until(until, name):
            response = super().handle_request(request)
        try:
            meter = Meter(response.headers.get_list("content-encoding", split_commas=True), self._answers.largest)
        except ValueError as error:
            response.close()
            raise UnreadableEncoding(
                f"{name}: the answer's encoding is {error}, expected at most {MOST_ENCODINGS} of {ENCODINGS}"
            ) from None
        response.stream = _Body(response.stream, self, meter, (until, name))
        return response

    @contextmanager
    def _until(self, until: float, name: str) -> Iterator[None]:
        """Set the deadline of this thread. Raises AnswerTooSlow, with ``name``, instead of a time-out at the deadline."""
        self._running.until = until
        try:
            yield
        except httpx.TimeoutException as error:
            if time.monotonic() < until:
                raise
            raise AnswerTooSlow(f"{name}: {self._answers.too_slow}") from error
        finally:
            self._running.until = None

    def pieces(self, body: Iterable[bytes], meter: Meter, request: tuple[float, str]) -> Iterator[bytes]:
        """Yield a body's pieces while they keep the limits; ``request`` is the deadline and the name.

        Raises AnswerTooLarge, AnswerTooSlow, UnreadableEncoding.
        """
        until, name = request
        pieces = iter(body)
        while True:
            with self._until(until, name):
                piece = next(pieces, None)
            try:
                if piece is None:
                    meter.finish()
                    return
                meter.feed(piece)
            except TooLarge:
                raise AnswerTooLarge(f"{name}: {self._answers.too_large}") from None
            except zlib.error as error:
                raise UnreadableEncoding(f"{name}: the answer is not encoded as its header says: {error}") from None
            yield piece


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: object, transport: LimitedTransport, meter: Meter, request: tuple[float, str]) -> None:
        assert isinstance(inner, httpx.SyncByteStream), "the client is not asynchronous"
        self._inner = inner
        self._transport = transport
        self._meter = meter
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        yield from self._transport.pieces(self._inner, self._meter, self._request)

    def close(self) -> None:
        self._inner.close()


class _Network(httpcore.NetworkBackend):
    """Connections whose every step ends at the thread's deadline."""

    def __init__(self, running: _Running) -> None:
        self._inner = httpcore.SyncBackend()
        self._running = running

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._running, timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options), self._running)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, running: _Running) -> None:
        self._inner = inner
        self._running = running

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._running, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._running, timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._running, timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._running)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


def _left(running: _Running, timeout: float | None, late: type[Exception]) -> float | None:
    """Return the seconds that the next step may take. Raises ``late`` after the deadline."""
    if running.until is None:
        return timeout
    left = running.until - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left if timeout is None else min(left, timeout)
