"""Caddy as a load balancer: rules by host, weights, several targets, and a load balancer's headers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infrastructure.embedded import files
from infrastructure.embedded.aws.elbv2.routes import SLOTS
from infrastructure.embedded.caddy import server
from infrastructure.embedded.caddy.listeners import AWSELB
from infrastructure.embedded.layout import Environment, Layout, Served, choose_ports
from infrastructure.embedded.processes import lifecycle

SWITCHES = 20


class Target(ThreadingHTTPServer):
    """A fake target: it answers with the request that it received."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Target

    def do_GET(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        seen = {"by": self.server.address, "size": size, "headers": dict(self.headers.items())}
        answer = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@dataclass
class Balancer:
    """Caddy with a live and a test listener, and two targets."""

    layout: Layout
    environment: Environment
    targets: list[Target] = field(default_factory=list)

    def write(self, slot: int, line: str, port: int | None = None) -> None:
        """Write one slot of a listener as the endpoint does."""
        folder = self.layout.listeners / str(port or self.environment.ports.edge)
        files.replace(folder / str(slot), line, mode=0o644, durable=False)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.environment.ports.edge, timeout=10)

    def ask(self, host: str = "api.localhost", **headers: str) -> tuple[int, dict[str, str], str]:
        """Send one request on a new connection; return status, headers in lower case and body."""
        connection = self.connect()
        try:
            connection.request("GET", "/", headers={"Host": host, **headers})
            answer = connection.getresponse()
            shown = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, shown, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def balancer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    layout = Layout(tmp_path_factory.mktemp("balancer"))
    layout.make()
    environment = Environment(Path("x"), "1", Served("telehealth-api"), choose_ports(), Path("x"), "k", platform="ecs")
    made = Balancer(layout, environment, [Target(), Target()])
    for port in (environment.ports.edge, environment.ports.ingress):
        for slot in range(1, SLOTS + 1):
            made.write(slot, "-", port)
    process = lifecycle.start(layout, server.spec(layout, environment))
    try:
        yield made
    finally:
        os.kill(process.pid, signal.SIGTERM)
        lifecycle.stop(layout, process, signal.SIGTERM)
        for target in made.targets:
            target.shutdown()
            target.server_close()


@pytest.fixture(autouse=True)
def _empty(balancer: Balancer) -> None:
    for slot in range(1, SLOTS + 1):
        balancer.write(slot, "-")


def test_the_first_rule_for_the_host_decides(balancer: Balancer) -> None:
    one, two = (target.address for target in balancer.targets)
    balancer.write(1, f"api.localhost g {one}")
    balancer.write(2, f"blue.localhost g {two}")
    balancer.write(3, "* g =404")
    assert json.loads(balancer.ask("api.localhost")[2])["by"] == one
    assert json.loads(balancer.ask("blue.localhost:8443")[2])["by"] == two
    status, headers, body = balancer.ask("unknown.localhost")
    assert (status, headers["server"], body) == (404, AWSELB, "")


def test_only_the_headers_of_a_load_balancer_are_added(balancer: Balancer) -> None:
    balancer.write(1, f"* g {balancer.targets[0].address}")
    port = balancer.environment.ports.edge
    _, answered, body = balancer.ask(f"api.localhost:{port}", **{"X-Forwarded-For": "10.1.2.3", "X-Own": "kept"})
    sent = {name.lower(): value for name, value in json.loads(body)["headers"].items()}
    assert (sent["host"], sent["x-own"]) == (f"api.localhost:{port}", "kept")
    assert sent["x-forwarded-for"] == "10.1.2.3, 127.0.0.1"
    assert (sent["x-forwarded-proto"], sent["x-forwarded-port"]) == ("http", str(port))
    assert "x-forwarded-host" not in sent
    assert "via" not in sent
    assert answered.keys() == {"server", "date", "content-type", "content-length"}
    assert answered["server"].startswith("BaseHTTP"), "the release's own"


def test_a_target_receives_the_host_of_the_rules_transform(balancer: Balancer) -> None:
    """The target receives the same headers as from the live listener; none contains the viewer's own host."""
    one = balancer.targets[0].address
    balancer.write(1, f"rehearsal.localhost>api.localhost:80 g {one}")
    balancer.write(2, f"api.localhost g {one}")
    seen = [json.loads(balancer.ask(host)[2])["headers"] for host in ("rehearsal.localhost", "api.localhost:80")]
    assert seen[0]["Host"] == "api.localhost:80"
    assert seen[0] == seen[1]


def test_traffic_is_split_by_weights_and_targets(balancer: Balancer) -> None:
    one, two = (target.address for target in balancer.targets)
    for line, few, many in (
        (f"* 4000 {one} g {two}", 60, 140),
        (f"* g {one} g {two}", 400, 400),
        (f"* 0000 {one} g {two}", 0, 0),
    ):
        balancer.write(1, line)
        seen = Counter(json.loads(balancer.ask()[2])["by"] for _ in range(400))
        assert few <= seen[one] <= many, (line, seen)


def test_answers_of_the_load_balancer_itself(balancer: Balancer) -> None:
    balancer.write(1, "* g =503")
    assert (balancer.ask()[0], balancer.ask()[1]["server"]) == (503, AWSELB)
    balancer.write(1, "* g 127.0.0.1:1")
    assert (balancer.ask()[0], balancer.ask()[1]["server"]) == (502, AWSELB)
    folder = balancer.layout.listeners / str(balancer.environment.ports.edge)
    (folder / "1.body").write_text("closed")
    (folder / "1.type").write_text("text/plain")
    balancer.write(1, "* g =200")
    assert balancer.ask()[2] == "closed"
    balancer.write(1, "nonsense")
    assert balancer.ask()[0] == 404


def test_no_request_fails_during_switches(balancer: Balancer) -> None:
    """Kept connections, GET and POST in turn, no retries; after a switch no request reaches the other target."""
    one, two = (target.address for target in balancer.targets)
    balancer.write(1, f"* g {one}")
    done, failures, answers = threading.Event(), [], [0] * 4

    def load(number: int) -> None:
        connection = balancer.connect()
        connection.auto_open = 0
        connection.connect()
        try:
            while not done.is_set():
                body = b"x" * 1000 if answers[number] % 2 else None
                connection.request("POST" if body else "GET", "/", body=body, headers={"Host": "api.localhost"})
                answer = connection.getresponse()
                seen = json.loads(answer.read())
                answers[number] += 1
                if answer.status != 200 or seen["size"] != len(body or b""):
                    failures.append(f"{answer.status} {seen}")
        except (OSError, ValueError, http.client.HTTPException) as exc:
            failures.append(repr(exc))
        finally:
            connection.close()

    threads = [threading.Thread(target=load, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(SWITCHES):
            before, to = list(answers), (two, one)[number % 2]
            balancer.write(1, f"* g {to}")
            assert json.loads(balancer.ask()[2])["by"] == to
            while not failures and any(now < count + 5 for now, count in zip(answers, before, strict=True)):
                done.wait(0.005)
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    assert failures == []
