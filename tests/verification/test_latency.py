"""Latency measurement over real sockets: its requests, their order and rate, and the cleanup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.verification.contract_server import USER, Service
from verification.journeys.accounts import SmokeUser
from verification.latency.judge import verify
from verification.latency.measuring import Measured, everything, measure
from verification.latency.plan import CANDIDATE, LIVE, LatencyLimits, LatencyPlan


@pytest.fixture
def other() -> Iterator[Service]:
    """The service of the live colour."""
    running = Service()
    yield running
    running.stop()


def plan_of(candidate: Service, live: Service | None = None, **values: float) -> LatencyPlan:
    urls = {CANDIDATE: candidate.url} | ({} if live is None else {LIVE: live.url})
    return LatencyPlan(urls, SmokeUser(**USER), **({"samples": 4, "warmup": 0, "rate": 2000} | values))  # type: ignore[arg-type]  # `samples` and `warmup` are whole numbers


def measured(plan: LatencyPlan) -> Measured:
    return measure(plan, everything(), hopeless=lambda _: None, wanted=lambda _: [])


def test_both_colours_get_the_same_requests_and_are_cleaned_up(service: Service, other: Service) -> None:
    seen = measured(plan_of(service, other))
    assert seen.failures == []
    assert {len(times) for place, both in seen.times.items() for times in both.values() if "log" not in place[0]} == {4}
    assert {len(times) for place, both in seen.times.items() for times in both.values() if "log" in place[0]} == {1}
    assert service.seen == other.seen
    assert seen.asked[CANDIDATE] == seen.asked[LIVE] == 4 * 14 + 4
    assert (service.consults, other.consults) == ({}, {})
    assert service.seen.count("logout") == service.seen.count("login") == 3  # two measured, and one for the session
    assert seen.late_ms


def test_fresh_and_kept_connections(service: Service) -> None:
    measured(plan_of(service))
    uses = sorted(Counter(service.ports).values())
    assert uses[:-1] == [1] * (4 * 7 + 2)
    assert uses[-1] >= 4 * 7 + 2


def test_requests_keep_to_the_rate(service: Service, other: Service) -> None:
    seen = measured(plan_of(service, other, rate=400))
    assert seen.asked[LIVE] / seen.seconds <= 400


def test_failures_are_counted_and_end_the_measurement(service: Service, other: Service) -> None:
    service.fail = {"listConsults": 500}
    result = verify(plan_of(service, other, samples=20), LatencyLimits())
    assert result.second is not None
    assert any("GET /consults?limit=20: status 500, expected 200" in one.says for one in result.findings)
    assert result.first.asked[CANDIDATE] < 20 * 14


def test_stopped_service_does_not_pass(service: Service) -> None:
    service.stop()
    result = verify(plan_of(service), LatencyLimits())
    assert any("no answer" in one.says for one in result.findings)
