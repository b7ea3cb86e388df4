"""Health checks of targets: one thread per target, from its registration to the end of its draining."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Lock, Thread

from infrastructure.embedded.aws.elbv2.records import Address, Document, Target
from infrastructure.embedded.aws.elbv2.store import Store
from infrastructure.embedded.processes.probes import get

LISTEN_POLL_S = 0.1
Finding = tuple[str, str] | None
"""Reason code and description of a failed check; None for one that passed."""


class HealthChecks:
    """Keeps the state of each target up to date with its checks."""

    def __init__(self, store: Store, stopping: Event) -> None:
        self._store = store
        self._stopping = stopping
        self._watched: set[Address] = set()
        self._lock = Lock()

    def follow(self, address: Address) -> None:
        """Check a target until it is removed; do nothing if a thread checks it already."""
        with self._lock:
            if address in self._watched:
                return
            self._watched.add(address)
        Thread(target=self._watch, args=(address,), name=f"health-{address}", daemon=True).start()

    def _watch(self, address: Address) -> None:
        good = bad = 0
        try:
            while (target := self._store.target(address)) is not None and not self._stopping.is_set():
                if target.draining:
                    good = bad = 0
                    self._drain(target)
                    continue
                check = self._store.get("targetgroup", address.group_arn).document
                next_at = time.monotonic() + check["HealthCheckIntervalSeconds"]
                if target.state == "initial":
                    self._until_it_listens(address, next_at)
                finding = probe(check, address)
                good, bad = (good + 1, 0) if finding is None else (0, bad + 1)
                self._store.change_target(address, _judged(finding, good, bad, check))
                self._pause(address, next_at)
        finally:
            with self._lock:
                self._watched.discard(address)

    def _drain(self, target: Target) -> None:
        left = (target.gone_at or 0.0) - time.time()
        if left > 0:
            self._stopping.wait(min(left, LISTEN_POLL_S))
        else:
            self._store.forget(target.address)

    def _until_it_listens(self, address: Address, until: float) -> None:
        """Wait until a new target listens, at most until its next check, so that it does not fail a check too early."""
        while time.monotonic() < until and not self._stopping.is_set() and not self._left(address):
            try:
                socket.create_connection((address.id, address.port), timeout=1).close()
                return
            except OSError:
                self._stopping.wait(LISTEN_POLL_S)

    def _pause(self, address: Address, until: float) -> None:
        while (left := until - time.monotonic()) > 0 and not self._left(address):
            if self._stopping.wait(min(left, LISTEN_POLL_S)):
                return

    def _left(self, address: Address) -> bool:
        target = self._store.target(address)
        return target is None or target.draining


def probe(check: Document, address: Address) -> Finding:
    """Perform one health check with a target group's settings."""
    port = address.port if check["HealthCheckPort"] == "traffic-port" else int(check["HealthCheckPort"])
    agent, timeout_s = {"User-Agent": "ELB-HealthChecker/2.0"}, check["HealthCheckTimeoutSeconds"]
    try:
        status = get(address.id, port, check["HealthCheckPath"], agent, timeout_s).status
    except TimeoutError:
        return "Target.Timeout", "Request timed out"
    except (OSError, http.client.HTTPException):
        return "Target.FailedHealthChecks", "Health checks failed"
    if matches(check["Matcher"]["HttpCode"], status):
        return None
    return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]"


def matches(matcher: str, status: int) -> bool:
    """Return whether a status matches a matcher such as `200`, `200,202` or `200-299`."""
    for part in matcher.split(","):
        first, _, last = part.partition("-")
        if int(first) <= status <= int(last or first):
            return True
    return False


def _judged(finding: Finding, good: int, bad: int, check: Document) -> Callable[[Target], Target]:
    """Return the change of a target after a check: a new target needs one passed check, later the thresholds count."""

    def judged(target: Target) -> Target:
        if target.draining:
            return target
        if finding is None and (target.state == "initial" or good >= check["HealthyThresholdCount"]):
            return replace(target, state="healthy", reason=None, description=None)
        if finding is not None and bad >= check["UnhealthyThresholdCount"]:
            return replace(target, state="unhealthy", reason=finding[0], description=finding[1])
        if target.state == "initial":
            return replace(target, reason="Elb.InitialHealthChecking", description="Initial health checks in progress")
        return target

    return judged
