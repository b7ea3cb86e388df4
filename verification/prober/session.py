"""A session of the prober. It signs in once, and again after the session was lost or before it expires."""

from __future__ import annotations

import time
from collections.abc import Mapping

from verification.journeys.expectations import Answer
from verification.journeys.issuers import IssuedHeaders
from verification.journeys.model import Session
from verification.journeys.placeholders import Values
from verification.journeys.player import Prepared
from verification.journeys.sessions import (
    Credentials,
    NotSignedIn,
    credentials,
    issued_headers,
    sign_in_request,
    without_request,
)


class ProberSession:
    """A session and its renewal. Not safe to use from two threads."""

    def __init__(self, session: Session, values: Values, pause_s: float) -> None:
        """``pause_s`` is the pause before another attempt to sign in, in seconds."""
        self._session = session
        self._values = values
        self._pause_s = pause_s
        self._opened: Credentials | None = None
        if session.sign_in is None:
            # Not `without_request` for a token of another host: it would wait for that host.
            self._opened = Credentials(issued_headers(session, values) or without_request(session, values).headers)
        self._signing_in = False
        self._not_before = 0.0

    @property
    def headers(self) -> Mapping[str, str] | None:
        """Return what each request of the session carries, never to be logged; None before it is signed in.

        If another host issues the token, it is also None while there is no valid one: that is no fault of the service.
        """
        headers = None if self._opened is None else self._opened.headers
        return None if isinstance(headers, IssuedHeaders) and headers.token is None else headers

    def due(self) -> Prepared | None:
        """Return the request that signs in if it is time for it; its answer goes to ``learn``."""
        if self._signing_in or time.monotonic() < self._not_before:
            return None
        if self._opened is not None and not self._opened.is_ending:
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
            self._opened = credentials(self._session, prepared, answer)
        except NotSignedIn as error:
            return error.problem
        return None

    def lost(self, headers: Mapping[str, str]) -> None:
        """Note that a request with these headers was answered 401: sign in again, unless the session has been renewed since."""
        if isinstance(headers, IssuedHeaders):
            headers.lost()
        elif self._session.sign_in is not None and self._opened is not None and headers is self._opened.headers:
            self._opened = None
