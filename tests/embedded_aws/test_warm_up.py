"""A release that warms up gets the time that its service's health check allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infrastructure.embedded.aws.apprunner import health
from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.estate import ecs, resources

TERRAFORM_S = 25
"""The App Runner module: 5 checks, 5 s apart."""


class _Handler(BaseHTTPRequestHandler):
    left = 0

    def do_GET(self) -> None:
        type(self).left -= 1
        self.send_response(503 if type(self).left >= 0 else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def check(unhealthy: int) -> health.HealthCheck:
    return health.HealthCheck("HTTP", "/health", 0.02, 2, 1, unhealthy)


def wait(port: int, unhealthy: int) -> None:
    health.wait_until_healthy(check(unhealthy), port, lambda: None, time.monotonic() + 10)


def test_a_release_may_answer_503_until_the_threshold(port: int) -> None:
    _Handler.left = 12
    wait(port, unhealthy=13)
    assert _Handler.left < 0, "the check must go on until the release answers 200"


def test_a_release_that_never_becomes_healthy_is_refused_at_the_threshold(port: int) -> None:
    _Handler.left = 1000
    with pytest.raises(DeploymentFailed, match=r"13 times in a row: GET /health answered 503"):
        wait(port, unhealthy=13)


def test_the_embedded_platforms_are_as_patient_as_the_terraform_module() -> None:
    patience = resources.HEALTH_CHECK["Interval"] * resources.HEALTH_CHECK["UnhealthyThreshold"]
    assert TERRAFORM_S <= patience <= TERRAFORM_S + resources.HEALTH_CHECK["Interval"]
    assert ecs.GRACE_S == TERRAFORM_S
