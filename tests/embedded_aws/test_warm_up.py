"""A release that warms up gets the time that its service's health check allows."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from infrastructure.embedded.aws.apprunner import health
from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.estate import ecs, resources

TERRAFORM_S = 25
"""The App Runner module: 5 checks, 5 s apart."""
MODULE = Path(__file__).resolve().parents[2] / "infrastructure" / "terraform" / "modules" / "app-runner" / "main.tf"


class _Handler(BaseHTTPRequestHandler):
    left = 0
    fault: int | None = 503

    def do_GET(self) -> None:
        type(self).left -= 1
        if type(self).left < 0:
            self.send_response(200)
        elif self.fault is not None:
            self.send_response(self.fault)
        else:
            return  # the connection is closed without an answer
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def silent() -> Iterator[HTTPServer]:
    """A server that has its port, but does not listen on it yet."""
    server = HTTPServer(("127.0.0.1", 0), _Handler, bind_and_activate=False)
    server.server_bind()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def port(silent: HTTPServer) -> int:
    silent.server_activate()
    return silent.server_port


def check(unhealthy: int) -> health.HealthCheck:
    return health.HealthCheck("HTTP", "/health", 0.02, 2, 1, unhealthy)


def wait(port: int, unhealthy: int) -> None:
    health.wait_until_healthy(check(unhealthy), port, lambda: None, time.monotonic() + 10)


@pytest.mark.parametrize("fault", [503, 500, 404, None])
def test_a_release_may_fail_until_the_threshold(port: int, fault: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Handler, "fault", fault)
    _Handler.left = 12
    wait(port, unhealthy=13)
    assert _Handler.left < 0, "the check must go on until the release answers 200"


def test_the_time_until_it_listens_is_not_part_of_the_warm_up(port: int) -> None:
    """A release that listens at the last moment still has the whole time of its service's health check."""
    _Handler.left = 3
    health.wait_until_healthy(check(unhealthy=13), port, lambda: None, deadline=time.monotonic())
    assert _Handler.left < 0


def test_no_check_fails_before_the_release_listens(silent: HTTPServer) -> None:
    _Handler.left, waits = 0, 0

    def listen_later() -> None:
        nonlocal waits
        waits += 1
        if waits == 5:
            silent.server_activate()

    health.wait_until_healthy(check(unhealthy=1), silent.server_port, listen_later, time.monotonic() + 10)
    assert _Handler.left < 0


def test_a_release_that_never_becomes_healthy_is_refused_at_the_threshold(port: int) -> None:
    _Handler.left = 1000
    with pytest.raises(DeploymentFailed, match=r"13 times in a row: GET /health answered 503"):
        wait(port, unhealthy=13)


def test_the_embedded_platforms_are_as_patient_as_the_terraform_module() -> None:
    # The first check has no wait before it.
    patience = resources.HEALTH_CHECK["Interval"] * (resources.HEALTH_CHECK["UnhealthyThreshold"] - 1)
    assert TERRAFORM_S <= patience <= TERRAFORM_S + resources.HEALTH_CHECK["Interval"]
    assert ecs.WARM_UP_S == TERRAFORM_S
    checks = ecs.HEALTH_CHECK["HealthyThresholdCount"] * ecs.HEALTH_CHECK["HealthCheckIntervalSeconds"]
    assert TERRAFORM_S + checks < ecs.GRACE_S < TERRAFORM_S + checks + ecs.HEALTH_CHECK["HealthCheckIntervalSeconds"]


def test_this_is_the_patience_of_the_terraform_module() -> None:
    text = MODULE.read_text(encoding="utf-8")
    found = {name: int(value) for name, value in re.findall(r"^ *(interval|unhealthy_threshold) += (\d+)$", text, re.M)}
    assert found["interval"] * found["unhealthy_threshold"] == TERRAFORM_S


@pytest.mark.parametrize("warms_up_s", [10, 24.9])
def test_release_that_is_ready_within_the_module_s_patience_is_accepted(
    monkeypatch: pytest.MonkeyPatch, warms_up_s: float
) -> None:
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    monkeypatch.setattr(health, "time", clock)
    monkeypatch.setattr(health, "_accepts", lambda *_: True)
    monkeypatch.setattr(health, "_fault", lambda *_: "answered 503" if now[0] < warms_up_s else None)
    health.wait_until_healthy(health.from_document(resources.HEALTH_CHECK), 1, lambda: None, 20.0)
