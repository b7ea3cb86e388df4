"""Sends timed requests to one colour, one at a time, on a kept or on a fresh connection: the time that a user would wait."""

from __future__ import annotations

import http.client
import secrets
import ssl
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from verification.http.raw_http import Answer, Connection, TooLargeOnTheWire, WireTimeout
from verification.http.route import DIRECT, Route
from verification.journeys.expectations import NotCaptured
from verification.journeys.issuers import PAUSE_S, TIMEOUT_S, IssuedHeaders, TokenNotIssued
from verification.journeys.ledger import Ledger
from verification.journeys.leftovers import removal, swept
from verification.journeys.model import Journey, Session
from verification.journeys.placeholders import Values
from verification.journeys.player import Play, Prepared, judge, prepare
from verification.journeys.sessions import (
    Credentials,
    NotSignedIn,
    account_of,
    credentials,
    sign_in_request,
    without_request,
)
from verification.latency.plan import Kind, LatencyPlan, Operation, is_needed

_AGENT = "latency-check"


class Unanswered(Exception):
    """There was no answer, or not the expected one. The text says which, and quotes no secret of the answer."""


class Asker:
    """A smoke user's sessions on one colour. Not safe to use from two threads."""

    def __init__(self, url: str, plan: LatencyPlan, context: ssl.SSLContext | None, route: Route = DIRECT) -> None:
        self.url = url
        self._route = route
        self._plan = plan
        self._context = context
        self._account = None if plan.user is None else account_of(plan.user)
        self._ledger = Ledger(
            plan.ledger, [] if plan.user is None else [plan.user.password], plan.service.private_fields
        )
        self._kept = self._connect()
        self._sessions: dict[str, Credentials] = {}
        self._refused: dict[str, str] = {}  # sessions whose request was answered 401, with its header Authorization
        self._renewed_at: dict[str, float] = {}  # the last attempt to sign in again, by session, in monotonic s
        self._extra: dict[str, deque[Credentials]] = {}  # sessions opened to be measured, and closed again
        self._plays: dict[str, Play] = {}
        self._passed: dict[str, int] = {}  # the last step of each play that should be timed
        self._left: list[Play] = []  # plays whose data could not be removed yet
        self._lost: list[Play] = []  # plays with a lost answer, so that it is unknown what they wrote

    def ask(self, operation: Operation, kind: Kind) -> float | None:
        """Send one request and return its time in ms.

        The time runs from before the request (of a fresh connection: from before connecting) to the end of the answer.
        None if the operation has nothing to ask about, because an earlier request created nothing. Before that, and not
        timed, the session is renewed if it ends soon or was refused. Raises Unanswered.
        """
        if operation.role == "step" and operation.session is not None:
            self._renew(operation.session)
        prepared = self._prepare(operation)
        if prepared is None:
            return None
        if kind == "kept" and not self._kept.usable:
            self.reconnect()
            self._send(self._kept, self._probe())  # so that its set-up is not counted for the kept connection
        connection = self._kept if kind == "kept" else self._connect()
        answer, elapsed = None, 0.0
        begin = time.perf_counter()
        try:
            answer = self._send(connection, prepared)
            elapsed = (time.perf_counter() - begin) * 1000
        finally:
            if kind == "fresh":
                connection.close()
            problem = self._learn(operation, prepared, answer)
        if problem is not None:
            raise Unanswered(problem)
        return elapsed

    def sign_in(self) -> None:
        """Open the session of each journey that has one. Raises Unanswered."""
        for operation in self._plan.operations.values():
            session = operation.session if operation.role == "step" else None
            if session is not None and session.name not in self._sessions:
                self._sessions[session.name] = self._signed_in(session)

    def reconnect(self) -> None:
        """Close the kept connection; the next request on it opens another one."""
        self._kept.close()
        self._kept = self._connect()

    def clear(self) -> None:
        """Remove what journeys wrote and close open sessions, within twice the time-out. Data that cannot be removed stays."""
        end = time.monotonic() + 2 * self._plan.timeout_s
        plays = (*self._plays.values(), *self._left)
        written = (*(play for play in plays if play.left_something), *self._lost)
        for name in {play.journey.session for play in written}:
            with suppress(Unanswered):  # the old credentials may still be good
                if name in self._sessions:
                    self._renew(self._plan.service.sessions[name])
        for play in plays:
            play.abandon()
            self._remove(play, end)
            play.undo_again()
            self._remove(play, end)
        for play in self._lost:
            self._sweep(play, end)
        for session, found in self._open_sessions():
            if session.sign_out is not None and time.monotonic() < end:
                self._quietly(prepare(session.sign_out, self._values(), found.headers))
        self._kept.close()
        self._ledger.close()

    def _open_sessions(self) -> Iterator[tuple[Session, Credentials]]:
        sessions = self._plan.service.sessions
        for name, extra in self._extra.items():
            yield from ((sessions[name], one) for one in extra)
        yield from ((sessions[name], one) for name, one in self._sessions.items())

    def _signed_in(self, session: Session) -> Credentials:
        values = self._values()
        asked = sign_in_request(session, values)
        try:
            if asked is None:
                return without_request(session, values)
            return credentials(session, asked, self._send(self._kept, asked))
        except (NotSignedIn, TokenNotIssued) as problem:
            raise Unanswered(str(problem)) from None

    def _renew(self, session: Session) -> None:
        """Renew a session that ends soon or was refused, at most once in ``PAUSE_S``: sign in again, or wait for another token
        of another host. Raises Unanswered."""
        found, now = self._sessions.get(session.name), time.monotonic()
        if found is None or not (found.is_ending or session.name in self._refused):
            return
        if now < self._renewed_at.get(session.name, float("-inf")) + PAUSE_S:
            return
        self._renewed_at[session.name] = now
        if isinstance(found.headers, IssuedHeaders):
            found.headers.wait_for_another(self._refused.pop(session.name, ""), PAUSE_S + TIMEOUT_S)
            self._renewed_at[session.name] = time.monotonic()
            return
        if not self._kept.usable:
            self.reconnect()
        self._sessions[session.name] = self._signed_in(session)
        self._refused.pop(session.name, None)

    def _prepare(self, operation: Operation) -> Prepared | None:
        """Return the request; None if a request before it failed, or created nothing that this one could ask about."""
        session = operation.session
        match operation.role:
            case "sign in":
                return None if session is None else sign_in_request(session, self._values())
            case "sign out":
                extra = self._extra.get(session.name if session else "")
                return prepare(operation.step, self._values(), extra[0].headers) if extra else None
        if operation.journey is None:
            return prepare(operation.step, self._values(), {})
        play = self._come_to(operation, operation.journey)
        return None if play is None else play.prepare(self._headers(play))

    def _come_to(self, operation: Operation, journey: Journey) -> Play | None:
        """Return a run of the journey whose next step is the operation's; None if the run cannot get there.

        Steps in between are sent if the operation needs them: another journey measures their operations. Raises
        Unanswered if one of them fails.
        """
        play, number = self._plays.get(journey.name), journey.all_steps.index(operation.step)
        if play is None or number <= self._passed[journey.name]:
            if play is not None:
                play.abandon()
                self._remove(play)
            play = self._plays[journey.name] = Play(journey, self._values(), self._ledger.entry(journey))
        self._passed[journey.name] = number
        while (step := play.next()) is not None and step != operation.step:
            if play.failed and operation.step in journey.steps:
                return None
            if not is_needed(step, operation.step):
                play.skip()
            elif (problem := self._quietly_next(play)) is not None and step in journey.steps:
                raise Unanswered(f"{step.request} before it: {problem}")
        return play if step is not None else None

    def _learn(self, operation: Operation, prepared: Prepared, answer: Answer | None) -> str | None:
        """Take in an answer, or None if there was none; return what is wrong with it."""
        if operation.journey is not None:
            return self._take_in(self._plays[operation.journey.name], prepared, answer)
        if answer is None:
            return None
        session = operation.session
        if operation.role == "sign out" and session is not None:
            problem = judge(prepared, answer, quote=False)
            if problem is None:
                self._extra[session.name].popleft()
            return problem
        if session is None:
            return judge(prepared, answer, quote=False)
        try:
            self._extra.setdefault(session.name, deque()).append(credentials(session, prepared, answer))
        except NotSignedIn as problem:
            return problem.problem
        return None

    def _remove(self, play: Play, end: float = float("inf")) -> None:
        """Send the remaining ``undo`` steps until ``end`` (monotonic s), and remember the run if they did not succeed."""
        if not play.left_something:
            return
        while play.next() is not None and time.monotonic() < end:
            self._quietly_next(play)
        if play.left_something and play not in self._left:
            self._left.append(play)

    def _sweep(self, play: Play, end: float) -> None:
        """Remove what a run of a journey wrote although its answer was lost; the run's marker identifies its entries."""
        sweep = play.journey.sweep
        answer = None
        if sweep is not None and time.monotonic() < end:
            answer = self._quietly(prepare(sweep.step, play.values, self._headers(play)))
        if sweep is None or answer is None:
            return
        try:
            entries = swept(sweep, play.values, answer)
        except NotCaptured:
            return
        for captured in entries:
            play.values.learn(captured)
            removing = removal(play.journey, play.values)
            while not removing.finished and time.monotonic() < end:
                if self._quietly_next(removing) is not None:
                    return
        play.settle()

    def _quietly_next(self, play: Play) -> str | None:
        """Send the next step without timing it; return what is wrong with the answer."""
        prepared = play.prepare(self._headers(play))
        answer = self._quietly(prepared)
        problem = self._take_in(play, prepared, answer)
        return "no answer" if answer is None else problem

    def _take_in(self, play: Play, prepared: Prepared, answer: Answer | None) -> str | None:
        if answer is None and prepared.step.request.writes and prepared.step in play.journey.steps:
            self._lost.append(play)
        if answer is not None and answer.status == 401 and 401 not in prepared.expect.statuses:
            self._note_refused(play.journey.session or "", prepared)
        return play.learn(prepared, answer, quote=False)

    def _note_refused(self, name: str, prepared: Prepared) -> None:
        """Note that a session was answered 401: ``_renew`` renews it before the next request; a token of another host is fetched at once."""
        if (found := self._sessions.get(name)) is None:
            return
        issued = found.headers if isinstance(found.headers, IssuedHeaders) else None
        if issued is not None or self._plan.service.sessions[name].sign_in is not None:
            self._refused[name] = prepared.headers.get("Authorization", "")
        if issued is not None:
            issued.lost(self._refused[name])

    def _quietly(self, prepared: Prepared) -> Answer | None:
        try:
            return self._send(self._kept, prepared)
        except Unanswered:
            return None

    def _headers(self, play: Play) -> dict[str, str]:
        session = play.journey.session
        if session not in self._sessions:
            return {}
        headers = self._sessions[session].headers
        if isinstance(headers, IssuedHeaders) and headers.token is None:
            raise Unanswered(headers.problem or "the session's token has ended")
        return dict(headers)

    def _values(self) -> Values:
        """Return values with a new marker for each run of a journey, because both colours may write to the same place."""
        return Values(self._account, f"{_AGENT}-{secrets.token_hex(4)}")

    def _probe(self) -> Prepared:
        return prepare(self._plan.service.health.step, self._values(), {})

    def _connect(self) -> Connection:
        return Connection(self.url, self._context, self._plan.timeout_s, self._plan.largest, self._route)

    def _send(self, connection: Connection, prepared: Prepared) -> Answer:
        headers = {"User-Agent": _AGENT, **prepared.headers}
        try:
            return connection.ask(prepared.method, prepared.path, headers, prepared.body)
        except TooLargeOnTheWire as exc:
            connection.close()
            raise Unanswered(str(exc)) from exc
        except (WireTimeout, OSError, http.client.HTTPException) as exc:
            connection.close()
            raise Unanswered(f"no answer: {type(exc).__name__}") from exc
