"""Moving traffic: write the routes, read them back, and confirm them on the live domain.

A switch must be read back to count.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployment.errors import CloudError, RouteConflict, SwitchFailed
from deployment.flow.steps import Steps
from deployment.model import Answer, Colour, Holder, Readiness, Routes
from deployment.plan import Ports
from deployment.polling import poll

# Requests, each on a fresh connection, in one attempt while a switch spreads.
BATCH = 5
# More errors than this by the new colour are not a transient fault: fail the switch, so that users get the other colour.
ERRORS_TOLERATED = 2


@dataclass(frozen=True)
class Destination:
    """The destination of the traffic: the colour, its own host, and the version that must answer (None: any).

    ``problems``: those with which its health check may fail as before the deployment. Such an answer confirms a switch as
    well: by its colour and generation, because it names no version.
    """

    colour: Colour
    origin: str | None
    version: str | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Confirmation:
    """What confirms a switch: this many ``answers`` in a row within ``timeout_s`` seconds.

    ``tolerant``: errors of the destination only restart the count, because the other colour would serve users no better.
    """

    answers: int
    timeout_s: float
    tolerant: bool = False


@dataclass
class _Seen:
    streak: int = 0
    errors: int = 0
    last: str = "no answer yet"


def write(ports: Ports, steps: Steps, holder: Holder, seen: Routes, to: Destination, weight: int = 100) -> Routes:
    """Send ``weight`` percent of the traffic to one colour and the rest to the other; return the routes as read back.

    Checks the lease right before the write. Raises RouteConflict, LeaseLost or CloudError (nothing was written), or
    SwitchFailed (it is unknown whether the write took effect).
    """
    ports.lease.check(holder)
    weights = {to.colour: weight, to.colour.other: 100 - weight}
    origins = {to.colour: to.origin} if to.origin else {}
    steps.writing(to.colour, seen.generation + 1, weight)
    wrote = ports.router.set(seen, weights, origins, holder.token)
    try:
        found = ports.router.observe()
    except CloudError as error:
        raise SwitchFailed(
            f"the routes were written (generation {wrote.generation}, {to.colour}) but cannot be read back: {error.message}"
        ) from error
    if found.weights.get(to.colour) != weight or found.generation != wrote.generation:
        raise SwitchFailed(
            f"the routes were written (generation {wrote.generation}, {weight} % to {to.colour}) "
            f"but read back as generation {found.generation}, {found.weights.get(to.colour)} %"
        )
    return found


def confirm(ports: Ports, steps: Steps, to: Destination, generation: int, wanted: Confirmation) -> str:
    """Ask the live domain on fresh connections until enough answers in a row come from ``to``; return a sentence.

    Answers of the other colour, healthy or not, only restart the count: front doors converge one point of presence after the
    other. So do good answers under earlier routes, which may have sent a share of the traffic to ``to`` as well. If the front door names neither colour nor generation, the version of the answer decides. This process sees one
    place only, so the router is asked about the others. Raises SwitchFailed or DeadlinePassed.
    """
    seen = _Seen()

    def attempt() -> str | None:
        for answer in ports.front.ask(BATCH):
            problem = _objection(answer, to, generation)
            seen.last = problem or "ok"
            seen.streak = 0 if problem else seen.streak + 1
            if not wanted.tolerant and _is_wrong(answer, to):
                seen.errors += 1
                if seen.errors > ERRORS_TOLERATED:
                    raise SwitchFailed(f"through the live domain, {to.colour} gives wrong answers: {problem}")
        if seen.streak < wanted.answers or not _has_spread(ports, to, generation, seen):
            return None
        return f"{seen.streak} answers in a row on fresh connections by {to.colour}"

    return poll(
        ports.clock,
        attempt,
        timeout_s=wanted.timeout_s,
        waiting_for=lambda: f"the live domain does not answer as {to.colour}; last: {seen.last}",
        tick=lambda elapsed: steps.waiting(f"{seen.streak} of {wanted.answers} answers by {to.colour}", elapsed),
        longest_pause_s=1.0,
    )


def _has_spread(ports: Ports, to: Destination, generation: int, seen: _Seen) -> bool:
    """Return whether the router's own places have the switch. A place that cannot be asked now may have it later."""
    try:
        progress = ports.router.spread(to.colour, generation)
    except CloudError as error:
        seen.last = error.message
        return False
    seen.last = progress.detail
    return progress.readiness is Readiness.READY


def _objection(answer: Answer, to: Destination, generation: int) -> str | None:
    as_before = answer.fails_like(to.problems)
    if not answer.ok and not as_before:
        return answer.problem or "no healthy answer"
    if answer.colour is not None and answer.colour != to.colour:
        return f"answered by {answer.colour}"
    if not as_before and to.version is not None and answer.version != to.version:
        return f"version {answer.version!r}, not {to.version!r}"
    if answer.generation is not None and answer.generation < generation:
        return f"answered by generation {answer.generation}, not {generation}"
    return None


def _is_wrong(answer: Answer, to: Destination) -> bool:
    """Return whether ``to`` gave a wrong answer, whichever routes sent the request there.

    A failure without a colour may be its failure; a good answer without a colour may be the other colour's.
    """
    if not answer.ok:
        return answer.colour in (None, to.colour)
    return answer.colour == to.colour and to.version not in (None, answer.version)


def refuse_changed_routes(seen: Routes, colour: Colour, generation: int) -> None:
    """Raise RouteConflict unless the routes are still those that the deployment began with."""
    if seen.live is not colour or seen.generation != generation:
        raise RouteConflict(
            f"the routes were changed by another writer: {colour} was live at generation {generation}, "
            f"now {seen.live} is, at generation {seen.generation}"
        )
