"""How a check in YAML runs: the function of its item, which plays it or takes the result of a check that was played ahead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import httpx
import pytest

from plugins.fixtures import DEFAULT_TIMEOUT_S, Session
from plugins.recorder import Measurement
from plugins.run import suites_of
from plugins.stages import gate_of
from plugins.state import Release, require
from verification.declarative.checks import Case, DeclaredCheck
from verification.declarative.demands import clean_up
from verification.declarative.exemptions import ADVISORY
from verification.declarative.judge import Asker, CheckFailed, differences
from verification.http.cookies import own_cookies
from verification.http.pool import Job, Result, Turn
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Expectation
from verification.journeys.placeholders import Values

CANDIDATE, LIVE, BOTH, EACH = "candidate", "live", "both", "each"
CLIENT = ("client", "base_url", "limits", "gate")
LIVE_CLIENT = ("live_client", "live", "limits", "gate")
"""A client and the fixtures that it is made of. While no project replaces one, a check needs none of them, which saves their set-up."""


@dataclass(frozen=True)
class _Side:
    """A colour as a check sees it: its name in the report, and its client."""

    name: str
    client: httpx.Client


@dataclass(frozen=True)
class Played:
    """A check that was played: what is wrong with it (None: it passed), its values, and its warnings."""

    problem: str | None
    measured: tuple[Measurement, ...]
    warned: tuple[str, ...] = ()


class Ahead(Protocol):
    """Plays checks before their items run."""

    def take(self, item: pytest.Item, deployment: Session, record: Callable[[Any], None]) -> Result[Played] | None:
        """Return the result of an item that is played ahead, None if it plays itself.

        ``record`` gets the exchanges. Raises what ``record`` raises.
        """


taking_key = pytest.StashKey[Ahead]()
took_key = pytest.StashKey[Result[Played]]()


@dataclass(frozen=True)
class Declared:
    """The function of an item: it plays its check, unless the check was played ahead."""

    check: DeclaredCheck

    def run(self, request: pytest.FixtureRequest, deployment: Session, given: Mapping[str, Any]) -> None:
        item = request.node
        ahead = item.config.stash.get(taking_key, None)
        result = (
            None if ahead is None else ahead.take(item, deployment, lambda one: deployment.recorder.exchanged(*one))
        )
        if result is None:
            played = self.play(deployment, self.sides(item, deployment, given), given, Turn())
        else:
            item.stash[took_key] = result
            played = cast("Played", result.get())
        for one in played.measured:
            deployment.recorder.measured(one)
        for text in played.warned:
            deployment.recorder.warned(text)
        if played.problem is not None:
            pytest.fail(played.problem, pytrace=False)  # a traceback would show only this framework's code

    def job(self, item: pytest.Function, deployment: Session) -> Job[Played]:
        """Return how to play the item ahead. Raises what its fixtures would raise."""
        given: dict[str, Any] = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        if self.check.has_session:
            given["smoke_user"] = deployment.smoke_user(0)
        if self.check.needs_second:
            deployment.smoke_user(1)
        sides, recorder = self.sides(item, deployment, given), deployment.recorder

        def play(turn: Turn, emit: Callable[[Any], None]) -> Played:
            with recorder.redirected(lambda *exchanged: emit(exchanged)):
                return self.play(deployment, sides, given, turn)

        case: Case = given.get("case", self.check.cases[0])
        return Job(play, any(one.until is not None for one in case.steps), self.check.writes)

    def sides(self, item: pytest.Item, deployment: Session, given: Mapping[str, Any]) -> Sequence[_Side]:
        """Return the colours that the check asks; their clients are those of the fixtures, if a project has its own."""
        on = self.check.on
        colour = given.get("colour", CANDIDATE if on == EACH else on)
        found = {}
        if colour in (CANDIDATE, BOTH):
            found[CANDIDATE] = given.get("client") or _client(item, deployment, None)
        if colour in (LIVE, BOTH):
            live = require(deployment.state.live, "the live release is not known", deployment.state)
            found[LIVE] = given.get("live_client") or _client(item, deployment, live)
        return [_Side(name, client) for name, client in found.items()]

    def play(self, deployment: Session, sides: Sequence[_Side], given: Mapping[str, Any], turn: Turn) -> Played:
        """Play the check. Raises what a sign-in raises."""
        check, measured, warned = self.check, list[Measurement](), list[str]()
        case, user = given.get("case", check.cases[0]), given.get("smoke_user")
        problem = None
        values = deployment.values(user)  # of both colours, which get the same request
        try:
            answers = [self._on(side, case, deployment, user, (turn, measured, warned, values)) for side in sides]
            if check.on == BOTH and (found := list(differences(check, *answers))):
                problem = "\n".join(found)
        except CheckFailed as failure:
            problem = str(failure)
        return Played(problem, tuple(measured), tuple(dict.fromkeys(warned)))

    def _on(
        self,
        side: _Side,
        case: Case,
        deployment: Session,
        user: SmokeUser | None,
        run: tuple[Turn, list[Measurement], list[str], Values],
    ) -> list[httpx.Response]:
        turn, measured, warned, values = run
        contract = None if deployment.service.contract is None else deployment.contract
        where = "" if self.check.on == CANDIDATE else f" on {side.name}"
        written: list[httpx.Response] = []
        headers = _headers(self.check, deployment, side.client, user, turn)
        other = deployment.smoke_user(1) if self.check.needs_second else None
        second = _headers(self.check, deployment, side.client, other, turn)

        def answered(step: str, response: httpx.Response, expect: Expectation) -> None:
            name = f"{step}, " if step else ""
            written.append(response)
            statuses = " or ".join(map(str, expect.statuses))
            measured.append(Measurement(f"{name}status{where}", response.status_code, statuses, samples=1))
            elapsed = round(response.elapsed.total_seconds() * 1000, 1)
            measured.append(Measurement(f"{name}answered in{where}", elapsed, expect.within_ms, "ms", 1))

        with own_cookies(side.client):
            try:
                asker = Asker(side.client, contract, headers, answered, turn, second, warned.append)
                return asker.play(self.check, case, values)
            finally:
                for response in written:
                    if contract is not None and not case.undo and response.request.method == "POST":
                        with turn.slot(undo=True):
                            clean_up(side.client, contract, response, headers, second)


def _client(item: pytest.Item, deployment: Session, release: Release | None) -> httpx.Client:
    """Return the framework's own client for a release, None for the gate's."""
    gate = gate_of(item, suites_of(item.config))
    timeout_s = float(deployment.gates.get(gate, {}).get("timeout", DEFAULT_TIMEOUT_S))
    return deployment.client(gate, release or deployment.release(gate), timeout_s)


def declared_in(item: pytest.Item) -> Declared | None:
    """Return the function of an item from YAML, None for any other item."""
    return getattr(getattr(item, "function", None), "declared", None)


def function_of(check: DeclaredCheck, path: Path, replaced: frozenset[str]) -> Callable[..., None]:
    """Return the function of a check; ``replaced`` are the framework's fixtures that the project has replaced here."""
    declared = Declared(check)

    def run(request: pytest.FixtureRequest, _deployment: Session, **given: Any) -> None:
        declared.run(request, _deployment, given)

    needed = ["request", "_deployment"]
    needed += ["client"] if not replaced.isdisjoint(CLIENT) else []
    needed += ["live_client"] if check.on != CANDIDATE and not replaced.isdisjoint(LIVE_CLIENT) else []
    needed += ["smoke_user"] if check.has_session else []
    if check.has_parameters:
        needed += ["case"]
        run = pytest.mark.parametrize("case", check.cases, ids=[case.id for case in check.cases])(run)
    if check.on == EACH:
        needed += ["colour"]
        run = pytest.mark.parametrize("colour", [CANDIDATE, LIVE])(run)
    if check.skip is not None:
        run = pytest.mark.skip_until(check.skip.until, reason=check.skip.reason)(run)
    elif check.severity == ADVISORY:
        run = pytest.mark.advisory()(run)
    # pytest reads the fixture names from the signature, and the check's file and line from the code object.
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in needed]
    )
    run.declared = declared  # type: ignore[attr-defined]  # found again by ``declared_in``
    run.__code__ = run.__code__.replace(co_filename=str(path), co_firstlineno=check.line, co_name=check.name)
    return run


def _headers(
    check: DeclaredCheck, deployment: Session, client: httpx.Client, user: SmokeUser | None, turn: Turn
) -> Mapping[str, str]:
    if user is None:
        return {}
    session = deployment.signed_in() if check.session is None else deployment.service.sessions[check.session]
    return deployment.credentials(client, session, user, turn.slot).headers
