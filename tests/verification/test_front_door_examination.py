"""The examination of a service by a deployment: the first problem, or every problem that can be found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from infrastructure import front_door
from infrastructure.front_door import HttpFrontDoor
from tests.verification.shop_server import DESCRIPTION, Shop
from tests.verification.shop_server import USER as ANNA
from verification.declarative.service import load_service
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Service

USER = SmokeUser("one@smoke.example", "a password")
# In this order: the probes, then the journeys in one session.
ASKED = [
    "GET /health",
    "GET /health/database",
    "GET /health/redis",
    "GET /health",
    "POST /auth/login",
    "GET /consults?limit=20",
    "POST /consults",
    "GET /consults/4711",
    "GET /consults?limit=100",
    "DELETE /consults/4711",
    "GET /consults/4711",
    "POST /auth/logout",
]
Examine = Callable[..., tuple[list[str], list[str]]]


class Telehealth:
    """A service with these wrong answers, by request (0: none; an exception: it is raised)."""

    def __init__(self, wrong: dict[str, int | BaseException]) -> None:
        self.asked: list[str] = []
        self.booked: dict[str, Any] = {}
        self._wrong = wrong

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.raw_path.decode()}"
        self.asked.append(name)
        answer = self._answer(name, json.loads(request.content or b"null"))
        wrong = self._wrong.get(name)
        if isinstance(wrong, BaseException):
            raise wrong
        if wrong == 0:
            raise httpx.ReadTimeout("no answer", request=request)
        return answer if wrong is None else httpx.Response(wrong, json={})

    def _answer(self, name: str, sent: Any) -> httpx.Response:
        if name.startswith("GET /health"):
            return httpx.Response(200, json={"status": "ok", "version": "1.0.0"})
        if name == "POST /auth/login":
            return httpx.Response(200, json={"access_token": "a token", "expires_in": 3600})
        if name == "POST /auth/logout":
            return httpx.Response(204)
        if name == "POST /consults":
            self.booked["4711"] = {**sent, "id": "4711"}
            return httpx.Response(201, json=self.booked["4711"])
        if name.startswith("GET /consults?"):
            return httpx.Response(200, json={"items": list(self.booked.values())})
        if "4711" not in self.booked:
            return httpx.Response(404)
        if name.startswith("GET"):
            return httpx.Response(200, json=self.booked["4711"])
        if name not in self._wrong:
            del self.booked["4711"]
        return httpx.Response(204)


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch, described: Service) -> Examine:
    """Return a function that examines a service with these wrong answers; it returns problems and requests."""

    def run(
        wrong: dict[str, int | BaseException],
        *,
        every: bool,
        service: Service = described,
        user: SmokeUser | None = USER,
    ) -> tuple[list[str], list[str]]:
        telehealth = Telehealth(wrong)

        def client(url: str, **_: Any) -> httpx.Client:
            return httpx.Client(base_url=url, transport=httpx.MockTransport(telehealth))

        monkeypatch.setattr(front_door, "open_client", client)
        try:
            problems = HttpFrontDoor("http://live.example", user, service, timeout_s=1).examine(every=every)
        finally:
            assert telehealth.booked == {} or any(name.startswith("DELETE") for name in wrong)
        return list(problems), telehealth.asked

    return run


@pytest.mark.parametrize("user", [USER, None])
def test_examination_says_in_words_what_it_asks(examine: Examine, described: Service, user: SmokeUser | None) -> None:
    door = HttpFrontDoor("http://live.example", user, described, timeout_s=1)
    said = door.examined()
    requests, _, journeys = said.partition("; the journeys, with their requests: ")
    assert requests == "GET /health, GET /health/database, GET /health/redis"
    assert ("book a consult (" in journeys) == (user is not None)
    for request in requests.split(", "):
        assert request in examine({}, every=False)[1]


def test_healthy_service_has_no_problem(examine: Examine) -> None:
    for every in (False, True):
        assert examine({}, every=every) == ([], ASKED)


def test_every_problem_is_found(examine: Examine) -> None:
    wrong = {
        "GET /health/database": 404,
        "GET /consults/4711": 0,
        "DELETE /consults/4711": 500,
        "POST /auth/logout": 500,
    }
    problems, asked = examine(wrong, every=True)
    assert problems == [
        "GET /health/database: status 404, expected 200",
        "GET /consults/${id}: ReadTimeout",
        "DELETE /consults/${id}: status 500, expected 204",
        "POST /auth/logout: status 500, expected 204",
    ]
    assert asked == [*ASKED[:8], "DELETE /consults/4711", "POST /auth/logout"], "no step is asked after a failed one"


def test_first_problem_ends_the_examination_and_the_consult_is_cancelled(examine: Examine) -> None:
    problems, asked = examine({"GET /consults/4711": 500, "POST /auth/logout": 500}, every=False)
    assert problems == ["GET /consults/${id}: status 500, expected 200"]
    assert asked[-2:] == ["GET /consults/4711", "DELETE /consults/4711"]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"POST /auth/login": 503}, "POST /auth/login for one@smoke.example: status 503, expected 200"),
        ({"POST /auth/login": 0}, "POST /auth/login for one@smoke.example: ReadTimeout"),
    ],
)
def test_nothing_more_can_be_found_without_a_session(examine: Examine, wrong: dict[str, int], problem: str) -> None:
    problems, asked = examine(wrong, every=True)
    assert (problems, asked[-1]) == ([problem], "POST /auth/login")


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("asked_at", ["POST /consults", "GET /consults/4711"])
def test_interruption_leaves_nothing(examine: Examine, asked_at: str, every: bool) -> None:
    """Where the answer to the booking was lost, the consult is found by its marker."""
    with pytest.raises(KeyboardInterrupt):
        examine({asked_at: KeyboardInterrupt()}, every=every)
    problems, asked = examine({"POST /consults": 0}, every=every)
    assert problems == ["POST /consults: ReadTimeout"]
    assert "DELETE /consults/4711" in asked


def test_problem_is_the_same_each_time(examine: Examine, described: Service) -> None:
    """A rollback excuses exactly what was wrong before: ids, markers and values of answers would make each text another one."""
    book = described.journeys[2]
    expects = replace(book.steps[1].expect, body={"id": "${marker}"})
    wrong = replace(book, steps=(book.steps[0], replace(book.steps[1], expect=expects), *book.steps[2:]))
    service = replace(described, journeys=(wrong,))
    first, second = (examine({}, every=True, service=service)[0] for _ in range(2))
    assert first == second == ["GET /consults/${id}: $.id is not as expected"]


def test_journey_that_is_not_live_is_only_read(examine: Examine, described: Service) -> None:
    service = replace(described, journeys=tuple(replace(one, live=False) for one in described.journeys))
    problems, asked = examine({}, every=True, service=service)
    assert problems == []
    assert asked == [*ASKED[:6], "POST /auth/logout"]


def test_without_an_account_no_session_is_opened(examine: Examine) -> None:
    assert examine({}, every=True, user=None) == ([], ASKED[:4])


def test_service_of_another_kind(tmp_path: Path) -> None:
    """Basic credentials, no version, a created order named by a Location header with a whole URL."""
    path = tmp_path / "service.yaml"
    path.write_text(DESCRIPTION, encoding="utf-8")
    shop = Shop()
    try:
        front = HttpFrontDoor(shop.url, SmokeUser(**ANNA), load_service(path, path.name), timeout_s=5)
        assert front.examine(every=True) == []
        assert [(one.ok, one.version, one.problem) for one in front.ask(2)] == [(True, None, None)] * 2
        orders = ["POST /orders", "GET /orders/1", "DELETE /orders/1"]
        note = shop.seen[5].partition(" ")[2]
        notes = [f"{method} {note}" for method in ("PUT", "GET", "DELETE", "GET")]
        assert shop.seen[:10] == ["GET /up", "GET /goods", *orders, *notes, "GET /complaints"]
        assert shop.orders == {}
        shop.fail = {"/orders/2": 503, "/up": 500}
        assert front.examine(every=True) == [
            "GET /up: status 500, expected 200",
            "GET ${where}: status 503, expected 200",
            "DELETE ${where}: status 503, expected 204",
        ]
        assert [one.problem for one in front.ask(1)] == ["GET /up: status 500, expected 200"]
    finally:
        shop.stop()


@pytest.mark.parametrize("status", [404, 503])
def test_health_check_that_fails_as_in_an_examination_before(tmp_path: Path, status: int) -> None:
    """A rollback compares the two to the letter; a request without an answer is never like it."""
    path = tmp_path / "service.yaml"
    path.write_text(DESCRIPTION, encoding="utf-8")
    shop = Shop()
    try:
        front = HttpFrontDoor(shop.url, None, load_service(path, path.name), timeout_s=5)
        shop.fail = {"/up": status}
        before = front.examine(every=True)
        (answer,) = front.ask(1)
        assert (answer.status, answer.fails_like(before), answer.fails_like(())) == (status, True, False)
        shop.fail = {"/up": 500}
        assert not front.ask(1)[0].fails_like(before)
        shop.fail = {}
        assert not front.ask(1)[0].fails_like(before)
    finally:
        shop.stop()
    before = front.examine(every=True)
    (silent,) = front.ask(1)
    assert silent.problem in before
    assert not silent.fails_like(before)


@pytest.mark.parametrize("status", [404, 503])
def test_inspection_tells_a_service_from_the_gateway_of_a_dead_one(tmp_path: Path, status: int) -> None:
    """A gateway answers every request with one status; nothing passes, also no step that expects this status."""
    path = tmp_path / "service.yaml"
    path.write_text(DESCRIPTION, encoding="utf-8")
    shop = Shop()
    try:
        front = HttpFrontDoor(shop.url, SmokeUser(**ANNA), load_service(path, path.name), timeout_s=5)
        shop.fail = {"/up": status}
        found = front.inspect()
        assert [*found.problems] == front.examine(every=True) == [f"GET /up: status {status}, expected 200"]
        assert "GET /goods" in found.passed
        assert "GET /up" not in found.passed
        seen = len(shop.seen)
        assert "GET /goods" in front.inspect(until=found.passed).passed
        assert len(shop.seen) == seen + 2, "the first check that passes is enough"
        shop.fail = {"*": status}
        gateway = front.inspect()
        assert gateway.passed == ()
        assert gateway.problems
    finally:
        shop.stop()
