"""The service as its users see it, for a deployment's own requests; the checks of ``suites/`` have a client of their own."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

import httpx

from deployment.model import Answer, Findings
from verification.http.answer_limits import AnswerLimits
from verification.http.client import Received, open_client
from verification.http.cookies import ask_alone
from verification.http.raw_http import number_of
from verification.journeys.accounts import SmokeUser
from verification.journeys.expectations import NotCaptured, version_of
from verification.journeys.issuers import TokenNotIssued
from verification.journeys.ledger import Ledger
from verification.journeys.leftovers import removal, swept
from verification.journeys.model import Journey, Service, Step, Sweep
from verification.journeys.placeholders import Values
from verification.journeys.player import Play, Prepared, judge, prepare
from verification.journeys.sessions import NotSignedIn, account_of, credentials, sign_in_request, without_request

_FAILURES = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""No answer, or a captured value that no request can carry."""


JOURNEYS_NAMED = 5
"""The most journeys that a sentence names."""


class HttpFrontDoor:
    """The FrontDoor port over HTTP, which plays the journeys of ``service``.

    It never retries; ``ask`` uses a new connection for each request. ``user`` is the smoke user; None: only journeys without a
    session are played.
    """

    def __init__(
        self,
        live_url: str,
        user: SmokeUser | None,
        service: Service,
        *,
        timeout_s: float,
        answers: AnswerLimits | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """``ledger``: records the data that journeys wrote until it is removed; None: it is not recorded."""
        self._live_url = live_url
        self._user = user
        self._service = service
        self._timeout = timeout_s
        self._answers = answers
        self._ledger = ledger or Ledger(None)

    def ask(self, times: int, url: str | None = None) -> Sequence[Answer]:
        """See ``deployment.ports.FrontDoor``."""
        with self._client(url, keep_alive=False) as client:
            return [self._one(client) for _ in range(times)]

    def _client(self, url: str | None, *, keep_alive: bool = True) -> httpx.Client:
        return open_client(url or self._live_url, timeout_s=self._timeout, keep_alive=keep_alive, answers=self._answers)

    def _one(self, client: httpx.Client) -> Answer:
        health = self._service.health
        prepared = prepare(health.step, Values(None, _marker()), {})
        try:
            response = _send(client, prepared)
        except _FAILURES as error:
            return Answer(False, problem=f"{health.step.request}: {type(error).__name__}")
        colour = response.headers.get("x-bg-color")
        generation = number_of(response.headers.get("x-bg-generation"))
        if (problem := judge(prepared, Received(response), quote=False)) is not None:
            problem = f"{health.step.request}: {problem}"
            return Answer(False, colour, generation, None, problem, response.status_code)
        return Answer(True, colour, generation, version_of(health, Received(response)), status=response.status_code)

    def examine(self, url: str | None = None, *, every: bool = False) -> Sequence[str]:
        """See ``deployment.ports.FrontDoor``."""
        return list(self._examine(url, every=every).problems)

    def inspect(self, url: str | None = None, until: Collection[str] = ()) -> Findings:
        """See ``deployment.ports.FrontDoor``."""
        return self._examine(url, every=True, until=until)

    def _examine(self, url: str | None, *, every: bool, until: Collection[str] = ()) -> Findings:
        with self._client(url) as client:
            examination = _Examination(client, self._service, self._user, self._ledger, every=every, until=until)
            with suppress(_Enough):
                for step in self._service.probes():
                    examination.probe(step)
                for journey in self._service.played_on_live(with_user=self._user is not None):
                    examination.play(journey)
                examination.sign_out()
            return examination.findings

    def examined(self) -> str:
        """See ``deployment.ports.FrontDoor``."""
        asked = [str(step.request) for step in self._service.probes()]
        played = self._service.played_on_live(with_user=self._user is not None)
        named = [f"{one.name} ({len(one.all_steps)})" for one in played[:JOURNEYS_NAMED]]
        more = [f"{len(played) - len(named)} more"] if len(played) > len(named) else []
        journeys = f"; the journeys, with their requests: {', '.join([*named, *more])}" if played else ""
        return f"{', '.join(asked)}{journeys}"


class _Enough(Exception):
    """The first problem, or the first passed check, was found, and the caller wants no other."""


class _Examination:
    """Plays journeys and collects the problems.

    A problem names the request with its placeholders, and quotes nothing of the answer but its status: it is the same
    each time, so a rollback can compare it with the problems before the deployment.
    """

    def __init__(
        self,
        client: httpx.Client,
        service: Service,
        user: SmokeUser | None,
        ledger: Ledger,
        *,
        every: bool,
        until: Collection[str] = (),
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._service = service
        self._user = user
        self._values = partial(Values, None if user is None else account_of(user), _marker())
        self._every = every
        self._until = until
        self._problems: list[str] = []
        self._failed: set[str] = set()
        self._passed: dict[str, None] = {}
        self._sessions: dict[str, Mapping[str, str] | None] = {}

    @property
    def findings(self) -> Findings:
        """Return what was found so far."""
        return Findings(tuple(self._problems), tuple(one for one in self._passed if one not in self._failed))

    def probe(self, step: Step) -> None:
        """Send a request that needs no session."""
        prepared = prepare(step, self._values(), {})
        received = self._send(prepared)
        if received is not None:
            self._judged(str(step.request), received, judge(prepared, received, quote=False))

    def play(self, journey: Journey) -> None:
        """Play a journey if its session can be opened; its data is removed in any case."""
        headers = self._session(journey.session)
        if headers is None:
            return
        play, lost = Play(journey, self._values(), self._ledger.entry(journey)), False
        try:
            while not play.finished:
                prepared = play.prepare(headers)
                received = None
                try:
                    received = self._send(prepared)
                finally:  # also if an exception ends the examination
                    lost = lost or (received is None and prepared.step.request.writes)
                    problem = play.learn(prepared, received, quote=False)
                self._judged(str(prepared.step.request), received, problem)
        finally:
            self._remove(journey, play, headers)
            if lost and journey.sweep is not None and self._sweep(journey, journey.sweep, headers):
                play.settle()

    def sign_out(self) -> None:
        """End the open sessions."""
        for name, headers in self._sessions.items():
            step = self._service.sessions[name].sign_out
            if step is not None and headers is not None:
                prepared = prepare(step, self._values(), headers)
                received = self._send(prepared)
                if received is not None:
                    self._judged(str(step.request), received, judge(prepared, received, quote=False))

    def _session(self, name: str | None) -> Mapping[str, str] | None:
        """Return the headers of the session's requests; None if sign-in fails, which is noted once.

        A token that another host did not issue is not noted: it says nothing about this colour, and traffic must be able
        to go back to it. The checks that need the token fail with the reason.
        """
        if name is None:
            return {}
        if name not in self._sessions:
            self._sessions[name] = None
            self._sessions[name] = self._sign_in(name)
        return self._sessions[name]

    def _sign_in(self, name: str) -> Mapping[str, str] | None:
        session, values = self._service.sessions[name], self._values()
        asked = sign_in_request(session, values)
        if asked is None:
            try:
                return without_request(session, values).headers
            except TokenNotIssued:
                return None
        what = f"{asked.step.request} for {self._user.email}" if self._user else str(asked.step.request)
        received = self._send(asked, what)
        if received is None:
            return None
        try:
            headers = credentials(session, asked, received).headers
        except NotSignedIn as error:
            self._note(what, error.problem)
            return None
        self._judged(what, received, None)
        return headers

    def _remove(self, journey: Journey, play: Play, headers: Mapping[str, str]) -> None:
        """Send the ``undo`` steps that were not reached."""
        if play.left_something and not play.finished:
            self._undo(removal(journey, play.values, play.entry), headers)

    def _undo(self, undoing: Play, headers: Mapping[str, str]) -> bool:
        """Send the steps of a removal; return whether all succeeded."""
        while not undoing.finished:
            prepared = undoing.prepare(headers)
            undoing.learn(prepared, self._quietly(prepared))
        return not undoing.undo_failed

    def _sweep(self, journey: Journey, sweep: Sweep, headers: Mapping[str, str]) -> bool:
        """Remove the data of requests whose answers were lost; return whether all of it was removed."""
        values = self._values()
        received = self._quietly(prepare(sweep.step, values, headers))
        if received is None:
            return False
        try:
            found = swept(sweep, values, received)
        except NotCaptured:
            return False
        removed = []
        for captured in found:
            entry = self._values()
            entry.learn(captured)
            removed.append(self._undo(removal(journey, entry), headers))
        return all(removed)

    def _quietly(self, prepared: Prepared) -> Received | None:
        """Return the answer, None if there is none; problems of removing are not noted."""
        try:
            return Received(_send(self._client, prepared))
        except _FAILURES:
            return None

    def _send(self, prepared: Prepared, what: str | None = None) -> Received | None:
        """Return the answer, None if there is none, which is noted as a problem of ``what`` (None: of the request)."""
        try:
            return Received(_send(self._client, prepared))
        except _FAILURES as error:
            self._note(what or str(prepared.step.request), type(error).__name__)
            return None

    def _judged(self, what: str, received: Received | None, problem: str | None) -> None:
        """Note the problem of an answer, or that the check passed. Raises _Enough if the caller wants no more.

        A gateway may send any other status than 2xx for a dead service, also one that a step expects.
        """
        if problem is not None:
            self._note(what, problem)
        elif received is not None and received.response.is_success:
            self._passed[what] = None
            if what in self._until:
                raise _Enough

    def _note(self, what: str, problem: str) -> None:
        """Note a problem. Raises _Enough if the caller wants only the first one."""
        self._failed.add(what)
        self._problems.append(f"{what}: {problem}")
        if not self._every:
            raise _Enough


def _send(client: httpx.Client, prepared: Prepared) -> httpx.Response:
    # Without the cookies of the answers before: a load balancer's would lead to one instance.
    return ask_alone(client, prepared.method, prepared.path, prepared.headers, prepared.body)


def _marker() -> str:
    return f"deployment verification {secrets.token_hex(4)}"
