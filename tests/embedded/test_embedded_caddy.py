"""Edge and ingress: one Caddy that is never reloaded, under a closed loop of requests without retries."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path

import pytest

from infrastructure.embedded.aws.apprunner.ingress import Ingress
from infrastructure.embedded.caddy import server
from infrastructure.embedded.layout import Environment, Layout, Served, choose_ports
from infrastructure.embedded.processes import lifecycle

COLOURS = ("blue", "green")
SWITCHES = 20


class Instance(ThreadingHTTPServer):
    """A fake instance: it answers with its name and the request that it received."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet; as two packets, the second waits 40 ms for an acknowledgement
    server: Instance

    def do_GET(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        fields = (self.server.name, self.headers["Host"], self.headers.get("X-Forwarded-Host", "-"), str(size))
        answer = " ".join(fields).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@dataclass(frozen=True)
class Answer:
    """An answer with its headers in lower case."""

    status: int
    body: str
    headers: dict[str, str]

    @property
    def words(self) -> list[str]:
        return self.body.split()


@dataclass
class Front:
    """Caddy with the instances of two colours behind it."""

    layout: Layout
    environment: Environment
    instances: dict[str, list[Instance]]
    ingress: Ingress
    generation: int = 0
    hosts: dict[str, str] = field(default_factory=dict)

    @property
    def live_host(self) -> str:
        return self.environment.live_url.removeprefix("http://")

    def route(self, primary: str, secondary: str = "-", threshold: str = "0") -> int:
        """Write the edge's route as the endpoint does, by a rename; return its generation."""
        self.generation += 1
        other = self.hosts.get(secondary, "-")
        self.write(f"{self.generation} {primary} {self.hosts[primary]} {secondary} {other} {threshold}\n")
        return self.generation

    def write(self, line: str) -> None:
        fresh = self.layout.edge_route.with_name("fresh")
        fresh.write_text(line)
        os.replace(fresh, self.layout.edge_route)

    def ask(self, host: str, *, edge: bool = True, cookie: str | None = None, forwarded: str = "") -> Answer:
        """Send one request on a new connection and return the answer."""
        port = self.environment.ports.edge if edge else self.environment.ports.ingress
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        sent = {"Host": host}
        sent |= {"Cookie": f"bg_track={cookie}"} if cookie else {}
        sent |= {"X-Forwarded-Host": forwarded} if forwarded else {}
        try:
            connection.request("GET", "/", headers=sent)
            return answer_of(connection)
        finally:
            connection.close()


def answer_of(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    body = response.read().decode()
    return Answer(response.status, body, {name.lower(): value for name, value in response.getheaders()})


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Start Caddy in a folder whose name contains characters of globs and placeholders."""
    layout = Layout(tmp_path_factory.mktemp("front") / "a [b]*{x} c")
    layout.state.mkdir()
    layout.make()
    environment = Environment(Path("/"), "1.0.0", Served("telehealth-api"), choose_ports(), Path("/"), "x")
    instances = {colour: [Instance(f"{colour}-{number}") for number in range(2)] for colour in COLOURS}
    for instance in chain.from_iterable(instances.values()):
        threading.Thread(target=instance.serve_forever, args=(0.02,), daemon=True).start()
    hosts = {colour: f"{colour:a<10}.{environment.service_domain}" for colour in COLOURS}
    ingress = Ingress(layout.ingress)
    for colour in COLOURS:
        ingress.point(hosts[colour], instances[colour][0].server_port)
    process = lifecycle.start(layout, server.spec(layout, environment))
    try:
        yield Front(layout, environment, instances, ingress, hosts=hosts)
    finally:
        lifecycle.stop(layout, process, signal.SIGTERM)
        for instance in chain.from_iterable(instances.values()):
            instance.shutdown()
            instance.server_close()


def test_the_colour_receives_its_own_host_and_the_viewers_host(front: Front) -> None:
    generation = front.route("blue")
    answer = front.ask(front.live_host, forwarded="forged.example")
    assert answer.words == ["blue-0", front.hosts["blue"], front.live_host, "0"]
    assert (answer.headers["x-bg-color"], answer.headers["x-bg-generation"]) == ("blue", str(generation))
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["example.org", "localhost", "*", "..", "api.telehealth.localhost.example"])
@pytest.mark.parametrize("edge", [True, False])
def test_an_unknown_host_is_not_found(front: Front, host: str, edge: bool) -> None:
    front.route("blue")
    assert front.ask(host, edge=edge).status == 404


def test_a_service_without_an_instance_is_not_found(front: Front) -> None:
    front.route("blue")
    front.ingress.remove(front.hosts["blue"])
    try:
        assert front.ask(front.hosts["blue"], edge=False).status == 404
        assert front.ask(front.live_host).status == 404
    finally:
        front.ingress.point(front.hosts["blue"], front.instances["blue"][0].server_port)


@pytest.mark.parametrize("line", [None, "", "junk", "1 red host - - 0", "x blue host - - 0", "1 blue host - - 0 more"])
def test_the_edge_answers_503_without_a_valid_route(front: Front, line: str | None) -> None:
    front.route("blue")
    if line is None:
        front.layout.edge_route.unlink()
    else:
        front.write(line)
    answer = front.ask(front.live_host)
    assert answer.status == 503
    assert "x-bg-color" not in answer.headers


@pytest.mark.parametrize(
    ("threshold", "lowest", "highest"), [("8", 0.35, 0.65), ("1999", 0.02, 0.25), ("g", 1, 1), ("0", 0, 0)]
)
def test_the_threshold_splits_new_viewers(front: Front, threshold: str, lowest: float, highest: float) -> None:
    front.route("blue", "green", threshold)
    asked = 300
    colours = Counter(front.ask(front.live_host).headers["x-bg-color"] for _ in range(asked))
    assert lowest * asked <= colours["green"] <= highest * asked


def test_a_viewer_stays_with_a_colour_for_one_generation_of_a_split(front: Front) -> None:
    generation = front.route("blue", "green", "8")
    for colour in COLOURS:
        answers = [front.ask(front.live_host, cookie=f"{generation}-{colour}") for _ in range(30)]
        assert {answer.headers["x-bg-color"] for answer in answers} == {colour}
        assert {answer.words[0] for answer in answers} == {f"{colour}-0"}
    fresh = front.ask(front.live_host)
    assert fresh.headers["set-cookie"].startswith(f"bg_track={generation}-{fresh.headers['x-bg-color']};")
    front.route("blue", "green", "8")
    stale = Counter(front.ask(front.live_host, cookie=f"{generation}-green").headers["x-bg-color"] for _ in range(100))
    assert len(stale) == 2


def test_the_cookie_is_ignored_if_traffic_is_not_split(front: Front) -> None:
    generation = front.route("blue", "green", "0")
    answer = front.ask(front.live_host, cookie=f"{generation}-green")
    assert answer.headers["x-bg-color"] == "blue"
    assert "set-cookie" not in answer.headers


class Load:
    """A closed loop on one kept connection: GET and POST in turn, without retries; it records failures."""

    def __init__(self, front: Front, done: threading.Event) -> None:
        self._front = front
        self._done = done
        self.answers = 0
        self.failures: list[str] = []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._front.environment.ports.edge, timeout=10)
        connection.auto_open = 0  # a cut connection is a failure, not a reason to open another one
        connection.connect()
        try:
            while not self._done.is_set():
                body = b"x" * 1000 if self.answers % 2 else None
                host = {"Host": self._front.live_host}
                connection.request("POST" if body else "GET", "/", body=body, headers=host)
                self._judge(answer_of(connection), len(body or b""))
        except (OSError, http.client.HTTPException) as exc:
            self.failures.append(repr(exc))
        finally:
            connection.close()

    def _judge(self, answer: Answer, size: int) -> None:
        self.answers += 1
        colour = answer.headers.get("x-bg-color", "none")
        expected = [self._front.hosts.get(colour, ""), self._front.live_host, str(size)]
        if answer.status != 200 or not answer.body.startswith(f"{colour}-") or answer.words[1:] != expected:
            self.failures.append(f"{answer.status} {colour} {answer.body}")


def test_no_request_fails_during_switches_of_colour_and_instance(front: Front) -> None:
    front.route("blue")
    done = threading.Event()
    loads = [Load(front, done) for _ in range(4)]
    for load in loads:
        load.thread.start()
    try:
        for number in range(SWITCHES):
            before = [load.answers for load in loads]
            colour = COLOURS[(number + 1) % 2]
            front.ingress.point(front.hosts[colour], front.instances[colour][number // 2 % 2].server_port)
            generation = front.route(colour)
            seen = front.ask(front.live_host)
            assert (seen.headers["x-bg-color"], seen.headers["x-bg-generation"]) == (colour, str(generation))
            assert seen.words[0] == f"{colour}-{number // 2 % 2}"
            while any(load.answers < count + 5 for load, count in zip(loads, before, strict=True) if not load.failures):
                done.wait(0.005)
    finally:
        done.set()
        for load in loads:
            load.thread.join(20)
        for colour in COLOURS:
            front.ingress.point(front.hosts[colour], front.instances[colour][0].server_port)
    assert [load.failures for load in loads] == [[]] * len(loads)
    assert sum(load.answers for load in loads) >= SWITCHES * len(loads) * 5
