"""Health checks of a starting App Runner instance, as its service configures them."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.processes.probes import get

LISTEN_POLL_S = 0.05


@dataclass(frozen=True)
class HealthCheck:
    """App Runner's HealthCheckConfiguration; times are in seconds."""

    protocol: str
    path: str
    interval_s: float
    timeout_s: float
    healthy: int
    unhealthy: int

    @property
    def patience_s(self) -> float:
        """How long a process that listens may take to become healthy."""
        return self.interval_s * max(self.healthy, self.unhealthy) + self.timeout_s


def from_document(document: dict[str, Any]) -> HealthCheck:
    """Return the configuration with App Runner's defaults filled in."""
    full = DEFAULTS | document
    return HealthCheck(
        full["Protocol"],
        full["Path"],
        full["Interval"],
        full["Timeout"],
        full["HealthyThreshold"],
        full["UnhealthyThreshold"],
    )


DEFAULTS: dict[str, Any] = {
    # https://docs.aws.amazon.com/apprunner/latest/dg/manage-configure-healthcheck.html
    "Protocol": "TCP",
    "Path": "/",
    "Interval": 5,
    "Timeout": 2,
    "HealthyThreshold": 1,
    "UnhealthyThreshold": 5,
}


def wait_until_healthy(check: HealthCheck, port: int, raise_if_dead: Callable[[], None], deadline: float) -> None:
    """Wait for `healthy` passed checks in a row.

    `deadline` is on the monotonic clock and limits the time until the process listens on its port; until then no check
    counts as failed, so that a slow machine does not fail a good release. From then on the service's own settings limit
    the time. Raises DeploymentFailed after `unhealthy` failed checks in a row and at the end of either time, and passes
    on an error of `raise_if_dead()` (the process has exited, or the endpoint stops).
    """
    while not _accepts(port, check.timeout_s):
        _pause(LISTEN_POLL_S, raise_if_dead, deadline, f"nothing listens on the port {port} given in PORT")
    deadline = time.monotonic() + check.patience_s
    good = bad = 0
    while True:
        fault = _fault(check, port)
        good, bad = (good + 1, 0) if fault is None else (0, bad + 1)
        if good >= check.healthy:
            raise_if_dead()
            return
        if bad >= check.unhealthy:
            raise DeploymentFailed(f"health check failed {bad} times in a row: {fault}")
        _pause(check.interval_s, raise_if_dead, deadline, f"last health check: {fault or 'passed'}")


def _fault(check: HealthCheck, port: int) -> str | None:
    if check.protocol == "TCP":
        return None if _accepts(port, check.timeout_s) else f"TCP connection to port {port} refused"
    try:
        status = get("127.0.0.1", port, check.path, {}, check.timeout_s).status
    except (OSError, http.client.HTTPException) as exc:
        return f"GET {check.path}: {type(exc).__name__}"
    return None if status == 200 else f"GET {check.path} answered {status}, not 200"


def _accepts(port: int, timeout_s: float) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def _pause(seconds: float, raise_if_dead: Callable[[], None], deadline: float, last: str) -> None:
    """Wait, and check the process every 50 ms, so that its exit ends the wait at once."""
    until = time.monotonic() + seconds
    while True:
        raise_if_dead()
        now = time.monotonic()
        if now >= deadline:
            raise DeploymentFailed(f"not healthy in time; {last}")
        if now >= until:
            return
        time.sleep(min(LISTEN_POLL_S, max(until - now, 0.001)))
