"""How a user of the service signs in: the request, and the headers that its answer gives every later request."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

from verification.journeys.expectations import Answer, NotCaptured, find
from verification.journeys.model import Request, Session
from verification.journeys.placeholders import Values
from verification.journeys.player import Prepared, judge, prepare


class NotSignedIn(AssertionError):
    """The answer to a sign-in was not the one that valid credentials get; the text quotes nothing of the answer.

    ``problem`` is the text without the request.
    """

    def __init__(self, asked: Request, problem: str) -> None:
        # The request with its placeholders, because its path may contain the account.
        super().__init__(f"{asked}: {problem}")
        self.problem = problem


@dataclass(frozen=True)
class Credentials:
    """The headers of every request of a session. ``token`` is the secret in them, None if the session has none."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)


def account_of(user: Any) -> Mapping[str, str]:
    """Return the fields of a smoke user for ``${account.…}``."""
    return {"email": user.email, "password": user.password}


def sign_in_request(session: Session, values: Values) -> Prepared | None:
    """Return the request that opens a session, None if the kind needs none."""
    return None if session.sign_in is None else prepare(session.sign_in, values, {})


def without_request(session: Session, values: Values) -> Credentials:
    """Return the credentials of a kind that needs no sign-in: none, basic, api-key."""
    match session.kind:
        case "basic":
            pair = f"{values.fill(session.username)}:{values.fill(session.password)}"
            token = base64.b64encode(pair.encode()).decode()
            return Credentials({"Authorization": f"Basic {token}"}, token)
        case "api-key":
            token = str(values.fill(session.password))
            return Credentials({session.header: token}, token)
    return Credentials()


def credentials(session: Session, prepared: Prepared, answer: Answer) -> Credentials:
    """Return the credentials that the answer to a sign-in gives. Raises NotSignedIn."""
    asked = prepared.step.request
    if (problem := judge(prepared, answer, quote=False)) is not None:
        raise NotSignedIn(asked, str(problem))
    if session.kind == "cookie":
        pairs = _cookies(answer)
        if not pairs:
            raise NotSignedIn(asked, "the answer sets no cookie")
        text = "; ".join(f"{name}={value}" for name, value in pairs.items())
        return Credentials({"Cookie": text}, text)
    try:
        token = find(session.token or "$.access_token", answer)
    except NotCaptured as problem:
        raise NotSignedIn(asked, str(problem)) from None
    if not isinstance(token, str) or not token:
        raise NotSignedIn(asked, f"{session.token} is not a text")
    return Credentials({"Authorization": f"Bearer {token}"}, token)


def _cookies(answer: Answer) -> dict[str, str]:
    headers: Any = answer.headers
    # http.client and httpx name the method for all values of a header differently.
    every = getattr(headers, "get_all", None) or getattr(headers, "get_list", None)
    lines = (every("set-cookie") if every is not None else [headers.get("set-cookie")]) or []
    found: dict[str, str] = {}
    for line in lines:
        try:
            found.update({name: one.value for name, one in SimpleCookie(line or "").items()})
        except CookieError:
            continue
    return found
