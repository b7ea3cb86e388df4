"""The examination of a service by a deployment: the first problem, or every problem that can be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infrastructure import front_door
from infrastructure.front_door import HttpFrontDoor
from verification.journeys.accounts import SmokeUser

USER = SmokeUser("one@smoke.example", "a password")
ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "GET /health": (200, {"status": "ok"}),
    "GET /health/database": (200, {}),
    "GET /health/redis": (200, {}),
    "POST /auth/login": (200, {"access_token": "a token"}),
    "POST /consults": (201, {"id": "4711"}),
    "GET /consults/4711": (200, {}),
    "GET /consults": (200, {}),
    "DELETE /consults/4711": (204, {}),
    "POST /auth/logout": (204, {}),
}
Examine = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Return a function that examines a service with these wrong answers (0: none); it returns problems and requests."""

    def run(wrong: dict[str, int], *, every: bool) -> tuple[list[str], list[str]]:
        asked: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            name = f"{request.method} {request.url.path}"
            asked.append(name)
            status = wrong.get(name, ANSWERS[name][0])
            if status == 0:
                raise httpx.ReadTimeout("no answer", request=request)
            return httpx.Response(status, json=ANSWERS[name][1])

        def client(url: str, **_: Any) -> httpx.Client:
            return httpx.Client(base_url=url, transport=httpx.MockTransport(answer))

        monkeypatch.setattr(front_door, "open_client", client)
        return list(HttpFrontDoor("http://live.example", USER, timeout_s=1).examine(every=every)), asked

    return run


def test_healthy_service_has_no_problem(examine: Examine) -> None:
    for every in (False, True):
        assert examine({}, every=every) == ([], list(ANSWERS))


def test_every_problem_is_found(examine: Examine) -> None:
    wrong = {
        "GET /health/database": 404,
        "GET /consults/4711": 0,
        "DELETE /consults/4711": 500,
        "POST /auth/logout": 500,
    }
    problems, asked = examine(wrong, every=True)
    assert problems == [
        "GET /health/database: status 404",
        "GET /consults/{id}: ReadTimeout",
        "DELETE /consults/{id}: status 500",
        "POST /auth/logout: status 500",
    ]
    assert asked == list(ANSWERS)


def test_first_problem_ends_the_examination_and_the_consult_is_cancelled(examine: Examine) -> None:
    problems, asked = examine({"GET /consults/4711": 500, "POST /auth/logout": 500}, every=False)
    assert problems == ["GET /consults/{id}: status 500"]
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
