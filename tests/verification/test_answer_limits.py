"""Answers without an end, without a size, or too slow: the client ends them at its limits, in little memory."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from deployment.settings import load
from infrastructure.colour_addresses import ColourAddresses
from infrastructure.description import service_of
from infrastructure.embedded.aws.apprunner.health import HealthCheck, wait_until_healthy
from infrastructure.embedded.aws.elbv2.health import probe
from infrastructure.embedded.aws.elbv2.records import Address
from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.processes import probes
from plugins.fixtures import Session as Deployment
from plugins.modes import early_verdict
from plugins.modes.early_verdict import EarlyVerdict
from plugins.recorder import Recorder
from plugins.run import coordinator_key
from plugins.state import Release, State
from plugins.traffic import prober_config
from tests.checkout import CHECKOUT
from verification.contract.leaks import leaks
from verification.http.answer_limits import AnswerLimits, AnswerTooLarge, AnswerTooSlow, UnreadableEncoding
from verification.http.client import open_client
from verification.http.raw_http import LARGEST_BODY as PROBERS_LARGEST
from verification.http.raw_http import Connection, TooLargeOnTheWire, WireTimeout
from verification.http.text_body import text_of
from verification.journeys.accounts import SmokeUser
from verification.latency.budget_watch import OverBudget, Suspect
from verification.latency.plan import LatencyPlan

ROOT = Path(__file__).resolve().parents[2]
OK = b"HTTP/1.1 200 OK\r\n"
MEGABYTE = bytes(1_000_000)
MOST_MEMORY_MB = 160
ENDLESS_S = 20
Send = Callable[[bytes], None]


def zeros(wbits: int) -> bytes:
    """200 MB of zeros, packed: gzip (31), zlib's format (15), bare deflate (-15)."""
    packer = zlib.compressobj(1, wbits=wbits)
    return b"".join(packer.compress(MEGABYTE) for _ in range(200)) + packer.flush()


def encoded(body: bytes, encoding: str) -> bytes:
    return OK + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def repeating(head: bytes, piece: bytes, pause_s: float) -> Callable[[Send, threading.Event], None]:
    """Send pieces until the client has gone. A client without a limit loses its connection after ``ENDLESS_S``, and its test fails."""

    def answer(send: Send, gone: threading.Event) -> None:
        end = time.monotonic() + ENDLESS_S
        send(head)
        while not gone.wait(pause_s):
            if time.monotonic() > end:
                raise ConnectionAbortedError
            if piece:
                send(piece)

    return answer


def endlessly(head: bytes, piece: bytes) -> Callable[[Send, threading.Event], None]:
    return repeating(head, piece, 0)


def dripping(head: bytes, drop: bytes) -> Callable[[Send, threading.Event], None]:
    return repeating(head, drop, 0.02)


class Server:
    """Answers each request of each connection with the bytes that a function sends."""

    def __init__(self) -> None:
        self.answer: Callable[[Send, threading.Event], None] = lambda send, _: send(OK + b"Content-Length: 0\r\n\r\n")
        self.encodings: list[bytes] = []
        self._gone = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._gone.is_set():
            connection, _ = self._listening.accept()
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                while request := connection.recv(65536):
                    self.encodings += [line for line in request.split(b"\r\n") if b"accept-encoding" in line.lower()]
                    self.answer(connection.sendall, self._gone)
            except OSError:
                return

    def stop(self) -> None:
        self._gone.set()
        socket.create_connection(self._listening.getsockname()).close()
        for thread in self._threads:
            thread.join()
        self._listening.close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


SHORT = AnswerLimits(largest=1_000_000, deadline_s=0.3)
# VmHWM and not ru_maxrss: that one starts with the peak of the process that started this one.
PEAK = """
import sys
import httpx
from verification.http.answer_limits import AnswerLimits
from verification.http.client import open_client
with open_client(sys.argv[1], timeout_s=60, answers=AnswerLimits(16_000_000, 60)) as client:
    for path in sys.argv[2:]:
        try:
            print("read", len(client.get(path).content))
        except httpx.TransportError as error:
            print(type(error).__name__, error)
[peak] = [line for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(int(peak.split()[1]) // 1000)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process's memory is read from /proc")
def test_bombs_are_stopped_in_little_memory(server: Server) -> None:
    packed = zeros(31)
    bombs = {
        "/gzip": encoded(packed, "gzip"),
        "/twice": encoded(gzip.compress(packed), "gzip, gzip"),
        "/thrice": encoded(zlib.compress(gzip.compress(packed)), "GZIP, gzip, deflate"),
        "/deflate": encoded(zeros(15), "deflate"),
        "/bare": encoded(zeros(-15), "deflate"),
    }
    answers = iter(bombs.values())
    server.answer = lambda send, _: send(next(answers))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, server.url, *bombs], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *said, peak_mb = done.stdout.splitlines()
    assert said == [
        f"AnswerTooLarge GET {path}: the answer is larger than 16 MB (largest_answer in [deployment])" for path in bombs
    ]
    assert int(peak_mb) < MOST_MEMORY_MB


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "gzip, gzip, gzip, gzip"])
def test_an_encoding_that_was_not_asked_for_is_refused(server: Server, encoding: str) -> None:
    server.answer = lambda send, _: send(encoded(b"x", encoding))
    with open_client(server.url, timeout_s=5) as client, pytest.raises(UnreadableEncoding, match=r"GET /a: .*encoding"):
        client.get("/a")
    assert server.encodings == [b"Accept-Encoding: gzip, deflate"]


def test_an_endless_body_is_stopped(server: Server) -> None:
    server.answer = endlessly(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + bytes(0x4000) + b"\r\n")
    with (
        open_client(server.url, timeout_s=5, answers=AnswerLimits(1_000_000, 20)) as client,
        pytest.raises(AnswerTooLarge, match="GET /a: the answer is larger than 1 MB"),
    ):
        client.get("/a")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"a,b\n" * 999)[:-9], "gzip"),
        (zlib.compress(b"a,b\n" * 999)[:-5], "deflate"),
        (gzip.compress(gzip.compress(b"a")[:-1]), "gzip, gzip"),
    ],
    ids=["gzip", "deflate", "gzip twice"],  # gzip's header has the time, so that each worker would have other names
)
def test_an_encoding_that_ends_too_early_is_not_an_answer(server: Server, body: bytes, encoding: str) -> None:
    server.answer = lambda send, _: send(encoded(body, encoding))
    with open_client(server.url, timeout_s=5) as client, pytest.raises(UnreadableEncoding, match="ends too early"):
        client.get("/a")


def test_an_empty_body_has_no_encoding(server: Server) -> None:
    server.answer = lambda send, _: send(encoded(b"", "gzip"))
    with open_client(server.url, timeout_s=5) as client:
        assert client.get("/a").content == b""


def typed(content_type: str | bytes, body: bytes) -> bytes:
    named = content_type.encode() if isinstance(content_type, str) else content_type
    return OK + b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (named, len(body)) + body


@pytest.mark.parametrize(
    "parameter",
    [
        *("charset=rot13", "charset=hex", "charset=idna", "charset=undefined", "charset=zlib", "charset=unknown-9"),
        *("charset=punycode", "charset=utf-7", "charset=unicode_escape", "charset=raw_unicode_escape", "charset=oem"),
        *("charset=utf-16", "charset=mbcs", "charset*=utf-16''utf-16"),
        *('charset="', "charset=", "charset=../../x", b"charset=\xff", "charset=" + "x" * 60_000, "charset=utf\t8"),
        *("charset*=punycode''" + "z" * 60_000, "charset*" + "9" * 5000 + "*=x", ";" * 60_000),
    ],
    ids=lambda parameter: repr(parameter[:30]),
)
def test_a_charset_that_is_none_of_texts_is_read_as_utf8(server: Server, parameter: str | bytes) -> None:
    named = parameter.encode() if isinstance(parameter, str) else parameter
    server.answer = lambda send, _: send(typed(b"text/plain; " + named, "ä".encode()))
    with open_client(server.url, timeout_s=5) as client:
        response = client.get("/a")
    assert response.text == text_of(response) == "ä"
    bare = httpx.Response(200, headers=response.headers, content=response.content)
    assert text_of(bare) == "ä"


@pytest.mark.parametrize("body", [b"z" * 1_000_000, b"abc-\xff\xff" + b"z" * 50, b"a-" * 100_000])
def test_a_text_in_punycode_takes_no_time_and_raises_nothing(server: Server, body: bytes) -> None:
    server.answer = lambda send, _: send(typed("text/plain; charset=punycode", body))
    with open_client(server.url, timeout_s=5) as client:
        response = client.get("/a")
        begin = time.process_time()
        assert response.text == text_of(response) == body.decode(errors="replace")
        leaks(response)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        *(("UTF-8", "ä€"), ('"utf-8"', "ä€"), ("us-ascii", "a"), ("iso-8859-1", "äß"), ("latin1", "äß")),
        *(("ISO-8859-15", "€"), ("windows-1252", "“€”"), ("windows-1251", "Привет"), ("koi8-r", "Привет")),
        *(("shift_jis", "日本語"), ("Shift-JIS", "日本語"), ("euc-jp", "日本語"), ("iso-2022-jp", "日本語")),
        *(("gb18030", "中文"), ("gbk", "中文"), ("gb2312", "中文"), ("big5", "中文"), ("euc-kr", "한국어")),
        *(("ks_c_5601-1987", "한국어"), ("macintosh", "ä"), ("ibm866", "Привет"), ("tis-620", "ไทย"), ("cp850", "ä")),
        *(("utf-16le", "ä€"), ("utf-16be", "ä€")),
    ],
)
def test_a_charset_of_texts_is_used(server: Server, charset: str, text: str) -> None:
    server.answer = lambda send, _: send(typed(f"text/plain; charset={charset}", text.encode(charset.strip('"'))))
    with open_client(server.url, timeout_s=5) as client:
        response = client.get("/a")
    assert response.text == text_of(response) == text


@pytest.mark.parametrize("charset", ["shift_jis", "gb18030", "euc-kr", "hz", "windows-1252", "utf-16le"])
def test_a_byte_that_the_charset_does_not_have_is_replaced(charset: str) -> None:
    head = {"content-type": f"text/plain; charset={charset}"}
    assert "\ufffd" in text_of(httpx.Response(200, headers=head, content=b"\x81"))


def test_a_body_that_is_not_in_its_iso_2022_is_read_as_utf8(server: Server) -> None:
    server.answer = lambda send, _: send(typed("text/plain; charset=iso-2022-jp", b"\x1b" * 20))
    with open_client(server.url, timeout_s=5) as client:
        response = client.get("/a")
    assert response.text == text_of(response) == "\x1b" * 20


SLOW = {
    "body": dripping(OK + b"Content-Length: 100000\r\n\r\n", b"x"),
    "header": dripping(OK + b"X-Long: ", b"x"),
    "interim answers": endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "interim answers, slow": dripping(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "nothing": dripping(b"", b""),
}


@pytest.mark.parametrize("part", SLOW)
def test_a_slow_answer_ends_at_the_deadline(server: Server, part: str) -> None:
    server.answer = SLOW[part]
    with (
        open_client(server.url, timeout_s=60, answers=SHORT) as client,
        pytest.raises(AnswerTooSlow, match=r"GET /a: no complete answer within 0.3 s \(request_deadline"),
    ):
        client.get("/a")


def test_an_answer_that_the_caller_streams_has_the_same_deadline(server: Server) -> None:
    server.answer = SLOW["body"]
    with (
        open_client(server.url, timeout_s=60, answers=SHORT) as client,
        client.stream("GET", "/a") as response,
        pytest.raises(AnswerTooSlow),
    ):
        response.read()


def test_endless_headers_are_stopped(server: Server) -> None:
    server.answer = endlessly(OK, b"X-More: " + b"x" * 1000 + b"\r\n")
    with open_client(server.url, timeout_s=5) as client, pytest.raises(httpx.TransportError):
        client.get("/a")


def test_a_single_wait_has_its_own_limit(server: Server) -> None:
    server.answer = SLOW["nothing"]
    with open_client(server.url, timeout_s=0.2) as client, pytest.raises(httpx.ReadTimeout) as caught:
        client.get("/a")
    assert not isinstance(caught.value, AnswerTooSlow)


def test_the_deadline_of_one_request_does_not_shorten_the_next(server: Server) -> None:
    body = gzip.compress(b"[1, 2]" + b" " * 900_000)
    server.answer = lambda send, _: send(encoded(body, "gzip"))
    with open_client(server.url, timeout_s=5, answers=AnswerLimits(1_000_000, 5)) as client:
        assert [client.get("/a").json() for _ in range(3)] == [[1, 2]] * 3


@pytest.mark.parametrize("part", [name for name in SLOW if name != "interim answers, slow"])
def test_the_probers_requests_end_at_their_deadline(server: Server, part: str) -> None:
    server.answer = SLOW[part]
    connection = Connection(server.url, None, 0.3)
    with pytest.raises(WireTimeout):
        connection.ask("GET", "/a", {}, None)
    connection.close()


def test_the_probers_requests_have_the_same_largest_answer(server: Server) -> None:
    server.answer = endlessly(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + bytes(0x4000) + b"\r\n")
    connection = Connection(server.url, None, 5, largest=1_000_000)
    with pytest.raises(TooLargeOnTheWire, match="larger than 1 MB"):
        connection.ask("GET", "/a", {}, None)
    connection.close()


WITHOUT_A_HEAD = ("header", "interim answers", "nothing")


@pytest.mark.parametrize("part", WITHOUT_A_HEAD)
def test_preflight_and_health_checks_wait_no_longer_than_their_timeout(
    server: Server, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that arrives byte by byte would keep them waiting for ever: each byte begins a socket's time-out again."""
    server.answer = SLOW[part]
    found = ColourAddresses(timeout_s=0.3).contact(server.url)
    assert (found.reached, found.detail) == (True, "127.0.0.1 accepts connections")
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.3)
    assert probes.http_answer(server.port, "/a", "api.localhost") is None
    settings = {
        "HealthCheckPort": "traffic-port",
        "HealthCheckPath": "/a",
        "HealthCheckTimeoutSeconds": 0.3,
        "Matcher": {"HttpCode": "200"},
    }
    assert probe(settings, Address("group", "127.0.0.1", server.port)) == ("Target.Timeout", "Request timed out")
    check = HealthCheck("HTTP", "/a", 0.01, 0.3, 1, 1)
    with pytest.raises(DeploymentFailed, match="GET /a: TimeoutError"):
        wait_until_healthy(check, server.port, lambda: None, time.monotonic() + 5)


def test_preflight_and_health_checks_need_only_the_head(server: Server) -> None:
    """A body that never ends delays none of them."""
    server.answer = SLOW["body"]
    assert ColourAddresses(timeout_s=5).contact(server.url).detail == "127.0.0.1 answers (200)"
    assert probes.http_answer(server.port, "/a", "api.localhost") == (200, {"content-length": "100000"})
    wait_until_healthy(HealthCheck("HTTP", "/a", 0.01, 5, 1, 1), server.port, lambda: None, time.monotonic() + 5)


# -- the settings ------------------------------------------------------------------------------------------------------


def settings_file(folder: Path, limits: str) -> Path:
    path = folder / "deployment.toml"
    path.write_text(
        f'default_environment = "e"\nservice = "{CHECKOUT.root}/suites/service.yaml"\n'
        f'[environments.e]\nprovider = "embedded"\n[deployment]\n{limits}\n'
    )
    return path


def checks_of(path: Path) -> Deployment:
    """Return what the checks of one process share, without a run of pytest."""
    coordinator = SimpleNamespace(state=State("run-1", True, "e"))
    options = SimpleNamespace(base_url=None, live_url=None)
    run = SimpleNamespace(stash={coordinator_key: coordinator}, option=options)
    checks = Deployment(cast("pytest.Config", run), Recorder())
    vars(checks)["settings"] = load(path)
    return checks


def test_without_settings_and_without_limits_it_is_16_mb_and_30_s(tmp_path: Path) -> None:
    assert checks_of(settings_file(tmp_path, "")).answers == AnswerLimits() == AnswerLimits(16_000_000, 30.0)
    assert PROBERS_LARGEST == 16_000_000


@pytest.mark.parametrize(
    ("limits", "body", "expected"),
    [
        ("largest_answer = 0.001", b"x" * 1001, "larger than 0.001 MB \\(largest_answer"),
        ("largest_answer = 0.001", b"x" * 1000, None),
        ("request_deadline = 0.000001", b"x", "within 1e-06 s \\(request_deadline"),
        ("request_deadline = 10", b"x", None),
    ],
    ids=["too large", "just small enough", "too slow", "in time"],
)
def test_a_checks_client_has_the_limits_of_the_settings(
    server: Server, tmp_path: Path, limits: str, body: bytes, expected: str | None
) -> None:
    server.answer = lambda send, _: send(encoded(body, "identity"))
    checks = checks_of(settings_file(tmp_path, limits))
    client = checks.client("endpoints", Release(server.url), 5.0)
    try:
        if expected is None:
            assert client.get("/a").content == body
        else:
            with pytest.raises(httpx.TransportError, match=expected):
                client.get("/a")
    finally:
        checks.close()


def test_the_prober_and_an_early_measurement_have_the_largest_answer_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(settings_file(tmp_path, "largest_answer = 0.5"))
    assert prober_config(settings, "http://live.example", [], tmp_path).largest == 500_000
    plans: list[LatencyPlan] = []
    monkeypatch.setattr(early_verdict, "measure_alone", lambda plan, *_: plans.append(plan))
    state = State("run-1", True, "e", (SmokeUser("a@b.example", "a password"),), candidate=Release("http://a.example"))
    suspect = Suspect("GET /consults", "p95", OverBudget(10, 10, 10), 100)
    EarlyVerdict(settings, service_of(settings)).measure(suspect, state)
    assert [plan.largest for plan in plans] == [500_000]
