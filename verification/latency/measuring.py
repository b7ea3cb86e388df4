"""Measures how long answers take, candidate and live in the same minutes: interleaved, warm, on fresh and kept connections.

Sends one request at a time, at a bounded rate, because live has users. ``latency.judge`` evaluates the times.
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
from verification.latency.cores import Affinity, ThreadAffinity, moving
from verification.latency.plan import AGAIN, CANDIDATE, KINDS, LIVE, Kind, LatencyPlan, Operation, Place
from verification.statistics import percentile

# A release that is not warm by then is measured as it is: the warm-up must not take longer than a refusal.
_LONGEST_WARM_UP_S = 5.0
# The first measurement has warmed both colours. In this many rounds an operation with a quarter of the samples is asked once.
_WARM_UP_AGAIN = 4
# Turns between two pauses; a pause is made even if the measurement is late. Its late end shows how busy this machine is.
_PAUSE_EVERY, _PAUSE_S = 10, 0.001
# Evaluations of the times so far, so that a plainly slow release is not asked for all of its samples.
LOOKS = 4
# If the noise requires more samples than planned, the limit is this many times the plan's.
MOST = 3
# The pause before each session, in seconds.
_BETWEEN_SESSIONS_S = (0.2, 0.6)
# This many sessions have the plan's samples of an operation.
_SESSIONS_OF_ALL_SAMPLES = 16


@dataclass(frozen=True)
class SessionPlan:
    """How many sessions a measurement has: ``least``, and ``more`` as long as they decide nothing.

    After ``early`` sessions it ends if a difference is plain, after ``tails`` if a slower tail is. ``controls``: whether both colours are asked twice.
    ``places``: what is asked; everything if it is empty.
    ``seed`` decides the order of requests and cores, ``affinity`` reaches the cores of the measuring thread.
    """

    least: int
    more: tuple[int, ...]
    seed: int = 0
    early: tuple[int, ...] = ()
    tails: tuple[int, ...] = ()
    controls: bool = True
    places: tuple[Place, ...] = field(default=(), compare=False)
    affinity: Affinity = field(default_factory=ThreadAffinity, compare=False)

    @property
    def most(self) -> int:
        """Return the highest number of sessions."""
        return self.more[-1]


SECOND = SessionPlan(16, (24, 32), early=(8,), tails=(10, 12, 14))
"""Finds out whether a suspected release is slower."""
THIRD = SessionPlan(8, (16, 24), seed=1)
"""Confirms a named difference, so that fewer sessions are enough."""


@dataclass
class Measured:
    """The times of a measurement: ``times`` in ms, in the order of sending, by operation and kind of connection, then by colour.

    ``late_ms`` holds how much later than requested this process woke up: its own part of every measured time.
    ``failures`` are (colour, operation, reason); ``asked`` counts requests by colour. ``planned`` is the samples of an
    operation and kind. ``sessions``: how many sessions each series consists of, in equal parts; 0 for a measurement
    without a break. ``cores`` names the core of this process in each session; it is empty if the process did not move.
    """

    planned: dict[Place, int]
    times: dict[Place, dict[str, list[float]]]
    asked: dict[str, int]
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cut_short: str | None = None
    sessions: int = 0
    cores: list[int] = field(default_factory=list)
    is_early: bool = False  # fewer sessions than planned: only a plain difference decides
    shows_tails_only: bool = False  # fewer sessions than planned, and only a plain tail decides

    @property
    def has_controls(self) -> bool:
        """Return whether both colours were asked twice, so that a colour can be compared with itself."""
        return AGAIN[CANDIDATE] in self.asked

    @property
    def asked_candidate(self) -> int:
        """Return the number of requests to the candidate, in both of its series."""
        return self.asked[CANDIDATE] + self.asked.get(AGAIN[CANDIDATE], 0)

    @property
    def lateness_ms(self) -> float:
        """Return the p95 of ``late_ms``."""
        return percentile(sorted(self.late_ms), 95) if self.late_ms else 0.0

    def of(self, operation: str, colour: str) -> list[float]:
        """Return one operation's times (ms), both kinds of connection."""
        return [one for kind in KINDS for one in self.times.get((operation, kind), {}).get(colour, [])]


def measure(
    plan: LatencyPlan,
    places: Collection[Place],
    *,
    hopeless: Callable[[Measured], str | None],
    wanted: Callable[[Measured], Collection[Place]],
) -> Measured:
    """Measure the plan's samples of those places, and up to ``MOST`` times as many for places that ``wanted`` names.

    ``hopeless`` is called after each round; if it returns a reason, the measurement ends. ``wanted`` is called at every
    evaluation.
    """
    context = tls_context(plan.ca_file) if any(url.startswith("https:") for url in plan.urls.values()) else None
    askers = {colour: Asker(url, plan, context, plan.route_of(colour)) for colour, url in plan.urls.items()}
    return measure_with(askers, plan, places, hopeless=hopeless, wanted=wanted)


def measure_in_sessions(
    plan: LatencyPlan,
    suspected: Collection[str],
    sessions: SessionPlan = SECOND,
    *,
    hopeless: Callable[[Measured], str | None],
    wanted: Callable[[Measured], Collection[Place]],
) -> Measured:
    """Measure the places of ``sessions`` again, in sessions: each at another moment, on other connections, in an order of its own.

    Answers of one moment resemble each other, because they share the core that a process runs on. So a session is one
    observation. Operations in ``suspected`` get all samples; ``wanted`` is asked for more after ``sessions.least`` sessions.
    If there is a live colour and ``sessions.controls``, two more series ask both colours once more, as controls; both series
    of a colour together keep to the plan's rate.
    """
    compared = LIVE in plan.urls and sessions.controls
    urls = {**plan.urls, **({AGAIN[colour]: url for colour, url in plan.urls.items()} if compared else {})}
    plan = replace(plan, rate=plan.rate / 2) if compared else plan
    context = tls_context(plan.ca_file) if any(url.startswith("https:") for url in urls.values()) else None
    askers = {colour: Asker(url, plan, context, plan.route_of(colour)) for colour, url in urls.items()}
    return measure_sessions_with(askers, plan, suspected, sessions, hopeless=hopeless, wanted=wanted)


class Asks(Protocol):
    """The requests of one colour: an ``asking.Asker``, or in a simulation a generator of numbers."""

    def ask(self, operation: Operation, kind: Kind) -> float | None:
        """Return the time in ms, or None if there was nothing to ask about. Raises Unanswered."""

    def sign_in(self) -> None:
        """Open the sessions. Raises Unanswered."""

    def reconnect(self) -> None:
        """Use another connection from now on."""

    def clear(self) -> None:
        """Remove everything that the requests created."""


def measure_with(
    askers: Mapping[str, Asks],
    plan: LatencyPlan,
    places: Collection[Place],
    *,
    hopeless: Callable[[Measured], str | None],
    wanted: Callable[[Measured], Collection[Place]],
) -> Measured:
    """Measure as ``measure`` does, with existing askers."""
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
    sessions: SessionPlan = SECOND,
    *,
    hopeless: Callable[[Measured], str | None],
    wanted: Callable[[Measured], Collection[Place]],
) -> Measured:
    """Measure as ``measure_in_sessions`` does, with existing askers."""
    parts = {name: one.part for name, one in plan.operations.items()}
    for name in suspected:
        parts.update(dict.fromkeys((name, *plan.operations[name].beside), 1.0) if name in parts else {})
    part = min(1.0, sessions.least / _SESSIONS_OF_ALL_SAMPLES)
    places = _completed(plan, sessions.places or plan.places)
    measured = Measured(
        {place: max(1, int(plan.samples * part * parts[place[0]])) for place in places},
        {place: {colour: [] for colour in askers} for place in places},
        dict.fromkeys(askers, 0),
    )
    rounds = _Rounds(plan, askers, measured, parts)
    return _measured(measured, askers, lambda: rounds.run_sessions(sessions, hopeless, wanted))


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
    """Return the places and those that must go before and after them, in the order of a round."""
    needed = set(places)
    for operation, kind in places:
        needed |= {(other, kind) for other in plan.operations[operation].beside}
    return [place for place in plan.places if place in needed]


class _Rounds:
    """A round asks each place once, on both colours in turn; the colour that goes first alternates."""

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
        """Warm up, then measure."""
        plan, measured = self._plan, self._measured
        if not self._signed_in():
            return
        self._warm_up(places, self._plan.warmup)
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
        self,
        sessions: SessionPlan,
        hopeless: Callable[[Measured], str | None],
        wanted: Callable[[Measured], Collection[Place]],
    ) -> None:
        """Warm up, then measure session by session, each from another core than the session before."""
        if not self._signed_in():
            return
        self._warm_up(list(self._measured.times), min(_WARM_UP_AGAIN, self._plan.warmup))
        # A fixed seed is enough: the order must only be independent of the machine's behaviour.
        self._draw = random.Random(sessions.seed)  # noqa: S311 - no secret
        # More time, because there are four series instead of two, and pauses.
        longest_s = 3 * self._plan.longest_s
        deadline = time.monotonic() + longest_s
        measured = self._measured
        with moving(sessions.affinity, self._draw) as move:
            for session in range(sessions.most):
                core = move()
                self._session(session, hopeless)
                if measured.cut_short is not None:
                    return
                measured.sessions = session + 1
                measured.cores += [] if core is None else [core]
                enough = measured.sessions >= sessions.least
                measured.is_early = not enough
                if time.monotonic() > deadline:
                    measured.cut_short = None if enough else f"it took longer than {longest_s:g} s"
                    return
                measured.shows_tails_only = measured.sessions in sessions.tails
                looks = (*sessions.early, *sessions.tails, sessions.least, *sessions.more)
                if measured.sessions in looks and not wanted(measured):
                    return

    def _session(self, session: int, hopeless: Callable[[Measured], str | None]) -> None:
        """Measure one session, after a pause and on new connections."""
        if self._draw is None:
            raise ValueError("a session needs an order that is drawn")
        rounds = -(-self._plan.samples // _SESSIONS_OF_ALL_SAMPLES)
        rounds += -rounds % 4  # so that an operation with a quarter of the samples has as many in every session
        time.sleep(self._draw.uniform(*_BETWEEN_SESSIONS_S))
        for asker in self._askers.values():
            asker.reconnect()
        self._due = time.monotonic()
        for number in range(session * rounds, (session + 1) * rounds):
            for place in self._measured.times:
                if self._asks_in(number, place[0]):
                    self._turn(place)
            self._measured.cut_short = hopeless(self._measured)
            if self._measured.cut_short is not None:
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
        """Return whether this round asks an operation: one with a quarter of the samples is asked in a quarter of the rounds."""
        part = self._parts[operation]
        return int(number * part) != int((number + 1) * part)

    def _warm_up(self, places: list[Place], rounds: int) -> None:
        end = time.monotonic() + _LONGEST_WARM_UP_S
        for number in range(rounds):
            for name, kind in places:
                operation = self._plan.operations[name]
                if not self._asks_in(number, name):
                    continue
                for asker in self._askers.values():
                    try:
                        asker.ask(operation, kind)
                    except Unanswered:  # failures are counted after the warm-up
                        continue
                if time.monotonic() > end:
                    return

    def _turn(self, place: Place) -> None:
        self._wait()
        # Alternate by each place's own count, not by turns in all: otherwise one colour could always come second at a place.
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
        """Wait until this turn is due. A late turn starts at once, and the lost time is not made up for."""
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
    """Disable garbage collection: collecting all that pytest holds takes tens of ms, which would count as the release's time."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def candidate_failures(measured: Measured) -> list[tuple[str, str, str]]:
    """Return the failures of the candidate, in both of its series."""
    return [one for one in measured.failures if one[0] in (CANDIDATE, AGAIN[CANDIDATE])]
