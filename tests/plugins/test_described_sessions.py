"""The auth gate compares the description of a session with what the service answers, so that no mistyped word turns a check off."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from plugins.described.auth import refuses_a_forged_token, refuses_a_wrong_password, signs_in
from plugins.described.checks import checks_of
from plugins.described.fixtures import Player
from plugins.fixtures import Session as Deployment
from verification.http.client import Received
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Expectation, Health, Issuer, Journey, Request, Service, Session, Step
from verification.journeys.placeholders import Values
from verification.journeys.player import prepare
from verification.journeys.sessions import Credentials, credentials
from verification.journeys.tokens import forge
from verification.journeys.untried import untried

USER = SmokeUser("ann@smoke.example", "a-password")
READ = Step("read", "GET /notes", Request("GET", "/notes"), Expectation((200,)))
SIGN_IN = Step("sign in", "POST /tokens", Request("POST", "/tokens"), Expectation((200,)))
SESSION = Session("reader", "bearer", sign_in=SIGN_IN, token_format="jwt", algorithm="HS256")
TOKEN = forge({"sub": "ann"}, "a-key-of-the-service", "HS384")


def player(session: Session, opened: Credentials, *journeys: Journey) -> Player:
    """Return a player of a service whose sign-in gives these credentials."""
    health = Health(READ, None)
    service = Service("notes", "notes", None, health, sessions={session.name: session}, journeys=journeys)
    given: Any = lambda *_: opened  # noqa: E731 - twice the same
    deployment = SimpleNamespace(service=service, new_credentials=given, credentials=given)
    return Player(cast("Deployment", deployment))


def client() -> httpx.Client:
    """Return a client of a service that nobody may ask."""
    return httpx.Client(base_url="http://notes.example", transport=httpx.MockTransport(lambda _: httpx.Response(500)))


def test_a_lifetime_that_the_answer_does_not_have() -> None:
    mistyped = replace(SESSION, expires_in="$.expres_in")
    with pytest.raises(
        AssertionError,
        match=r"the answer to POST /tokens has no lifetime in seconds at \$\.expres_in; correct sign_in\.expires_in",
    ):
        signs_in(player(mistyped, Credentials({}, TOKEN)), client(), USER, mistyped)
    signs_in(player(mistyped, Credentials({}, TOKEN, 60.0)), client(), USER, mistyped)
    issued = replace(mistyped, issuer=Issuer("/tokens", "id"))
    signs_in(player(issued, Credentials({}, TOKEN)), client(), USER, issued)


@pytest.mark.parametrize("declared", ["HS256", "RS256"])
def test_an_algorithm_that_the_token_does_not_have(declared: str) -> None:
    session = replace(SESSION, algorithm=declared)
    journey = Journey("look", (READ,), session="reader")
    with pytest.raises(AssertionError, match=f'signs its tokens with "HS384", and suites/service.yaml says {declared}'):
        refuses_a_forged_token(player(session, Credentials({}, TOKEN), journey), client(), None, USER, session)


@pytest.mark.parametrize(
    ("status", "refused"), [(401, True), (403, True), (422, True), (302, True), (500, False), (503, False)]
)
def test_an_error_of_the_service_is_no_refusal_of_a_wrong_password(status: int, refused: bool) -> None:
    """A service that fails at a wrong password has not refused it."""
    asked = player(SESSION, Credentials())

    def answered(*_: object) -> Credentials:
        return credentials(SESSION, prepare(SIGN_IN, Values(None, ""), {}), Received(httpx.Response(status)))

    asked.deployment.new_credentials = answered  # type: ignore[assignment,method-assign]  # the service's answer
    if refused:
        refuses_a_wrong_password(asked, client(), USER, SESSION)
        return
    with pytest.raises(
        AssertionError, match=f"POST /tokens: a sign-in with a wrong password: status {status}, expected a refusal"
    ):
        refuses_a_wrong_password(asked, client(), USER, SESSION)


WRITE = Step("write", "POST /notes", Request("POST", "/notes"), Expectation((201,)), {"id": "$.id"})
READ_OWN = Step("read", "GET /notes/${id}", Request("GET", "/notes/${id}"), Expectation((200,)))
REMOTE = Issuer("https://login.example/token", "id")


@pytest.mark.parametrize(
    ("session", "reads", "asked"),
    [
        (Session("b", "basic"), False, []),
        (Session("b", "basic"), True, ["signs in (b)", "refuses a wrong password (b)"]),
        (Session("b", "api-key", password="${secret.KEY}"), False, []),
        (Session("b", "api-key", password="${secret.KEY}"), True, ["signs in (b)"]),
        (Session("b", "oauth2-client-credentials", issuer=REMOTE), False, []),
        (Session("b", "bearer", sign_in=SIGN_IN), False, ["signs in (b)"]),
    ],
)
def test_a_session_that_no_request_can_try_has_no_check_of_its_credentials(
    session: Session, reads: bool, asked: list[str]
) -> None:
    """The gate would count checks that send no request; a warning says that they are not tried."""
    steps = (READ,) if reads else (WRITE, READ_OWN)
    journeys = (Journey("look", steps, session="b"),)
    service = Service("notes", "notes", None, Health(READ, None), sessions={"b": session}, journeys=journeys)
    names = [one.name for one in checks_of(service) if one.gate == "auth"]
    assert [one for one in names if "closed without" not in one] == asked
    assert any("closed without credentials" in one for one in names)
    said = any("a request with right, wrong" in one for one in untried(service, 2, knows_secret=False))
    assert said is not reads


@pytest.mark.parametrize("others", [{"database": READ}, {"database": READ, "redis": READ}, {"database": None}])
def test_dependencies_that_are_asked_as_the_health_check_is_have_checks_of_their_own(
    others: dict[str, Step | None],
) -> None:
    """A run with two checks of one name is refused."""
    service = Service("notes", "notes", None, Health(READ, None), dependencies=others)
    named = [(one.gate, one.name) for one in checks_of(service)]
    assert len(named) == len(set(named))
    answers = [name for gate, name in named if gate == "rehearsal" and "live domain" in name]
    assert len(answers) == 1 + sum(step is not None for step in others.values())
    assert answers[0] == "answers for the live domain (GET /notes)", "the name without another one stays"
