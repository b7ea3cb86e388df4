"""A token of another host that the service refuses: who waits for another one, and how long, if the endpoint gives the same again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.verification.test_issued_tokens import reads, service_at, wait_until
from tests.verification.token_server import CLIENT, Servers
from verification.journeys import issuers
from verification.journeys.issuers import IssuedHeaders, Token, TokenRequest
from verification.latency import asking
from verification.latency.asking import Asker, Unanswered
from verification.latency.plan import Kind, LatencyPlan


@pytest.fixture
def servers() -> Iterator[Servers]:
    running = Servers()
    yield running
    issuers.forget()
    running.stop()


class NeverWaits(threading.Condition):
    """A condition that fails the test instead of waiting."""

    def wait(self, timeout: float | None = None) -> bool:
        raise AssertionError(f"waited for up to {timeout} s")


def given(*tokens: str) -> IssuedHeaders:
    """Return headers whose endpoint gives these tokens, with the first of them; no thread renews it."""
    left = list(tokens)
    headers = IssuedHeaders(TokenRequest("http://x/", {}, b""), lambda _: Token(left.pop(0), float("inf")))
    headers._changed = NeverWaits()
    headers._attempt()
    return headers


@pytest.mark.parametrize("second", ["the same", "another"])
def test_nobody_waits_once_the_endpoint_has_answered(second: str) -> None:
    headers = given("the same", second)
    headers.lost("Bearer the same")
    with pytest.raises(AssertionError, match="up to 6 s"):
        headers.wait_for_another("Bearer the same", 6)
    headers._attempt()
    for _ in range(2):
        headers.wait_for_another("Bearer the same", 6)


def test_a_token_that_was_only_renewed_may_still_be_replaced_after_a_401() -> None:
    """An endpoint that gives a good token again may give another one when the service has refused it."""
    headers = given("one", "one", "two", "two")
    headers._attempt()
    with pytest.raises(AssertionError, match="up to 6 s"):
        headers.wait_for_another("Bearer one", 6)
    headers.lost("Bearer one")
    headers._attempt()
    headers.wait_for_another("Bearer one", 6)
    headers.lost("Bearer one")  # a late answer about the token before
    headers._attempt()
    with pytest.raises(AssertionError, match="up to 6 s"):
        headers.wait_for_another("Bearer two", 6)


@pytest.mark.parametrize("kind", ["kept", "fresh"])
def test_latency_waits_once_for_an_endpoint_that_gives_the_same_token(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Each request of the session would otherwise wait for 6 s."""
    monkeypatch.setattr(issuers, "PAUSE_S", 0.02)
    monkeypatch.setattr(asking, "PAUSE_S", 0)
    monkeypatch.setattr(asking, "TIMEOUT_S", 20)
    servers.caches = True
    plan = LatencyPlan({"candidate": servers.url}, service_at(tmp_path, servers.token_url), CLIENT)
    asker, operation = Asker(servers.url, plan, None), plan.operations["GET /ledger"]
    asker.sign_in()
    servers.revoke()
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(Unanswered, match="401"):
            asker.ask(operation, kind)
    assert time.monotonic() - begun < 15
    servers.caches = False
    headers = asker._sessions["machine"].headers
    wait_until(lambda: reads(servers, headers) == 200)
    assert asker.ask(operation, kind) is not None
    asker.clear()


@pytest.mark.parametrize("waited_s", [1.5, 6.0])
def test_latency_waits_at_most_once_in_a_second(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waited_s: float
) -> None:
    """The second begins when the wait has ended."""
    clock = SimpleNamespace(now=1000.0)
    waits: list[float] = []

    def wait(*_: object) -> None:
        waits.append(clock.now)
        clock.now += waited_s

    fake = SimpleNamespace(monotonic=lambda: clock.now, perf_counter=lambda: clock.now)
    plan = LatencyPlan({"candidate": servers.url}, service_at(tmp_path, servers.token_url), CLIENT)
    asker, operation = Asker(servers.url, plan, None), plan.operations["GET /ledger"]
    asker.sign_in()
    monkeypatch.setattr(asking, "time", fake)
    monkeypatch.setattr(IssuedHeaders, "wait_for_another", wait)
    monkeypatch.setattr(IssuedHeaders, "lost", lambda *_: None)
    servers.revoke()
    for _ in range(9):
        with pytest.raises(Unanswered, match="401"):
            asker.ask(operation, "fresh")
        clock.now += 0.25
    assert waits == [1000.25, 1001.25 + waited_s]
