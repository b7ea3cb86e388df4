"""Measures how long answers take, candidate and live in the same minutes: interleaved, warm, over fresh and kept connections.

One request at a time, at a bounded rate: live has users, and is not to be burdened. What the times mean is for ``latency.judge``.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from verification.http.loopback import tls_context
from verification.latency.asking import Asker, Unanswered
from verification.latency.plan import CANDIDATE, CONTROL, KINDS, LIVE, Kind, LatencyPlan, Operation, Place
from verification.statistics import percentile

# A release that is not warm by then is measured as it is: warming up must not take longer than being refused.
_LONGEST_WARM_UP_S = 5.0
# Every so many turns a pause is made, however late it is: how late the pause ends tells how busy this machine is.
_PAUSE_EVERY, _PAUSE_S = 10, 0.001
# Looks at what there is so far: a release that is plainly slow is not asked for all of its samples.
LOOKS = 4
# Where the noise asks for more samples than planned, so many times the plan's at most.
MOST = 3
# The second measurement's sessions: so many, or more where they leave it open, with a pause of this many seconds before each.
SESSIONS, MORE_SESSIONS = 16, (24, 32)
_BETWEEN_SESSIONS_S = (0.2, 0.8)


@dataclass
class Measured:
    """``times`` in ms, in the order of asking, by operation and kind of connection, then by colour.

    ``late_ms`` holds how much later than asked for this process woke up: its own share of every time measured here.
    ``failures`` are (colour, operation, why); ``asked`` counts requests by colour. ``planned`` is samples of an operation and kind.
    ``sessions``: how many sessions each series consists of, in equal parts; 0 for a measurement without a break.
    """

    planned: dict[Place, int]
    times: dict[Place, dict[str, list[float]]]
    asked: dict[str, int]
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cut_short: str | None = None
    sessions: int = 0

    @property
    def lateness_ms(self) -> float:
        """The p95 of it."""
        return percentile(sorted(self.late_ms), 95) if self.late_ms else 0.0

    def of(self, operation: str, colour: str) -> list[float]:
        """One operation's times, both kinds of connection."""
        return [one for kind in KINDS for one in self.times.get((operation, kind), {}).get(colour, [])]


def measure(
    plan: LatencyPlan,
    places: Collection[Place],
    *,
    hopeless: Callable[[Measured], str | None],
    wanted: Callable[[Measured], Collection[Place]],
) -> Measured:
    """Asks for the plan's samples of those places, and for more where ``wanted`` names some of them, to ``MOST`` times as many.

    ``hopeless`` is asked after each round, and ends the measurement with the words it gives; ``wanted`` at every look.
    """
    context = tls_context(plan.ca_file) if any(url.startswith("https:") for url in plan.urls.values()) else None
    askers = {colour: Asker(url, plan, context, plan.route_of(colour)) for colour, url in plan.urls.items()}
    return measure_with(askers, plan, places, hopeless=hopeless, wanted=wanted)


def measure_in_sessions(
    plan: LatencyPlan,
    suspected: Collection[str],
    *,
    hopeless: Callable[[Measured], str | None],
    wanted: Callable[[Measured], Collection[Place]],
) -> Measured:
    """Measure everything again, in sessions: each at another moment, on other connections, in an order of its own.

    Answers of one moment resemble each other: they share the core that a process sits on. So a session is one observation.
    Operations in ``suspected`` get all samples, as ``wanted`` is asked for more after ``SESSIONS`` sessions.
    A third series asks the live colour once more, as a control; both live series together keep to the plan's rate.
    """
    urls = {**plan.urls, **({CONTROL: plan.urls[LIVE]} if LIVE in plan.urls else {})}
    plan = replace(plan, rate=plan.rate / 2) if CONTROL in urls else plan
    context = tls_context(plan.ca_file) if any(url.startswith("https:") for url in urls.values()) else None
    askers = {colour: Asker(url, plan, context, plan.route_of(colour)) for colour, url in urls.items()}
    return measure_sessions_with(askers, plan, suspected, hopeless=hopeless, wanted=wanted)


class Asks(Protocol):
    """Somebody who can be asked; a ``asking.Asker``, or in a simulation a maker of numbers."""

    def ask(self, operation: Operation, kind: Kind) -> float | None:
        """Milliseconds, or None where there was nothing to ask about. Raises Unanswered."""

    def sign_in(self) -> None:
        """Raises Unanswered."""

    def reconnect(self) -> None:
        """Opens another connection from now on."""

    def clear(self) -> None:
        """Leaves nothing behind."""


def measure_with(
    askers: Mapping[str, Asks],
    plan: LatencyPlan,
    places: Collection[Place],
    *,
    hopeless: Callable[[Measured], str | None],
    wanted: Callable[[Measured], Collection[Place]],
) -> Measured:
    """As ``measure``, by askers that are there already."""
    places = _completed(plan, places)
    measured = Measured(
        {place: max(1, int(plan.samples * plan.operations[place[0]].part)) for place in places},
        {place: {colour: [] for colour in askers} for place in places},
        dict.fromkeys(askers, 0),
    )
    return _measured(measured, askers, lambda: _Rounds(plan, askers, measured).run(places, hopeless, wanted))


def measure_sessions_with(
    askers: Mapping[str, Asks],
    plan: LatencyPlan,
    suspected: Collection[str],
    *,
    hopeless: Callable[[Measured], str | None],
    wanted: Callable[[Measured], Collection[Place]],
) -> Measured:
    """As ``measure_in_sessions``, by askers that are there already."""
    parts = {name: one.part for name, one in plan.operations.items()}
    for name in suspected:
        parts.update(dict.fromkeys((name, *plan.operations[name].beside), 1.0) if name in parts else {})
    measured = Measured(
        {place: max(1, int(plan.samples * parts[place[0]])) for place in plan.places},
        {place: {colour: [] for colour in askers} for place in plan.places},
        dict.fromkeys(askers, 0),
    )
    rounds = _Rounds(plan, askers, measured, parts)
    return _measured(measured, askers, lambda: rounds.run_sessions(hopeless, wanted))


def _measured(measured: Measured, askers: Mapping[str, Asks], run: Callable[[], None]) -> Measured:
    begun = time.monotonic()
    with _without_garbage_collection():
        try:
            run()
        finally:
            for asker in askers.values():
                asker.clear()
    measured.seconds = time.monotonic() - begun
    return measured


def _completed(plan: LatencyPlan, places: Collection[Place]) -> list[Place]:
    """With what must go before and after: in the order of a round."""
    needed = set(places)
    for operation, kind in places:
        needed |= {(other, kind) for other in plan.operations[operation].beside}
    return [place for place in plan.places if place in needed]


class _Rounds:
    """A round asks each place once, on both colours in turn; which goes first alternates."""

    def __init__(
        self,
        plan: LatencyPlan,
        askers: Mapping[str, Asks],
        measured: Measured,
        parts: Mapping[str, float] | None = None,
    ) -> None:
        self._plan = plan
        self._parts = parts or {name: one.part for name, one in plan.operations.items()}
        self._draw: random.Random | None = None
        self._askers = askers
        self._measured = measured
        self._turns = 0
        self._begun = dict.fromkeys(measured.times, 0)
        self._due = 0.0

    def run(
        self,
        places: list[Place],
        hopeless: Callable[[Measured], str | None],
        wanted: Callable[[Measured], Collection[Place]],
    ) -> None:
        """Warms up, then measures."""
        plan, measured = self._plan, self._measured
        if not self._signed_in():
            return
        self._warm_up(places)
        deadline = time.monotonic() + plan.longest_s
        self._due = time.monotonic()
        look = max(1, plan.samples // LOOKS)
        for number in range(MOST * plan.samples):
            if number % look == 0 and number:
                more = wanted(measured)
                if number >= plan.samples:
                    places = _completed(plan, more)
                if not places or measured.cut_short:
                    return
            for place in places:
                if self._asks_in(number, place[0]):
                    self._turn(place)
            measured.cut_short = hopeless(measured)
            if measured.cut_short is None and time.monotonic() > deadline:
                measured.cut_short = f"it took longer than {plan.longest_s:g} s"
            if measured.cut_short:
                return
        wanted(measured)

    def run_sessions(
        self, hopeless: Callable[[Measured], str | None], wanted: Callable[[Measured], Collection[Place]]
    ) -> None:
        """Warms up, then measures session by session."""
        plan, measured = self._plan, self._measured
        if not self._signed_in():
            return
        self._warm_up(plan.places)
        # With a fixed seed: the order must only be independent of what the machine does.
        self._draw = random.Random(0)  # noqa: S311 - no secret
        # Three series instead of two, and the pauses.
        deadline = time.monotonic() + 2 * plan.longest_s
        rounds = -(-plan.samples // SESSIONS)
        rounds += -rounds % 4  # so that an operation with a quarter of the samples has as many in every session
        places = plan.places
        for session in range(MORE_SESSIONS[-1]):
            time.sleep(self._draw.uniform(*_BETWEEN_SESSIONS_S))
            for asker in self._askers.values():
                asker.reconnect()
            self._due = time.monotonic()
            for number in range(session * rounds, (session + 1) * rounds):
                for place in places:
                    if self._asks_in(number, place[0]):
                        self._turn(place)
                measured.cut_short = hopeless(measured)
                if measured.cut_short is not None:
                    return
            measured.sessions = session + 1
            enough = measured.sessions >= SESSIONS
            if not enough and time.monotonic() > deadline:
                measured.cut_short = f"it took longer than {2 * plan.longest_s:g} s"
            if measured.cut_short or (enough and time.monotonic() > deadline):
                return
            if measured.sessions in (SESSIONS, *MORE_SESSIONS) and not wanted(measured):
                return

    def _signed_in(self) -> bool:
        try:
            for asker in self._askers.values():
                asker.sign_in()
        except Unanswered as exc:
            self._measured.cut_short = str(exc)
            return False
        return True

    def _asks_in(self, number: int, operation: str) -> bool:
        """Whether a round asks an operation: in a quarter of the rounds, one that gets a quarter of the samples."""
        part = self._parts[operation]
        return int(number * part) != int((number + 1) * part)

    def _warm_up(self, places: list[Place]) -> None:
        end = time.monotonic() + _LONGEST_WARM_UP_S
        for number in range(self._plan.warmup):
            for name, kind in places:
                operation = self._plan.operations[name]
                if not self._asks_in(number, name):
                    continue
                for asker in self._askers.values():
                    try:
                        asker.ask(operation, kind)
                    except Unanswered:  # what fails when it is warm is counted
                        continue
                if time.monotonic() > end:
                    return

    def _turn(self, place: Place) -> None:
        self._wait()
        # By each place's own count, not by turns in all: a place that always came second would pay for what the first stirred up.
        colours = list(self._askers)
        if self._draw is not None:
            self._draw.shuffle(colours)
        elif self._begun[place] % 2:
            colours.reverse()
        self._begun[place] += 1
        self._turns += 1
        for colour in colours:
            self._ask(colour, self._plan.operations[place[0]], place)

    def _ask(self, colour: str, operation: Operation, place: Place) -> None:
        measured = self._measured
        measured.asked[colour] += 1
        try:
            elapsed = self._askers[colour].ask(operation, place[1])
        except Unanswered as exc:
            measured.failures.append((colour, operation.name, str(exc)))
            return
        if elapsed is not None:
            measured.times[place][colour].append(elapsed)

    def _wait(self) -> None:
        """Until this turn is due; a turn that is late already goes at once, and is not made up for."""
        self._due = max(self._due + 1 / self._plan.rate, time.monotonic())
        left = self._due - time.monotonic()
        if self._turns % _PAUSE_EVERY == 0:
            left = max(left, _PAUSE_S)
        if left <= 0:
            return
        begin = time.perf_counter()
        time.sleep(left)
        self._measured.late_ms.append((time.perf_counter() - begin - left) * 1000)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """A collection of all that pytest holds takes tens of ms, and would be taken for the release's."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def candidate_failures(measured: Measured) -> list[tuple[str, str, str]]:
    """Those of the candidate."""
    return [one for one in measured.failures if one[0] == CANDIDATE]
