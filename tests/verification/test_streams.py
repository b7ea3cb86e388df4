"""Server-sent events and WebSockets in checks: good services, and each kind of broken one."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from verification.http import websocket
from verification.http.answer_limits import AnswerLimits, AnswerTooLarge, AnswerTooSlow
from verification.http.client import Exchange, RecordingClient, open_client
from verification.http.events import EventsMissing, read_events
from verification.http.route import DIRECT, Route
from verification.http.websocket import Conversation, ConversationFailed, open_websocket

LIMITS = AnswerLimits(largest=20_000, deadline_s=0.5)
PATIENT = AnswerLimits(largest=20_000, deadline_s=20.0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
Speak = Callable[[socket.socket, bytes], None]


class Service:
    """Answers each connection with ``speak``, which gets the head of the request; it notes the heads."""

    def __init__(self, speak: Speak) -> None:
        self.heads: list[bytes] = []
        self._speak = speak
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            try:
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(4096)):
                    head += piece
                self.heads.append(head)
                self._speak(connection, head)
            except OSError:
                continue  # the client has closed the connection

    def stop(self) -> None:
        """Close every connection."""
        if self._listening.fileno() >= 0:  # a test may stop it before its end
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        for connection in self._connections:
            connection.close()
        self._thread.join()


@pytest.fixture(autouse=True)
def soon_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The services here never answer the closing of a WebSocket."""
    monkeypatch.setattr(websocket, "CLOSE_S", 0.1)


@pytest.fixture
def serve() -> Iterator[Callable[[Speak], Service]]:
    with ExitStack() as stack:

        def start(speak: Speak) -> Service:
            service = Service(speak)
            stack.callback(service.stop)
            return service

        yield start


class Asked:
    """A client of a service, and the exchanges that it recorded."""

    def __init__(self, service: Service, answers: AnswerLimits = PATIENT, route: Route = DIRECT) -> None:
        self.recorded: list[Exchange] = []
        self.answers = answers
        self._opened = ExitStack()
        self.client = open_client(
            service.url, timeout_s=20.0, on_exchange=self.recorded.append, answers=answers, route=route
        )

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
        self.client.close()

    def websocket(self, path: str = "/chat", **options: object) -> Conversation:
        """Return an open conversation; it is closed with the client."""
        assert isinstance(self.client, RecordingClient)
        return self._opened.enter_context(open_websocket(self.client, path, self.answers, **options))  # type: ignore[arg-type]


def saying(*pieces: bytes, stay: bool = False) -> Speak:
    def speak(connection: socket.socket, head: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)
        if not stay:
            connection.close()

    return speak


# -- server-sent events ----------------------------------------------------------------------------------------------------


def test_events_are_read_until_there_are_enough(serve: Callable[[Speak], Service]) -> None:
    body = b': hello\n\nid: 7\nevent: price\ndata: {"eur": 3}\n\ndata: two\ndata: lines\n\n'
    service = serve(saying(HEAD, body, stay=True))  # the service never ends the stream
    with Asked(service, route=Route((("X-Release", "candidate"),), "api.example.com")) as asked:
        first, second = read_events(asked.client, "/feed?topic=a", 2, headers={"Authorization": "Bearer canary"})
    assert (first.name, first.id, first.json()) == ("price", "7", {"eur": 3})
    assert (second.name, second.data) == ("message", "two\nlines")
    (exchange,) = asked.recorded
    assert (exchange.method, exchange.path, exchange.status) == ("GET", "/feed", 200)
    head = service.heads[0].decode().lower()
    assert "host: api.example.com" in head
    assert "x-release: candidate" in head
    assert "accept: text/event-stream" in head
    assert "authorization: bearer canary" in head


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((HEAD.replace(b"200 OK", b"503 Busy"),), "GET /feed: status 503, expected 200"),
        ((HEAD.replace(b"text/event-stream", b"application/json"), b"{}"), "content type application/json"),
        ((HEAD,), "the stream ended after 0 events, expected 2"),
        ((HEAD, b"data: one\n\n", b"data: half"), "the stream ended after 1 events, expected 2"),
    ],
    ids=["status", "content type", "closes at once", "ends too early"],
)
def test_a_broken_stream_fails(serve: Callable[[Speak], Service], pieces: tuple[bytes, ...], expected: str) -> None:
    with Asked(serve(saying(*pieces))) as asked, pytest.raises(EventsMissing, match=expected):
        read_events(asked.client, "/feed", 2)
    assert len(asked.recorded) == 1


def test_an_endless_stream_without_events_ends_at_the_deadline(serve: Callable[[Speak], Service]) -> None:
    def speak(connection: socket.socket, head: bytes) -> None:
        connection.sendall(HEAD)
        while True:
            connection.sendall(b": still here\n")
            threading.Event().wait(0.02)

    with Asked(serve(speak), LIMITS) as asked, pytest.raises(AnswerTooSlow, match="request_deadline"):
        read_events(asked.client, "/feed")


def test_no_answer_and_a_too_large_event_fail(serve: Callable[[Speak], Service]) -> None:
    with Asked(serve(saying(stay=True)), LIMITS) as asked, pytest.raises(AnswerTooSlow):
        read_events(asked.client, "/feed")
    assert asked.recorded[0].status is None
    endless = saying(HEAD, b"data: ", *[b"x" * 10_000] * 3, stay=True)
    with Asked(serve(endless), PATIENT) as asked, pytest.raises(AnswerTooLarge, match="largest_answer"):
        read_events(asked.client, "/feed")


def test_data_that_are_not_json_fail_without_a_secret(serve: Callable[[Speak], Service]) -> None:
    with Asked(serve(saying(HEAD, b"data: password=canary-secret-1 and more\n\n", stay=True))) as asked:
        (event,) = read_events(asked.client, "/feed")
    with pytest.raises(EventsMissing, match="are not JSON") as failed:
        event.json()
    assert "canary" not in str(failed.value)


# -- WebSockets ------------------------------------------------------------------------------------------------------------


def accept(head: bytes, more: bytes = b"") -> bytes:
    """Return the answer to a handshake (RFC 6455, 4.2.2)."""
    key = (
        next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        .split(b":")[1]
        .strip()
    )
    proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324  # the standard's
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return answer + proof + b"\r\n" + more + b"\r\n"


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """Return an unmasked frame."""
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + payload


def talking(*frames: bytes, protocol: bytes = b"", stay: bool = True) -> Speak:
    """Return a service that accepts the handshake, waits for a message and sends the frames."""

    def speak(connection: socket.socket, head: bytes) -> None:
        connection.sendall(accept(head, protocol))
        if stay:
            connection.recv(4096)
        for one in frames:
            connection.sendall(one)
        if not stay:
            connection.close()

    return speak


def test_a_message_there_and_back(serve: Callable[[Speak], Service]) -> None:
    service = serve(talking(frame(b"pong"), frame(b"\x01\x02", 2), protocol=b"Sec-WebSocket-Protocol: chat.v2\r\n"))
    with Asked(service, route=Route((("X-Release", "candidate"),), "api.example.com")) as asked:
        assert isinstance(asked.client, RecordingClient)
        options = {"headers": {"Authorization": "Bearer canary"}, "subprotocols": ["chat.v1", "chat.v2"]}
        with open_websocket(asked.client, "/chat?room=1", asked.answers, **options) as chat:  # type: ignore[arg-type]
            assert chat.ask("ping") == "pong"
            assert chat.receive() == b"\x01\x02"
            assert chat.subprotocol == "chat.v2"
    assert [(one.method, one.path, one.status) for one in asked.recorded] == [
        ("GET", "/chat", 101),
        ("WEBSOCKET", "/chat", 101),
        ("WEBSOCKET", "/chat", 101),
    ]
    head = service.heads[0].decode().lower()
    assert head.startswith("get /chat?room=1 http/1.1")
    assert head.count("host:") == 1
    assert "host: api.example.com" in head
    assert "x-release: candidate" in head
    assert "authorization: bearer canary" in head


@pytest.mark.parametrize(
    ("speak", "status", "expected"),
    [
        (saying(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), 403, "status 403, expected 101"),
        (saying(HEAD), 200, "status 200, expected 101"),
        (saying(), None, "no answer to the handshake"),
        (saying(b"not HTTP at all\r\n\r\n"), None, "no answer to the handshake"),
        (
            saying(b"HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
            None,
            "the handshake is not a WebSocket's",
        ),
    ],
    ids=["refused", "an ordinary answer", "closes at once", "no HTTP", "another protocol"],
)
def test_a_broken_handshake_fails(
    serve: Callable[[Speak], Service], speak: Speak, status: int | None, expected: str
) -> None:
    with Asked(serve(speak)) as asked, pytest.raises(ConversationFailed, match=f"GET /chat: {expected}"):
        asked.websocket()
    (exchange,) = asked.recorded
    assert exchange.status == status
    assert exchange.problem is not None


def test_a_handshake_without_an_answer_ends_at_the_deadline(serve: Callable[[Speak], Service]) -> None:
    with Asked(serve(saying(stay=True)), LIMITS) as asked, pytest.raises(ConversationFailed, match="request_deadline"):
        asked.websocket()


def test_a_service_that_is_gone_fails_the_handshake(serve: Callable[[Speak], Service]) -> None:
    service = serve(saying())
    service.stop()
    with Asked(service) as asked, pytest.raises(ConversationFailed, match="ConnectionRefusedError"):
        asked.websocket()


@pytest.mark.parametrize(
    ("frames", "stay", "expected"),
    [
        ((), True, "no message within 0.5 s"),
        ((frame(b"\x03\xe9", 8),), False, "the service closed the connection with code 1001"),
        ((), False, "the service ended the connection without closing it"),
        ((frame(b"x" * 30_000),), True, r"the message is larger than 0.02 MB \(largest_answer"),
        ((b"\x01\x7e\x3a\x98" + b"x" * 15_000, b"\x00\x7e\x3a\x98" + b"x" * 15_000), True, "larger than 0.02 MB"),
        ((frame(b"", 9), frame(b"", 9)), True, "no message within"),
    ],
    ids=["no message", "closes", "ends", "too large", "too large in parts", "only pings"],
)
def test_a_broken_conversation_fails(
    serve: Callable[[Speak], Service], frames: tuple[bytes, ...], stay: bool, expected: str
) -> None:
    with Asked(serve(talking(*frames, stay=stay)), LIMITS) as asked:
        chat = asked.websocket()
        with pytest.raises(ConversationFailed, match=f"WEBSOCKET /chat: .*{expected}"):
            chat.ask("ping")
    assert all(one.status is None for one in asked.recorded[1:])


@pytest.mark.parametrize("message", ["x" * 12_000_000, b"x" * 16_000_000], ids=["text", "bytes"])
def test_a_service_that_does_not_read_is_not_said_to_have_ended_the_connection(
    serve: Callable[[Speak], Service], message: str | bytes
) -> None:
    with Asked(serve(accepting_only), LIMITS) as asked:
        chat = asked.websocket()
        with pytest.raises(ConversationFailed, match=r"/chat: the service did not take the message within 0.5 s$"):
            chat.send(message)


def accepting_only(connection: socket.socket, head: bytes) -> None:
    """Accept the handshake and read nothing; the fixture closes the connection."""
    connection.sendall(accept(head))


def test_a_large_message_that_the_service_reads_is_sent(serve: Callable[[Speak], Service]) -> None:
    def read(connection: socket.socket, head: bytes) -> None:
        connection.sendall(accept(head))
        left = 3_000_000
        while left > 0 and (piece := connection.recv(65_536)):
            left -= len(piece)
        connection.sendall(frame(b"thanks"))

    with Asked(serve(read), PATIENT) as asked:
        assert asked.websocket().ask(b"x" * 3_000_000) == "thanks"
