"""Fixtures of checks that play journeys; ``pytest --fixtures`` shows the first line of each docstring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from plugins.fixtures import Session
from verification.contract.openapi import Contract, ContractViolation, violation
from verification.contract.uncompared import uncompared
from verification.http.client import Received, curl_for
from verification.http.cookies import ask_alone
from verification.journeys.accounts import SmokeUser
from verification.journeys.expectations import NotCaptured
from verification.journeys.leftovers import swept
from verification.journeys.model import Journey, Service, Step
from verification.journeys.model import Session as SignedIn
from verification.journeys.placeholders import Values
from verification.journeys.player import Play, Prepared, judge, prepare
from verification.journeys.sessions import Credentials

Choose = Callable[[int], "Side"]


@dataclass(frozen=True)
class Side:
    """A colour as a check sees it: its name in messages, and its client."""

    name: str
    client: httpx.Client


class JourneyFailed(AssertionError):
    """A step of a journey was not answered as expected; the text says which, got, expected, and how to see it again."""


@dataclass
class Player:
    """Plays journeys with httpx for one process; what it writes it removes again."""

    deployment: Session = field(repr=False)

    @property
    def service(self) -> Service:
        """The description of the service."""
        return self.deployment.service

    @property
    def contract(self) -> Contract | None:
        """The service's contract, None if the description names none."""
        return None if self.service.contract is None else self.deployment.contract

    def user(self, number: int = 0) -> SmokeUser:
        """Return a smoke user. Fails the check if there are too few."""
        return self.deployment.smoke_user(number)

    def headers(self, client: httpx.Client, journey: Journey, number: int = 0) -> Mapping[str, str]:
        """Return the headers of a session for a journey, empty without one; the checks of this process share it."""
        if journey.session is None or not self.service.needs_account(journey):
            return {}
        return self.deployment.credentials(client, self.service.sessions[journey.session], self.user(number)).headers

    def values(self, journey: Journey, number: int = 0) -> Values:
        """Return the values of one run of a journey."""
        return self.deployment.values(self.user(number) if self.service.needs_account(journey) else None)

    def signed_values(self) -> Values:
        """Return the values of a request that is sent by the first smoke user."""
        return self.deployment.values(self.user())

    def begin(self, journey: Journey) -> Play:
        """Return a run of a journey; its data is recorded, so that `recover` removes it if this process is killed."""
        return Play(journey, self.values(journey), self.deployment.ledger.entry(journey))

    def play(self, journey: Journey, side: Side, warn: Callable[[str], None] | None = None) -> int:
        """Play a whole journey on one side and return the number of its answers. Raises JourneyFailed.

        ``warn`` is called if ``sweep`` does not find the data that the journey wrote.
        """
        return self.play_across(journey, lambda _: side, warn)

    def play_across(self, journey: Journey, choose: Choose, warn: Callable[[str], None] | None = None) -> int:
        """Play a journey; ``choose`` names the side of each step, by its number from 0 on, ``undo`` steps included.

        The session is opened on the side of the first step. Return the number of answers. Raises JourneyFailed.
        """
        headers = self.headers(choose(0).client, journey)
        play = self.begin(journey)
        number, problem = 0, None
        while play.next() is not None:
            side = choose(number)
            if warn is not None and number == len(journey.steps) and (lost := self._not_swept(play, side, headers)):
                warn(lost)
            found = self.ask(play, side, headers)
            problem = problem or found
            number += 1
        if problem is not None:
            raise JourneyFailed(problem)
        return number

    def ask(self, play: Play, side: Side, headers: Mapping[str, str]) -> str | None:
        """Send the next request of a play and return what is wrong with its answer, None if it is as expected and as documented."""
        prepared = play.prepare(headers)
        where = (
            f"{play.journey.name}, {prepared.step.name}: {prepared.method} {prepared.step.request.path} on {side.name}"
        )
        try:
            response = self.send(side.client, prepared)
        except httpx.TransportError as error:
            play.learn(prepared, None)
            return f"{where}: no answer ({type(error).__name__})"
        problem = play.learn(prepared, Received(response))
        if problem is not None:
            return f"{where}: {problem}\n  again: {curl_for(response.request)}"
        return self.undocumented(response, where, prepared.step)

    def _not_swept(self, play: Play, side: Side, headers: Mapping[str, str]) -> str | None:
        """Return why ``sweep`` does not find the data that the journey wrote, None if it does, or if nothing is to be found."""
        sweep = play.journey.sweep
        if sweep is None or play.failed or not play.left_something:
            return None
        try:
            found = swept(
                sweep, play.values, Received(self.send(side.client, prepare(sweep.step, play.values, headers)))
            )
        except (NotCaptured, httpx.TransportError) as error:
            problem = str(error) or type(error).__name__
        else:
            if any(one.items() <= play.values.captured.items() for one in found):
                return None
            problem = "no entry is as `where` says and has the captured values"
        return (
            f"the sweep of journey {play.journey.name} does not find what the journey wrote ({problem}), so recover could not remove "
            "it after a killed run; correct request, items, where or capture in suites/service.yaml"
        )

    def undocumented(self, response: httpx.Response, where: str, step: Step) -> str | None:
        """Return how an answer differs from the contract, None if it does not.

        If the contract does not have the operation, the report has a warning. A step with ``contract: false`` is not compared.
        """
        if self.contract is None or not step.expect.contract:
            return None
        if (warning := uncompared(self.contract, response.request, step.request.path)) is not None:
            self.deployment.recorder.warned(warning)
            return None
        try:
            self.contract.check(response)
        except ContractViolation as error:
            return f"{where}: {error}"
        return None

    def send(self, client: httpx.Client, prepared: Prepared) -> httpx.Response:
        """Send a prepared request. Raises ``httpx.TransportError``."""
        return ask_alone(client, prepared.method, prepared.path, prepared.headers, prepared.body)

    def probe(self, step: Step, client: httpx.Client) -> httpx.Response:
        """Send a request that needs no session and return its answer; raises JourneyFailed unless it is as expected."""
        prepared = prepare(step, self.deployment.values(None), {})
        response = self.send(client, prepared)
        problem = judge(prepared, Received(response))
        where = f"{prepared.method} {prepared.path}"
        if problem is not None:
            raise JourneyFailed(f"{where}: {problem}\n  again: {curl_for(response.request)}")
        if (undocumented := self.undocumented(response, where, step)) is not None:
            raise JourneyFailed(undocumented)
        return response

    def end(self, client: httpx.Client, session: SignedIn, opened: Credentials) -> None:
        """End a session; raises JourneyFailed unless sign-out is answered as described. A session without sign-out is kept."""
        if session.sign_out is None:
            return
        prepared = prepare(session.sign_out, self.signed_values(), opened.headers)
        response = self.send(client, prepared)
        if (problem := judge(prepared, Received(response))) is not None:
            raise JourneyFailed(f"{prepared.method} {prepared.path}: {problem}\n  again: {curl_for(response.request)}")

    def refused(self, response: httpx.Response, what: str, *statuses: int) -> None:
        """Raise ContractViolation unless the answer has one of these statuses and reveals nothing that it should not."""
        if self.contract is not None:
            self.contract.refused(response, *statuses)
        elif response.status_code not in statuses:
            expected = " or ".join(map(str, statuses))
            raise violation(response, what, f"status {response.status_code}", f"status {expected}")


@pytest.fixture
def player(_deployment: Session) -> Player:
    """Plays journeys of suites/service.yaml: player.play(journey, Side("the candidate", client))."""
    return Player(_deployment)


@pytest.fixture
def service(_deployment: Session) -> Service:
    """The description of the service, suites/service.yaml: health, dependencies, sessions, journeys."""
    return _deployment.service


@pytest.fixture
def sides(client: httpx.Client, live_client: httpx.Client) -> tuple[Side, Side]:
    """Both colours: the candidate and the live one, each with name and client."""
    return Side("the candidate", client), Side("live", live_client)
