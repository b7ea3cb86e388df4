"""The prober at a service of another kind, known from its description alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.verification.shop_server import DESCRIPTION, USER, Shop
from verification.declarative.service import load_service
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Service
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober

RUN = "run-of-this-test"
OPERATIONS = (
    *("GET /up", "GET /goods", "GET /complaints", "POST /orders", "GET ${where}", "DELETE ${where}"),
    *("PUT /notes/${uuid}", "GET /notes/${uuid}", "DELETE /notes/${uuid}"),
)


@pytest.fixture
def shop() -> Iterator[Shop]:
    running = Shop()
    yield running
    running.stop()


@pytest.fixture
def description(tmp_path: Path) -> Service:
    path = tmp_path / "service.yaml"
    path.write_text(DESCRIPTION, encoding="utf-8")
    return load_service(path, "suites/service.yaml")


@pytest.fixture
def config(shop: Shop, description: Service, tmp_path: Path) -> ProberConfig:
    log = str(tmp_path / "prober.log")
    return ProberConfig(shop.url, SmokeUser(**USER), description, rate=100, run=RUN, stderr_log=log)


def wait_until(condition: Callable[[], bool], deadline_s: float = 20) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not true within {deadline_s} s"
        time.sleep(0.01)  # pause of a poll with a deadline


def test_every_journey_is_played_and_nothing_is_left(config: ProberConfig, shop: Shop) -> None:
    """Basic credentials, forms, text, a Location header; of a journey that is not live only the step that reads."""
    with Prober.start(config) as prober:
        prober.wait_for_samples(120, 20)
        assert prober.failures() == []
        assert {(s.operation, s.kind) for s in prober.samples()} == {
            (operation, kind) for operation in OPERATIONS for kind in ("kept", "fresh")
        }
        assert {s.version for s in prober.samples()} == {None}
    assert "POST /complaints" not in shop.seen
    assert shop.orders == {}
    assert (Path(str(config.stderr_log))).read_text(encoding="utf-8") == ""


def test_lost_answers_and_failed_undo_leave_nothing(config: ProberConfig, shop: Shop) -> None:
    """They are found by the marker at the end; what another run wrote stays."""
    others = shop.order("availability probe another run")
    shop.lose = 3
    with Prober.start(config) as prober:
        wait_until(lambda: shop.lose == 0)
        shop.delete_fails = True
        lost = {"POST /orders", "DELETE /notes/${uuid}", "DELETE ${where}"}
        wait_until(lambda: {s.operation for s in prober.failures()} == lost)
        shop.delete_fails = False
    assert shop.orders == {others: "availability probe another run"}
    log = (Path(str(config.stderr_log))).read_text(encoding="utf-8")
    assert "GET ${where} was not asked 3 times, because an earlier step of its journey had failed" in log


def test_failing_step_is_a_failure_of_its_operation(config: ProberConfig, shop: Shop) -> None:
    with Prober.start(config) as prober:
        prober.wait_for_samples(20, 20)
        shop.fail = {"/complaints": 503}
        wait_until(lambda: len(prober.failures()) >= 3)
        assert {(s.operation, s.status, s.problem) for s in prober.failures()} == {
            ("GET /complaints", 503, "status 503, expected 200")
        }
    assert shop.orders == {}


def test_refused_credentials_are_failures_and_stay_secret(config: ProberConfig, shop: Shop) -> None:
    told = replace(config, user=SmokeUser(USER["email"], "canary-wrong"))
    with Prober.start(told) as prober:
        wait_until(lambda: len(prober.failures()) >= 5)
        assert {(s.status, str(s.problem)[:20]) for s in prober.failures()} == {(401, "status 401, expected")}
        assert any(s.ok and s.operation == "GET /goods" for s in prober.samples())
        shown = "".join(s.to_line() for s in prober.samples())
    assert "canary" not in shown + (Path(str(config.stderr_log))).read_text(encoding="utf-8")


def test_without_an_account_only_journeys_without_a_session_are_played(config: ProberConfig, shop: Shop) -> None:
    with Prober.start(replace(config, user=None)) as prober:
        prober.wait_for_samples(40, 20)
        assert prober.failures() == []
        assert {s.operation for s in prober.samples()} == {"GET /up", "GET /goods"}
    assert set(shop.seen) == {"GET /up", "GET /goods"}


def test_captured_value_that_no_header_can_carry_is_a_failure(config: ProberConfig) -> None:
    """The release decides what is captured: it must not end the prober."""
    look = config.service.journeys[0].steps[0]
    again = replace(
        look, name="again", operation="again", request=replace(look.request, headers={"X-Looked": "\u20ac"})
    )
    service = replace(config.service, journeys=(replace(config.service.journeys[0], steps=(look, again)),))
    with Prober.start(replace(config, service=service)) as prober:
        wait_until(lambda: len(prober.failures()) >= 2)
        assert {(s.operation, s.problem) for s in prober.failures()} == {
            ("again", "NotSendable: a character in a header or the path is not allowed by HTTP")
        }
        assert prober.alive
