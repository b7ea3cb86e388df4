"""What the auth gate cannot try is said in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from verification.declarative.service import load_service
from verification.journeys.model import Issuer, Service, Session
from verification.journeys.untried import untried

SHIPPED = load_service(Path(__file__).resolve().parents[2] / "suites" / "service.yaml", "suites/service.yaml")


def with_session(**changes: object) -> Service:
    return replace(SHIPPED, sessions={"user": replace(SHIPPED.sessions["user"], **changes)})  # type: ignore[arg-type]  # of the test's choice


@pytest.mark.parametrize(
    ("service", "accounts", "knows_secret", "expected"),
    [
        (SHIPPED, 2, True, []),
        (SHIPPED, 0, True, []),
        (SHIPPED, 2, False, ["an expired token of session user: it is signed with HS256, and the settings name no token_secret"]),
        (with_session(algorithm="RS256"), 2, True, ["an expired token of session user: it is signed with RS256, and the service's private key is not known"]),
        (with_session(algorithm="HS512"), 2, True, ["an expired token of session user: it is signed with HS512, and checks cannot sign with it"]),
        (with_session(sign_out=None), 2, True, ["a revoked session of session user: suites/service.yaml describes no sign_out for it"]),
        (SHIPPED, 1, True, ["another user's session in journey book a consult: there is one account, two are needed"]),
        (replace(SHIPPED, sessions={"user": Session("user", "basic")}), 2, False, []),
        (
            replace(SHIPPED, sessions={"user": Session("user", "basic")}, journeys=tuple(one for one in SHIPPED.journeys if one.writes)),
            2,
            False,
            ["a request with right, wrong, forged or ended credentials of session user: no step of its journeys reads without a value of a step that writes"],
        ),
        (replace(SHIPPED, sessions={"user": Session("user", "api-key", password="${secret.KEY}")}), 2, False, ["a wrong password of session user: what opens it holds no ${account.password}"]),
        (
            replace(SHIPPED, sessions={"user": Session("user", "cognito", issuer=Issuer("https://login.example/", "app"))}),
            2,
            False,
            [
                "a wrong password of session user: another host checks it, not the release",
                "a revoked session of session user: suites/service.yaml describes no sign_out for it",
            ],
        ),
    ],
)  # fmt: skip
def test_each_attempt_that_is_not_made(
    service: Service, accounts: int, knows_secret: bool, expected: list[str]
) -> None:
    assert [*untried(service, accounts, knows_secret=knows_secret)] == [f"not tried: {one}" for one in expected]
