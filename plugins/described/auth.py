"""Auth: users get in with the right credentials; every step of a session is closed without them, and to other users if it is private."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from plugins.described.checks import check
from plugins.described.fixtures import Player, Side
from plugins.described.refusals import Attempt, must_be_refused
from verification.journeys.accounts import SmokeUser
from verification.journeys.expectations import show
from verification.journeys.model import Journey, Service, Session, Step
from verification.journeys.player import Play, prepare
from verification.journeys.sessions import NotSignedIn
from verification.journeys.tokens import SignToken, altered, claims_of, forge, header_of
from verification.journeys.untried import SIGNED_HERE

CLOSED = (401, 403)
NOT_FOUND = (403, 404, 410)
"""The statuses that another user may get for a private answer. 404 does not reveal that the data exists."""
WRONG = "not-the-right-password"
_A_DAY_S = 86_400
_EXPIRED_S = 600
"""More than the leeway that libraries allow for clocks."""


def sessions(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return each session that a user signs in to as a subject."""
    return [(f"({name})", {"session": one}) for name, one in service.sessions.items() if one.kind != "none"]


def _asked_about(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return the sessions about which the release can be asked: by a sign-in, or by a request that the session opens."""
    found = [(one, one[1]["session"]) for one in sessions(service)]
    return [
        one for one, session in found if session.sign_in is not None or first_protected(service, session) is not None
    ]


def _with_password(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return those whose password the service itself checks; a wrong one would say nothing about any other."""
    return [one for one in _asked_about(service) if one[1]["session"].checks_password]


def _forgeable(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return the sessions whose tokens are JWTs, and in which a request can be sent that writes nothing."""
    found = [one for one in sessions(service) if one[1]["session"].token_format == "jwt"]  # noqa: S105 - a format
    return [one for one in found if first_protected(service, one[1]["session"]) is not None]


def _ended(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    return [one for one in sessions(service) if one[1]["session"].sign_out is not None]


def protected(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return each distinct request that is sent in a session, with the journey that it belongs to."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for journey in service.journeys:
        if journey.session is None or service.sessions[journey.session].kind == "none":
            continue
        for step in (*journey.steps, *journey.undo):
            found.setdefault(step.operation, (f"({step.operation})", {"journey": journey, "step": step}))
    return list(found.values())


def _private(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    return [
        (f"({journey.name}, {step.name})", {"journey": journey, "step": step})
        for journey in service.journeys
        for step in journey.steps
        if step.private
    ]


def first_protected(service: Service, session: Session) -> tuple[Journey, Step] | None:
    """Return a request of a session that needs no captured value and writes nothing, None if there is none."""
    for journey in service.journeys:
        reading = journey.reading() if journey.session == session.name else None
        if reading is not None:
            return reading, reading.steps[0]
    return None


@check("auth", "signs in", _asked_about)
def signs_in(player: Player, client: httpx.Client, smoke_user: SmokeUser, session: Session) -> None:
    """With the right credentials a user gets a session, and the session opens what is closed without it."""
    found = player.deployment.new_credentials(client, session, smoke_user)
    opened = first_protected(player.service, session)
    if opened is not None:
        journey, step = opened
        play = Play(replace(journey, steps=(step,)), player.values(journey))
        problem = player.ask(play, Side("the release", client), found.headers)
        assert problem is None, problem
    player.end(client, session, found)
    # An issuer of OAuth 2 may omit it (RFC 6749, 5.1); this place was written into the description.
    assert session.expires_in is None or session.issuer is not None or found.lasts_s < float("inf"), (
        f"the answer to {_asked(session)} has no lifetime in seconds at {session.expires_in}; "
        "correct sign_in.expires_in in suites/service.yaml, or delete it"
    )


def _asked(session: Session) -> str:
    """Return the request that opens a session as method and path; empty without one."""
    return "" if session.sign_in is None else str(session.sign_in.request)


@check("auth", "refuses a wrong password", _with_password)
def refuses_a_wrong_password(player: Player, client: httpx.Client, smoke_user: SmokeUser, session: Session) -> None:
    """A wrong password opens nothing."""
    # One attempt: a service may lock an account after a few.
    wrong = SmokeUser(smoke_user.email, WRONG)
    try:
        found = player.deployment.new_credentials(client, session, wrong)
    except NotSignedIn as refused:
        # A service that fails has refused nothing: the right password might fail as well.
        if refused.status is not None and refused.status >= 500:
            what = f"status {refused.status}, expected a refusal (4xx)"
            raise AssertionError(f"{_asked(session)}: a sign-in with a wrong password: {what}") from None
        return
    assert session.sign_in is None, (
        f"a sign-in with a wrong password was answered as with the right one: {_asked(session)}"
    )
    opened = first_protected(player.service, session)
    if opened is not None:
        _is_closed(player, client, opened[1], found.headers, "with a wrong password")


@check("auth", "closed without credentials", protected)
def closed_without_credentials(player: Player, client: httpx.Client, journey: Journey, step: Step) -> None:
    """The request is refused without credentials, and with ones that no service issues."""
    with _until(player, client, journey, step) as (play, headers):
        for what, sent in _without(headers):
            attempt = Attempt(journey, step, play.values, sent)
            must_be_refused(player, client, attempt, f"{step.operation} {what}", *CLOSED)


def _without(headers: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "without credentials", {}
    for name, value in headers.items():
        kind = value.split(" ")[0] if " " in value else ""
        yield "with credentials that are none", {name: f"{kind} bm9ib2R5Om5vdGhpbmc=".strip()}


@check("auth", "refuses a forged token", _forgeable)
def refuses_a_forged_token(
    player: Player, client: httpx.Client, sign_token: SignToken | None, smoke_user: SmokeUser, session: Session
) -> None:
    """Good claims open nothing without a signature or under another key; other claims open nothing under the old signature."""
    opened = first_protected(player.service, session)
    assert opened is not None, "subjects have a request to send"
    found = player.deployment.credentials(client, session, smoke_user)
    claims = claims_of(found.token or "")
    signed = header_of(found.token or "").get("alg")
    assert session.algorithm in (None, signed), (
        f"the service signs its tokens with {show(signed)}, and suites/service.yaml says {session.algorithm}"
    )
    later = {**claims, "exp": int(time.time()) + _A_DAY_S}
    attempts = {
        "a token without a signature": forge(claims, None, "none"),
        "a token that another key signed": forge(claims, secrets.token_hex(16)),
        "a token with other claims under its old signature": altered(found.token or "", exp=later["exp"]),
    }
    if sign_token is not None and session.algorithm in SIGNED_HERE:
        attempts["an expired token"] = sign_token({**claims, "exp": int(time.time()) - _EXPIRED_S})
    for what, token in attempts.items():
        player.deployment.learn(token)
        _is_closed(player, client, opened[1], {"Authorization": f"Bearer {token}"}, f"with {what}")


@check("auth", "private", _private)
def private_to_its_user(player: Player, client: httpx.Client, journey: Journey, step: Step) -> None:
    """Another user does not get what belongs to the first."""
    with _until(player, client, journey, step) as (play, _):
        other = player.headers(client, journey, 1)
        attempt = Attempt(journey, step, play.values, other)
        must_be_refused(player, client, attempt, f"{step.operation} as another user", *NOT_FOUND)


@check("auth", "sign-out ends the session", _ended)
def sign_out_ends_the_session(player: Player, client: httpx.Client, smoke_user: SmokeUser, session: Session) -> None:
    """After sign-out the session opens nothing, and another session of the same user still does."""
    assert session.sign_out is not None, "subjects have a sign-out"
    ended = player.deployment.new_credentials(client, session, smoke_user)
    other = player.deployment.new_credentials(client, session, smoke_user)
    opened = first_protected(player.service, session)
    player.end(client, session, ended)
    if opened is not None:
        journey, step = opened
        _is_closed(player, client, step, ended.headers, "after sign-out")
        play = Play(replace(journey, steps=(step,)), player.values(journey))
        problem = player.ask(play, Side("the release", client), other.headers)
        assert problem is None, f"after the sign-out of another session: {problem}"
    player.end(client, session, other)


def _is_closed(player: Player, client: httpx.Client, step: Step, headers: Mapping[str, str], what: str) -> None:
    response = player.send(client, prepare(step, player.signed_values(), headers))
    player.refused(response, f"{step.operation} {what}", *CLOSED)


class _until:  # noqa: N801 - reads as a phrase after "with"
    """Plays a journey up to a step, which then can be sent in other ways; removes at the end what the journey wrote."""

    def __init__(self, player: Player, client: httpx.Client, journey: Journey, step: Step) -> None:
        self._player, self._side, self._step = player, Side("the release", client), step
        self._headers = player.headers(client, journey)
        self._play = player.begin(journey)

    def __enter__(self) -> tuple[Play, Mapping[str, str]]:
        while (following := self._play.next()) is not None and following is not self._step:
            problem = self._player.ask(self._play, self._side, self._headers)
            if problem is not None:
                self._end()
                raise AssertionError(problem)
        return self._play, self._headers

    def __exit__(self, *_: Any) -> None:
        self._end()

    def _end(self) -> None:
        self._play.abandon()
        while self._play.next() is not None:
            self._player.ask(self._play, self._side, self._headers)
