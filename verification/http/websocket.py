"""A WebSocket conversation, by the client of the library websockets, with the route, the limits and the record of a check's client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import httpx

from verification.http.answer_limits import AnswerLimits
from verification.http.client import Exchange, RecordingClient
from verification.http.loopback import address_of, tls_context

if TYPE_CHECKING:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import ClientConnection

METHOD = "WEBSOCKET"
"""The method of a message in the record; its status is that of the handshake, or none without an answer."""
CLOSE_S = 1.0
"""So long a service may take to answer the closing of a connection."""
_TOO_BIG = 1009
# Headers of the client that the handshake sets itself, or that say how an HTTP body may be encoded.
_OF_HTTP = frozenset({"host", "accept", "accept-encoding", "connection", "user-agent"})


class ConversationFailed(AssertionError):
    """The service refused a handshake, sent no message or closed the connection; the text names the request and the reason."""


class Conversation:
    """An open connection: ``send``, ``receive`` and ``ask``. Its ``subprotocol`` is the one that the service chose, None without one."""

    def __init__(
        self,
        connection: ClientConnection,
        client: RecordingClient,
        path: str,
        answers: AnswerLimits,
        *,
        write_s: float,
    ) -> None:
        """``write_s``: so long the service may take to read a message."""
        self._connection = connection
        self._write_s = write_s
        self._client = client
        self._path = path
        self._answers = answers

    @property
    def subprotocol(self) -> str | None:
        """Return the subprotocol that the service chose."""
        return self._connection.subprotocol

    def send(self, message: str | bytes) -> None:
        """Send a message: a text or bytes. Raises ConversationFailed if the connection is closed or the service takes no data."""
        from websockets.exceptions import ConnectionClosed

        late = threading.Event()

        def give_up() -> None:
            late.set()
            with suppress(OSError):  # it is closed already
                self._connection.socket.shutdown(socket.SHUT_RDWR)

        # The library itself limits no writing, and over TLS it removes the limit of the socket.
        timer = threading.Timer(self._write_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            self._connection.send(message)
        except ConnectionClosed as closed:
            problem = self._too_large() or _reason(closed)
            if late.is_set() or isinstance(closed.__cause__, TimeoutError):
                problem = f"the service did not take the message within {self._write_s:g} s"
            raise ConversationFailed(f"{self._name}: {problem}") from None
        finally:
            timer.cancel()

    def receive(self, within_s: float | None = None) -> str | bytes:
        """Return the next message. Raises ConversationFailed if none comes within ``within_s`` (default: the request deadline)."""
        from websockets.exceptions import ConnectionClosed

        limit_s = min(within_s or self._answers.deadline_s, self._answers.deadline_s)
        problem: str | None = None
        at, begin = time.time(), time.perf_counter()
        try:
            return self._connection.recv(timeout=limit_s)
        except TimeoutError:
            problem = self._too_large() or f"no message within {limit_s:g} s"
        except ConnectionClosed as closed:
            problem = self._too_large() or _reason(closed)
        except UnicodeDecodeError:
            problem = "the message is a text that is not UTF-8"
        finally:
            elapsed_ms = (time.perf_counter() - begin) * 1000
            status = 101 if problem is None else None
            self._client.record(Exchange(METHOD, self._path, status, elapsed_ms, at, problem, True))
        raise ConversationFailed(f"{self._name}: {problem}")

    def ask(self, message: str | bytes, within_s: float | None = None) -> str | bytes:
        """Send a message and return the next one. Raises ConversationFailed."""
        self.send(message)
        return self.receive(within_s)

    def _too_large(self) -> str | None:
        """Return the problem if the library has closed the connection because of a message's size; the service may not know it yet."""
        closing = self._connection.protocol.close_sent
        if closing is None or closing.code != _TOO_BIG:
            return None
        return self._answers.too_large.replace("answer", "message", 1)

    @property
    def _name(self) -> str:
        return f"{METHOD} {self._path}"


@contextmanager
def open_websocket(
    client: RecordingClient,
    path: str,
    answers: AnswerLimits,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
) -> Iterator[Conversation]:
    """Yield a conversation with the release that ``client`` asks, and close it. ``path`` begins with ``/`` and may have a query.

    Raises ConversationFailed if the service refuses the handshake or does not answer before the request deadline.
    """
    url = client.base_url.join(path)
    shown = url.path
    at, begin = time.time(), time.perf_counter()
    status: int | None = None
    problem: str | None = None
    with ExitStack() as opened:
        try:
            connection = opened.enter_context(_connect(client, url, answers, headers or {}, subprotocols))
            status = 101
        except _Refused as refused:
            status, problem = refused.status, str(refused)
            raise ConversationFailed(f"GET {shown}: {problem}") from None
        finally:
            elapsed_ms = (time.perf_counter() - begin) * 1000
            client.record(Exchange("GET", shown, status, elapsed_ms, at, problem, False))
        yield Conversation(connection, client, shown, answers, write_s=_step_s(client, answers))


class _Refused(Exception):
    def __init__(self, problem: str, status: int | None = None) -> None:
        super().__init__(problem)
        self.status = status


@contextmanager
def _connect(
    client: RecordingClient, url: httpx.URL, answers: AnswerLimits, own: Mapping[str, str], subprotocols: Sequence[str]
) -> Iterator[ClientConnection]:
    """Yield the open connection, and close it. Raises _Refused."""
    from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    secure = url.scheme == "https"
    names = {name.lower() for name in own}
    more = {name: value for name, value in client.headers.items() if name not in _OF_HTTP and name not in names} | dict(
        own
    )
    host = client.headers.get("host") or url.netloc.decode("ascii")
    timeout_s = _step_s(client, answers)
    until = time.monotonic() + answers.deadline_s
    with ExitStack() as opened:
        stream: socket.socket | None = None
        try:
            stream = socket.create_connection((address_of(url.host), url.port or (443 if secure else 80)), timeout_s)
            # The library takes the Host header from the address; the connection itself is already open.
            asked = connect(
                f"{'wss' if secure else 'ws'}://{host}{url.raw_path.decode('ascii')}",
                sock=stream,
                ssl=tls_context(None) if secure else None,
                server_hostname=(client.tls_name or url.host) if secure else None,
                additional_headers=more,
                user_agent_header=None,
                subprotocols=[Subprotocol(one) for one in subprotocols] or None,
                open_timeout=max(0.001, until - time.monotonic()),
                close_timeout=CLOSE_S,
                max_size=answers.largest,
                proxy=None,
            )
            connection = opened.enter_context(asked)
        except InvalidStatus as refused:
            status = refused.response.status_code
            raise _closed(stream, f"status {status}, expected 101 (switching protocols)", status) from None
        except TimeoutError:
            raise _closed(stream, f"no answer to the handshake ({answers.too_slow})") from None
        except (InvalidMessage, EOFError, OSError) as error:
            raise _closed(stream, f"no answer to the handshake ({type(error).__name__})") from None
        except InvalidHandshake as error:
            raise _closed(stream, f"the handshake is not a WebSocket's: {error}") from None
        yield connection


def _closed(stream: socket.socket | None, problem: str, status: int | None = None) -> _Refused:
    if stream is not None:
        stream.close()
    return _Refused(problem, status)


def _step_s(client: RecordingClient, answers: AnswerLimits) -> float:
    """Return the time-out in seconds of a single step: connecting, or sending a message."""
    return min(client.timeout.connect or answers.deadline_s, answers.deadline_s)


def _reason(closed: ConnectionClosed) -> str:
    if closed.rcvd is None:
        return "the service ended the connection without closing it"
    return f"the service closed the connection with code {closed.rcvd.code}"
