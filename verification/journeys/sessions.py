"""How a user of the service signs in: the request, and the headers that its answer gives every later request."""

from __future__ import annotations

import base64
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from verification.journeys.expectations import Answer, NotCaptured, find
from verification.journeys.issuers import PAUSE_S, RENEWED_AFTER, IssuedHeaders, client_headers, issued, lasts
from verification.journeys.model import Request, Session
from verification.journeys.placeholders import Values
from verification.journeys.player import Prepared, judge, prepare


class NotSignedIn(AssertionError):
    """The answer to a sign-in was not the one that valid credentials get; the text quotes nothing of the answer.

    ``problem`` is the text without the request, ``status`` the answer's.
    """

    def __init__(self, asked: Request, problem: str, status: int | None = None) -> None:
        # The request with its placeholders, because its path may contain the account.
        super().__init__(f"{asked}: {problem}")
        self.problem = problem
        self.status = status


@dataclass(frozen=True)
class Credentials:
    """The headers of every request of a session. ``token`` is the secret in them, None if the session has none.

    ``lasts_s`` is the time until the session ends, in seconds. If another host issues the token, ``headers`` always
    has the newest one.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)
    lasts_s: float = float("inf")
    cookies: tuple[str, ...] = field(default=(), repr=False)
    """The values of the session's cookies: the token of such a session is all of them, with their names."""
    opened_at: float = field(default_factory=lambda: time.monotonic(), repr=False, compare=False)
    """When the session was opened, in seconds of the monotonic clock."""

    @property
    def is_ending(self) -> bool:
        """Return whether it is time to sign in again, so that no request meets the end of the session."""
        return time.monotonic() >= self.opened_at + max(PAUSE_S, RENEWED_AFTER * self.lasts_s)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the texts that no output may show."""
        return self.cookies if self.token is None else (self.token, *self.cookies)


def account_of(user: Any) -> Mapping[str, str]:
    """Return the fields of a smoke user for ``${account.…}``."""
    return {"email": user.email, "password": user.password}


def sign_in_request(session: Session, values: Values) -> Prepared | None:
    """Return the request that opens a session, None if the kind needs none."""
    if session.sign_in is None:
        return None
    return prepare(session.sign_in, values, {} if session.issuer is None else client_headers(session.issuer, values))


def issued_headers(session: Session, values: Values) -> IssuedHeaders | None:
    """Return the headers with a token that another host issues, perhaps not there yet; None for any other session.

    Sends nothing itself, so that timed loops can call it. Raises TokenNotIssued if a placeholder has no value.
    """
    return issued(session, values) if session.issued_elsewhere else None


def without_request(session: Session, values: Values, learn: Callable[[str], None] | None = None) -> Credentials:
    """Return the credentials of a session that the service itself does not open: none, basic, api-key, or a token of another host.

    ``learn`` redacts a token of another host, also each later one. Raises TokenNotIssued.
    """
    if (headers := issued_headers(session, values)) is not None:
        return Credentials(headers, headers.wait(learn))
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
        raise NotSignedIn(asked, str(problem), answer.status)
    if session.kind == "cookie":
        pairs = _cookies(answer)
        if not pairs:
            raise NotSignedIn(asked, "the answer sets no cookie")
        text = "; ".join(f"{name}={value}" for name, value in pairs.items())
        return Credentials({"Cookie": text}, text, _lasts(session, answer), tuple(pairs.values()))
    try:
        token = find(session.token or "$.access_token", answer)
    except NotCaptured as problem:
        raise NotSignedIn(asked, str(problem)) from None
    if not isinstance(token, str) or not token:
        raise NotSignedIn(asked, f"{session.token} is not a text")
    return Credentials({"Authorization": f"Bearer {token}"}, token, _lasts(session, answer))


def _lasts(session: Session, answer: Answer) -> float:
    if session.expires_in is None:
        return float("inf")
    try:
        return lasts(find(session.expires_in, answer))
    except NotCaptured:
        return float("inf")


def _cookies(answer: Answer) -> dict[str, str]:
    headers: Any = answer.headers
    # http.client and httpx name the method for all values of a header differently.
    every = getattr(headers, "get_all", None) or getattr(headers, "get_list", None)
    lines = (every("set-cookie") if every is not None else [headers.get("set-cookie")]) or []
    found: dict[str, str] = {}
    for line in lines:
        name, value, kept = _cookie(line or "")
        if name and kept:  # one that ends a cookie of another path does not replace it
            found[name] = value
    return found


def _cookie(line: str) -> tuple[str, str, bool]:
    """Return name and value of a cookie, and whether it is kept, as browsers read a header Set-Cookie (RFC 6265, 5.2).

    Python's parser drops the whole cookie for an attribute or a character that it does not know.
    """
    pair, *attributes = line.split(";")
    name, equals, value = pair.partition("=")
    if not equals:
        return "", "", False
    given = {key.strip().lower(): text.strip() for key, _, text in (one.partition("=") for one in attributes)}
    age, expires = given.get("max-age", ""), given.get("expires", "")
    if re.fullmatch(r"-?[0-9]+", age):  # it may have more digits than Python reads as a number
        return name.strip(), value.strip(), not re.fullmatch(r"-.*|0+", age)
    try:
        ends = parsedate_to_datetime(expires).timestamp() if expires else math.inf
    except (ValueError, OverflowError):
        ends = math.inf
    return name.strip(), value.strip(), ends > datetime.now(UTC).timestamp()
