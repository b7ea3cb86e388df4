"""A session of the prober. It signs in once, and again after the session was lost or before it expires."""

from __future__ import annotations

import time
from collections.abc import Mapping

from verification.journeys.expectations import Answer, NotCaptured, find
from verification.journeys.model import Session
from verification.journeys.placeholders import Values
from verification.journeys.player import Prepared
from verification.journeys.sessions import NotSignedIn, credentials, sign_in_request, without_request

_RENEWED_AFTER = 0.8
"""The part of a session's lifetime after which it is renewed: a request in an expired session would look like a failure."""


class ProberSession:
    """A session and its renewal. Not safe to use from two threads."""

    def __init__(self, session: Session, values: Values, pause_s: float) -> None:
        """``pause_s`` is the pause before another attempt to sign in, in seconds."""
        self._session = session
        self._values = values
        self._pause_s = pause_s
        self._headers = without_request(session, values).headers if session.sign_in is None else None
        self._signing_in = False
        self._not_before = 0.0
        self._renew_at = float("inf")

    @property
    def headers(self) -> Mapping[str, str] | None:
        """Return what each request of the session carries, never to be logged; None before it is signed in."""
        return self._headers

    def due(self) -> Prepared | None:
        """Return the request that signs in if it is time for it; its answer goes to ``learn``."""
        now = time.monotonic()
        if self._signing_in or now < self._not_before or (self._headers is not None and now < self._renew_at):
            return None
        return self.sign_in()

    def sign_in(self) -> Prepared | None:
        """Return the request that signs in, None if the kind of session has none; its answer goes to ``learn``."""
        asked = sign_in_request(self._session, self._values)
        self._signing_in = asked is not None
        return asked

    def learn(self, prepared: Prepared, answer: Answer | None) -> str | None:
        """Take in the answer to the request that signs in (None: there was none); return what is wrong with it."""
        self._signing_in = False
        self._not_before = time.monotonic() + self._pause_s
        if answer is None:
            return None
        try:
            self._headers = credentials(self._session, prepared, answer).headers
        except NotSignedIn as error:
            return error.problem
        self._renew_at = time.monotonic() + _RENEWED_AFTER * self._lasts(answer)
        return None

    def lost(self, headers: Mapping[str, str]) -> None:
        """Note that a request with these headers was answered 401: sign in again, unless the session has been renewed since."""
        if self._session.sign_in is not None and headers is self._headers:
            self._headers = None

    def _lasts(self, answer: Answer) -> float:
        if self._session.expires_in is None:
            return float("inf")
        try:
            seconds = float(find(self._session.expires_in, answer))
        except (NotCaptured, TypeError, ValueError, OverflowError):
            return float("inf")
        return seconds if seconds > 0 else float("inf")
