"""Faults that only blue/green can have: sessions and data on both colours, the live colour's health, the front door's requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from plugins.described.auth import CLOSED, first_protected, protected, sessions
from plugins.described.checks import check
from plugins.described.endpoints import journeys
from plugins.described.fixtures import JourneyFailed, Player, Side
from plugins.described.health import version_of
from plugins.described.refusals import Attempt, must_be_refused
from plugins.stages import LOADED
from plugins.state import Release
from verification.http.client import Received
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Journey, Service, Session, Step
from verification.journeys.player import judge, prepare

Subject = tuple[str, Mapping[str, Any]]
Sides = tuple[Side, Side]

# -- continuity --------------------------------------------------------------------------------------------------------------


def _crossings(service: Service) -> Iterator[Subject]:
    """Yield each journey that writes and has two steps or more, each way, changing the colour after each of its steps."""
    for journey in service.journeys:
        steps = (*journey.steps, *journey.undo)
        if len(steps) < 2 or not journey.writes:
            continue
        for begins_live, way in ((True, "live to candidate"), (False, "candidate to live")):
            for after in range(1, len(steps)):
                end = f"({journey.name}, {way} after {steps[after - 1].name})"
                yield end, {"journey": journey, "begins_live": begins_live, "after": after}


@check("continuity", "journey goes on on the other colour", lambda service: list(_crossings(service)))
def journey_goes_on(player: Player, sides: Sides, journey: Journey, begins_live: bool, after: int) -> None:
    """A user who is moved to the other colour between two steps notices nothing."""
    first, second = _in_order(sides, begins_live)
    player.play_across(journey, lambda number: first if number < after else second)


def _both_ways(service: Service) -> Sequence[Subject]:
    return [
        (f"{end}, {way}", {**arguments, "begins_live": begins_live})
        for end, arguments in sessions(service)
        if first_protected(service, arguments["session"]) is not None
        for begins_live, way in ((True, "live to candidate"), (False, "candidate to live"))
    ]


def _in_order(sides: Sides, begins_live: bool) -> Sides:
    candidate, live = sides
    return (live, candidate) if begins_live else (candidate, live)


@check("continuity", "session is good on both colours", _both_ways)
def session_is_good_on_both(
    player: Player, sides: Sides, smoke_user: SmokeUser, session: Session, begins_live: bool
) -> None:
    """A session opened on one colour works on the other and on the first again; ended on the other, it is ended on both."""
    here, there = _in_order(sides, begins_live)
    opened = player.deployment.new_credentials(here.client, session, smoke_user)
    found = first_protected(player.service, session)
    assert found is not None, "subjects have a request that needs the session"
    step = found[1]
    for side in (there, here, there):
        _answers(player, side, step, opened.headers, f"a session opened on {here.name}")
    if session.sign_out is None:
        return
    player.end(there.client, session, opened)
    for side in (there, here):
        response = player.send(side.client, prepare(step, player.signed_values(), opened.headers))
        player.refused(response, f"after sign-out on {there.name}, {step.operation} on {side.name}", *CLOSED)


def _answers(player: Player, side: Side, step: Step, headers: Mapping[str, str], what: str) -> None:
    prepared = prepare(step, player.signed_values(), headers)
    problem = judge(prepared, Received(player.send(side.client, prepared)))
    assert problem is None, f"{what}: {step.operation} on {side.name}: {problem}"


# -- bystander ---------------------------------------------------------------------------------------------------------------

# Long enough to open a connection anew or for a garbage collection; too short for a person to repair anything.
SECOND_TRY_AFTER_S = 0.5
CHANGED = "to do: another actor changes the live colour; find out who, before anything is deployed"
REACHED = "to do: see whether the candidate takes the connections; lower its pool, or raise the server's limit"
KEPT = (
    "to do: read in the live release's log what it cannot use. A key in the cache: delete what the candidate wrote there; it needs "
    "keys of its own, or the old format. A table: give it back what it reads by another migration, then deploy one that only adds"
)
STORED = (
    "to do: the candidate's migration or rows cannot be read by the live release: give it back what it reads by another "
    "migration, then deploy one that only adds"
)
_HARM = (AssertionError, httpx.HTTPError, ValueError, LookupError, AttributeError, TypeError)
Question = Callable[[Player, Side, Release], None]


def _version(player: Player, side: Side, live: Release) -> None:
    """It is still the release that was live when the deployment began."""
    response = player.probe(player.service.health.step, side.client)
    if player.service.health.version is not None and live.version is not None:
        found = version_of(player, response)
        assert found == live.version, f"version {found} answers, expected {live.version}"


def _probes(player: Player, side: Side, live: Release) -> None:
    """The health check and the dependencies' checks."""
    del live
    for step in player.service.probes():
        player.probe(step, side.client)


def _session(session: Session) -> Question:
    def ask(player: Player, side: Side, live: Release) -> None:
        """Sign in, be signed in, sign out, be signed out."""
        del live
        opened = player.deployment.new_credentials(side.client, session, player.user())
        found = first_protected(player.service, session)
        if found is not None:
            _answers(player, side, found[1], opened.headers, "after signing in")
        player.end(side.client, session, opened)
        if found is not None and session.sign_out is not None:
            response = player.send(side.client, prepare(found[1], player.signed_values(), opened.headers))
            player.refused(response, f"{found[1].operation} after sign-out", *CLOSED)

    return ask


def _journey(journey: Journey) -> Question:
    def ask(player: Player, side: Side, live: Release) -> None:
        del live
        player.play(journey, side)

    return ask


def _questions(service: Service) -> Sequence[Subject]:
    found: list[tuple[str, Question, str]] = [("version", _version, CHANGED), ("health", _probes, REACHED)]
    found += [(f"session {end.strip('()')}", _session(own["session"]), KEPT) for end, own in sessions(service)]
    found += [(own["journey"].name, _journey(own["journey"]), STORED) for _, own in journeys(service)]
    return [(f"({name})", {"question": question, "advice": advice}) for name, question, advice in found]


def _unharmed(player: Player, live_client: httpx.Client, live: Release, question: Question, advice: str) -> None:
    """Ask the live colour; if a request fails, ask all parts once more before the failure counts as harm."""
    name = "live" if live.colour is None else f"live {live.colour} ({live.version or live.image or live.digest})"
    side = Side("live", live_client)
    try:
        question(player, side, live)
        return
    except _HARM:
        time.sleep(SECOND_TRY_AFTER_S)
    try:
        question(player, side, live)
    except _HARM as error:
        told, _, again = str(error).partition("\n")
        harm = f"{name} is harmed: {told or type(error).__name__}, twice; {advice}"
        raise AssertionError(f"{harm}\n{again}".rstrip()) from None


@check("bystander", "live is well after the start", _questions)
def live_is_well(player: Player, live_client: httpx.Client, live: Release, question: Question, advice: str) -> None:
    """Live's users notice nothing of a candidate that has migrated the database and started."""
    _unharmed(player, live_client, live, question, advice)


@check("bystander", "live is well after the load", _questions, when=LOADED)
def live_is_well_after_the_load(
    player: Player, live_client: httpx.Client, live: Release, question: Question, advice: str
) -> None:
    """Live's users notice nothing of a candidate that has worked under load."""
    _unharmed(player, live_client, live, question, advice)


# -- rehearsal ---------------------------------------------------------------------------------------------------------------


def _probed(service: Service) -> Sequence[Subject]:
    """Return the health check and each dependency's, which may send the same request: then its name tells it apart."""
    asked = {"": service.health.step, **service.dependencies}
    found: dict[str, Mapping[str, Any]] = {}
    for name, step in asked.items():
        if step is not None:
            plain = f"({step.request})"
            found[f"({step.request}, {name})" if plain in found else plain] = {"step": step}
    return list(found.items())


@check("rehearsal", "answers for the live domain", _probed)
def answers_for_the_live_domain(player: Player, front_client: httpx.Client, step: Step) -> None:
    """As described, for the live domain's host: no 404 or 421 for an unknown host, no redirect to its own name."""
    try:
        player.probe(step, front_client)
    except JourneyFailed as problem:
        raise AssertionError(f"for the live domain: {problem}") from None


@check("rehearsal", "journey through the front door", journeys)
def journey_through_the_front_door(player: Player, front_client: httpx.Client, journey: Journey) -> None:
    """A user of the live domain is served, each request as the front door sends it."""
    player.play(journey, Side("the candidate, for the live domain", front_client))


def _first_protected(service: Service) -> Sequence[Subject]:
    return protected(service)[:1]


@check("rehearsal", "refuses as it should through the front door", _first_protected)
def refuses_through_the_front_door(player: Player, front_client: httpx.Client, journey: Journey, step: Step) -> None:
    """A request is not trusted because it comes through the front door."""
    invented = {name: "0" for one in journey.steps for name in one.capture}
    attempt = Attempt(journey, step, player.values(journey), {}, invented)
    what = f"{step.operation} without credentials, for the live domain"
    must_be_refused(player, front_client, attempt, what, *CLOSED)


# -- live --------------------------------------------------------------------------------------------------------------------


@check("live", "every connection reaches the promoted release")
def identity(
    player: Player,
    fresh_client: httpx.Client,
    promoted: Release,
    limits: Mapping[str, Any],
    measure: Callable[..., None],
) -> None:
    """Every fresh connection to the live domain reaches the promoted version, as described."""
    count, seen = limits["consecutive"], set()
    for _ in range(count):
        response = player.probe(player.service.health.step, fresh_client)
        if player.service.health.version is not None:
            seen.add(version_of(player, response))
    expected = promoted.version or next(iter(seen), "")
    measure("version", ", ".join(sorted(seen)) or "not asked: the answers name none", limit=expected, samples=count)
    assert seen <= {expected}, f"version {', '.join(sorted(seen))} answers, expected {expected}"


@check("live", "answers", _probed)
def answers_live(player: Player, client: httpx.Client, promoted: Release, step: Step) -> None:
    """Health and dependencies answer through the live domain."""
    assert promoted.url
    player.probe(step, client)


@check("live", "journey", journeys)
def journey_live(player: Player, client: httpx.Client, promoted: Release, journey: Journey) -> None:
    """Users are served through the live domain."""
    assert promoted.url
    player.play(journey, Side("the live domain", client))
