"""The auth gate compares the description of a session with what the service answers, so that no mistyped word turns a check off."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from plugins.described.auth import refuses_a_forged_token, signs_in
from plugins.described.fixtures import Player
from plugins.fixtures import Session as Deployment
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Expectation, Health, Issuer, Journey, Request, Service, Session, Step
from verification.journeys.sessions import Credentials
from verification.journeys.tokens import forge

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
    with pytest.raises(AssertionError, match=r"no lifetime in seconds at \$\.expres_in; correct sign_in\.expires_in"):
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
