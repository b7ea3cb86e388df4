"""The users that Locust plays, by a plan that is known at the start, or comes from the master."""

from __future__ import annotations

import random
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event
from geventhttpclient.client import HTTPClient, HTTPClientPool
from locust import constant_throughput, task
from locust.contrib.fasthttp import FastHttpUser, FastResponse
from locust.event import EventHook

from verification.http.decoding import ENCODINGS, Meter, TooLarge
from verification.http.route import DIRECT, Route
from verification.journeys.expectations import Answer, NotCaptured
from verification.journeys.issuers import IssuedHeaders, TokenNotIssued
from verification.journeys.ledger import Ledger
from verification.journeys.leftovers import removal, swept
from verification.journeys.model import Journey, Service, Session
from verification.journeys.placeholders import Values, secret_values
from verification.journeys.player import Play, Prepared, prepare
from verification.journeys.sessions import Credentials, NotSignedIn, credentials, sign_in_request, without_request
from verification.load.locusts.clearing import MOST_AT_ONCE, remove_each, removing_s
from verification.load.model import MOST_REMOVING_S, journeys_of

_AGENT = "load-check"
_PIECE = 65_536

PLAN: dict[str, Any] = {}
ACCOUNTS: deque[Mapping[str, str]] = deque()
ROUTE: list[Route] = []
MISSING_TOKENS: set[str] = set()
"""Why users had to wait: another host issued no token for a session. Such a load proves nothing about the release."""
LEDGER: list[Ledger] = []
planned = Event()
_journeys: list[Journey] = []
_sessions: list[Session] = []
_open: dict[Play, SmokeUser] = {}  # runs of journeys that may have left something
_lost: set[Play] = set()  # runs with a lost answer, so that it is unknown what they wrote


def adopt(plan: Mapping[str, Any], accounts: Sequence[Mapping[str, str]], first: int = 0) -> None:
    """Set what users do from now on, and with which accounts; ``first``: the index of the first user's account."""
    PLAN.update(plan)
    ACCOUNTS.extend(accounts)
    ACCOUNTS.rotate(-first)
    service = Service.from_json(plan["service"])
    _journeys[:] = journeys_of(service)
    names = dict.fromkeys(one.session for one in _journeys if one.session is not None)
    _sessions[:] = [service.sessions[name] for name in names]
    SmokeUser.wait_time = constant_throughput(plan["rate_per_user"])
    SmokeUser.network_timeout = SmokeUser.connection_timeout = plan["timeout_s"]
    _know_loopback(urlsplit(plan["base_url"]).hostname or "")
    ROUTE[:] = [Route.from_json(plan["route"])] if plan.get("route") else []
    secrets = [*secret_values(service.variables), *(account["password"] for account in accounts)]
    LEDGER[:] = [Ledger(plan.get("ledger"), secrets, service.private_fields)]
    planned.set()


def _know_loopback(own: str) -> None:
    """Connect to the loopback address for ``*.localhost`` (RFC 6761), independent of the resolver; Host and TLS name stay the URL's."""
    if own != "localhost" and not own.endswith(".localhost"):
        return
    resolve = gevent_socket.getaddrinfo

    def loopback(host: Any, *rest: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host == own else host, *rest, **named)

    gevent_socket.getaddrinfo = loopback


def clear(most_s: float = MOST_REMOVING_S) -> int:
    """Remove what journeys have written, in at most ``most_s``; return how many runs of journeys may have left something.

    Their entries in the run's ledger stay open, so that the end of the run removes their data. These requests come after
    the load, so Locust does not count them. Not in ``on_stop``, because Locust does not wait for that of a user between
    requests.
    """
    plays, users = list(_open), set(_open.values())
    uncounted: Any = EventHook  # Locust's own types are incomplete
    for user in users:
        user.client.request_event = uncounted()  # without listeners
    at_once = min(MOST_AT_ONCE, max(1, len(users)))  # never more requests at a time than under load
    remove_each(plays, lambda play: _open[play].remove(play), removing_s(len(plays), most_s), at_once)
    return sum(play.left_something or play in _lost for play in plays)


def _route() -> Route:
    return ROUTE[0] if ROUTE else DIRECT


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=PLAN["ca_file"])


class TooLargeForLoad(ConnectionError):
    """The answer's body is larger than allowed, or has an encoding that the client did not ask for."""


class LimitedResponse(FastResponse):
    """An answer whose body is read at once, within the request's deadline and up to the plan's size."""

    def _content(self) -> bytes:
        if self.headers is None or self._response is None:
            return b""
        encodings = [part for value in self.headers.getlist("content-encoding") for part in value.split(",")]
        try:
            meter, pieces = Meter(encodings, PLAN["largest"], keep=True), []
            while piece := self._response.read(_PIECE):
                pieces += meter.feed(bytes(piece))
        except (TooLarge, ValueError) as error:
            self.release()
            raise TooLargeForLoad("the answer is larger than largest_answer allows, or has another encoding") from error
        except BaseException:
            self.release()
            raise
        self.release()
        return b"".join(pieces)

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        _ = self.content  # a kept connection from here on


class SentOnce(HTTPClientPool):
    """Clients that send each request once, so that each request without an answer is one failure.

    ``HTTPClient.request`` sends an idempotent request again, up to the size of its connection pool and once more, if the
    connection ends without an answer. It reads the size only for this limit. Before it sends, the connection pool itself
    replaces connections that the server closed while they were idle.
    """

    def get_client(self, url: Any) -> HTTPClient:
        """Return the client of a URL's host, without its repetitions."""
        client = super().get_client(url)
        client._connection_pool.size = -1  # HTTPClient has no other way to switch them off
        return client


class SmokeUser(FastHttpUser):
    """A user that signs in once, then sends one request at a time, at the plan's rate: the next one of its journey, or of another one."""

    max_retries = 0
    ssl_context_factory = staticmethod(_tls)

    def __init__(self, environment: Any) -> None:
        planned.wait()  # on a worker the plan may arrive a moment after the order to begin
        # Only from the plan: a forged master could set all of these in Locust, and users send their passwords to this address.
        self.host, self.insecure, self.proxy_host, self.proxy_port = PLAN["base_url"], False, None, None
        super().__init__(environment)
        self.client.client.clientpool = SentOnce(**self.client.client.clientpool.client_args)
        if (name := _route().tls_name) is not None:
            self.client.client.clientpool.client_args["ssl_options"] = {"server_hostname": name}
        self.client.client.response_type = LimitedResponse  # type: ignore[misc]  # Locust has no other way to choose it

    def on_start(self) -> None:
        """Sign in as the next of the smoke users."""
        self.account = ACCOUNTS[0] if ACCOUNTS else None
        ACCOUNTS.rotate(-1)
        self.credentials: dict[str, Credentials] = {}
        self.play: Play | None = None
        self.sign_in()

    def sign_in(self) -> bool:
        """Open the sessions that are missing or end soon; the next request tries again if one fails.

        Return whether this turn is over: a request was sent, or another host issued no token for a session. The user
        then sends nothing, because an answer to a request without a token would count against the release.
        """
        asked = False
        for session in _sessions:
            if self.is_open(session):
                continue
            values = self.values()
            prepared = sign_in_request(session, values)
            if prepared is None:
                try:
                    self.credentials[session.name] = without_request(session, values)
                except TokenNotIssued as problem:
                    MISSING_TOKENS.add(str(problem))
                    asked = True
                continue
            self.ask(prepared, partial(self.open, session, prepared))
            asked = True
        return asked

    def is_open(self, session: Session) -> bool:
        """Return whether the user has credentials for a session that do not end soon, and a token of another host has not ended."""
        found = self.credentials.get(session.name)
        if found is None or found.is_ending:
            return False
        return not (isinstance(found.headers, IssuedHeaders) and found.headers.token is None)

    def open(self, session: Session, prepared: Prepared, answer: Answer | None) -> str | None:
        """Take in the answer to a sign-in; return what is wrong with it."""
        try:
            if answer is not None:
                self.credentials[session.name] = credentials(session, prepared, answer)
        except NotSignedIn as problem:
            return problem.problem
        return None

    @task
    def step(self) -> None:
        """Send one request: the next one of the journey, else the first one of another journey."""
        if self.sign_in():
            return
        if self.play is None or self.play.finished:
            journey = random.choices(_journeys, [one.weight for one in _journeys])[0]  # noqa: S311 - a mix, not a secret
            self.play = Play(journey, self.values(), LEDGER[0].entry(journey))
            _open[self.play] = self
        self.go_on(self.play)

    def go_on(self, play: Play) -> None:
        """Send the next request of a journey."""
        session = play.journey.session or ""
        known = self.credentials.get(session, Credentials())
        prepared = play.prepare(known.headers)
        status = self.ask(prepared, partial(self.take_in, play, prepared))
        if status == 401 and 401 not in prepared.expect.statuses:
            if self.signs_in(session):
                self.credentials.pop(session, None)
            elif isinstance(known.headers, IssuedHeaders):
                known.headers.lost()
        if play.finished and not play.left_something and play not in _lost:
            _open.pop(play, None)

    @staticmethod
    def take_in(play: Play, prepared: Prepared, answer: Answer | None) -> str | None:
        """Take in an answer; return what is wrong with it, without its values: failures are counted by their text."""
        if answer is None and prepared.step.request.writes and prepared.step in play.journey.steps:
            _lost.add(play)
        return play.learn(prepared, answer, quote=False)

    def remove(self, play: Play) -> None:
        """Remove what a run of a journey has written."""
        if play.finished:
            play.undo_again()
        play.abandon()
        while play.left_something and not play.finished:
            self.go_on(play)
        if play in _lost:
            self.sweep(play)

    def sweep(self, play: Play) -> None:
        """Remove what a run of a journey wrote although its answer was lost; the run's marker identifies its entries."""
        sweep, found = play.journey.sweep, []
        if sweep is None:
            return

        def look(answer: Answer | None) -> str | None:
            if answer is not None:
                try:
                    found.extend(swept(sweep, play.values, answer))
                except NotCaptured as problem:
                    return str(problem)
            return None

        known = self.credentials.get(play.journey.session or "", Credentials())
        status = self.ask(prepare(sweep.step, play.values, known.headers), look)
        removed = status in sweep.step.expect.statuses
        for captured in found:
            play.values.learn(captured)
            removing = removal(play.journey, play.values)
            while not removing.finished:
                self.go_on(removing)
            removed = removed and not removing.undo_failed
        if removed:
            play.settle()
            _lost.discard(play)

    def ask(self, prepared: Prepared, learn: Callable[[Answer | None], str | None]) -> int:
        """Send a request and return the answer's status, 0 without one; ``learn`` takes in the answer and returns what is wrong with it."""
        headers = _route().beside({"User-Agent": _AGENT, "Accept-Encoding": ENCODINGS, **prepared.headers})
        try:
            # Locust limits each single read; this ends the request even if its answer arrives slowly.
            with gevent.Timeout(PLAN["timeout_s"]):
                asked = self.client.request(
                    prepared.method,
                    prepared.path,
                    name=prepared.step.operation,
                    data=prepared.body,  # type: ignore[arg-type]  # it takes bytes as well, as its docstring says
                    headers=headers,
                    allow_redirects=False,
                    catch_response=True,
                )
        except BaseException:
            learn(None)
            raise
        with asked as response:
            status = int(response.status_code)
            problem = learn(_Answer(status, _Headers(response.headers), _bytes(response.content)) if status else None)
            if status == 0:
                response.failure(f"no answer: {type(response.error).__name__}")
            elif problem is not None:
                response.failure(problem)
            else:
                response.success()
        return status

    @staticmethod
    def signs_in(name: str) -> bool:
        """Return whether a request opens the session."""
        return any(one.name == name and one.sign_in is not None for one in _sessions)

    def values(self) -> Values:
        """Return values with a new marker for each run of a journey, because all users may write to the same place."""
        return Values(self.account, f"{_AGENT}-{secrets.token_hex(4)}")


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: _Headers
    body: bytes


class _Headers:
    """The headers of Locust's answer, with the methods that ``http.client`` has for them."""

    def __init__(self, given: Any) -> None:
        self._given = given

    def get(self, name: str, default: None = None) -> str | None:
        """Return all values of a header in one text."""
        return ", ".join(self.get_all(name)) or default

    def get_all(self, name: str) -> list[str]:
        """Return each value of a header."""
        return [] if self._given is None else [str(one) for one in self._given.getlist(name)]


def _bytes(body: bytes | str | None) -> bytes:
    return body if isinstance(body, bytes) else (body or "").encode()
