"""Generated latencies for tests of the judge: the times are drawn with a seed, and no service is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence

from tests.verification.contract_server import SERVICE
from verification.latency.judge import Judge
from verification.latency.measuring import Measured, SessionPlan
from verification.latency.plan import AGAIN, CANDIDATE, KINDS, LIVE, LatencyLimits, Place, operations_of
from verification.latency.repeating import LatencyResult, judge_repeatedly

OPERATIONS = operations_of(SERVICE)
PLACES: list[Place] = [(name, kind) for kind in KINDS for name in OPERATIONS]
LIMITS = LatencyLimits(slower_ms=0.3)
SAMPLES = 60
Draw = Callable[[random.Random, Place, int], float]


def noise(draw: random.Random, _place: Place, _n: int) -> float:
    return draw.lognormvariate(0.2, 0.35)


def measured_by(candidate: Draw, live: Draw | None = noise, seed: int = 1) -> Callable[[Collection[Place]], Measured]:
    """Return a function that measures generated latencies; each call draws new numbers."""
    draw = random.Random(seed)

    def measure(places: Collection[Place]) -> Measured:
        planned = {place: int(SAMPLES * OPERATIONS[place[0]].part) for place in places}
        sides = {CANDIDATE: candidate} | ({} if live is None else {LIVE: live})
        times = {
            place: {colour: [one(draw, place, n) for n in range(SAMPLES)] for colour, one in sides.items()}
            for place in planned
        }
        return Measured(planned, times, {colour: sum(planned.values()) for colour in sides}, late_ms=[0.1] * 50)

    return measure


def judged_by(measure: Callable[[Collection[Place]], Measured], *, compared: bool = True) -> LatencyResult:
    """Judge measurements of which each is made by this function."""
    return judge_repeatedly(
        measure,
        Judge(LIMITS, SAMPLES, OPERATIONS),
        lambda _names, _sessions, judge: measure(judge.places),
        compared=compared,
        pause=lambda _: None,
    )


def judged(candidate: Draw, live: Draw | None = noise, seed: int = 1) -> LatencyResult:
    return judged_by(measured_by(candidate, live, seed), compared=live is not None)


def words(result: LatencyResult) -> str:
    return "\n".join(one.says for one in result.findings)


def in_sessions(candidate: Draw, live: Draw, sessions: int = 16, cores: Sequence[int] = ()) -> Measured:
    """Return a measurement in sessions: four answers of each place and series in each, and two series of both colours."""
    draw = random.Random(7)
    sides = {CANDIDATE: candidate, AGAIN[CANDIDATE]: candidate, LIVE: live, AGAIN[LIVE]: live}
    times = {
        place: {colour: [one(draw, place, n) for n in range(4 * sessions)] for colour, one in sides.items()}
        for place in PLACES
    }
    planned = dict.fromkeys(PLACES, 4 * sessions)
    return Measured(
        planned, times, dict.fromkeys(sides, 9999), late_ms=[0.1] * 50, sessions=sessions, cores=list(cores)
    )


def uncontrolled(measured: Measured) -> Measured:
    """Return a measurement in which no colour was asked twice."""
    for colour in AGAIN.values():
        measured.asked.pop(colour, None)
        for times in measured.times.values():
            times.pop(colour, None)
    return measured


class Again:
    """Returns these further measurements in turn, and keeps what was asked for and how long the pauses were."""

    def __init__(self, *measured: Measured) -> None:
        self._measured = list(measured)
        self.asked: list[tuple[list[str], SessionPlan]] = []
        self.places: list[list[Place]] = []
        self.pauses: list[float] = []

    def __call__(self, suspected: Collection[str], sessions: SessionPlan, judge: Judge) -> Measured:
        self.places.append(judge.places)
        self.asked.append((list(suspected), sessions))
        return self._measured.pop(0)

    def judged(self) -> LatencyResult:
        """Judge a release that the first measurement finds 1.5 times as slow."""
        first = measured_by(lambda draw, place, n: 1.5 * noise(draw, place, n))
        judge = Judge(LIMITS, SAMPLES, OPERATIONS)
        return judge_repeatedly(first, judge, self, compared=True, pause=self.pauses.append)
