"""The next step of a rolling deployment, decided purely from counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 30.0
FEWEST_FAILURES = 3
MOST_FAILURES = 200


@dataclass(frozen=True)
class Percent:
    """`minimumHealthyPercent` and `maximumPercent` of a deployment configuration."""

    minimum: int
    maximum: int


@dataclass(frozen=True)
class Member:
    """A task that shall go on, as the scheduler sees it: of the primary or an older deployment, ready or not yet."""

    id: str
    primary: bool
    ready: bool


@dataclass(frozen=True)
class Decision:
    """The number of tasks of the primary deployment to start, and the ids of tasks to stop."""

    start: int = 0
    stop: tuple[str, ...] = ()


def decide(desired: int, percent: Percent, members: Sequence[Member]) -> Decision:
    """Decide to start new tasks up to the maximum and to stop old ones down to the minimum of ready tasks.

    `members` are sorted oldest first.
    """
    primary = [one for one in members if one.primary]
    old = [one for one in members if not one.primary]
    ceiling = math.floor(desired * percent.maximum / 100)
    floor = math.ceil(desired * percent.minimum / 100)
    start = max(0, min(desired - len(primary), ceiling - len(members)))
    newest = primary[::-1]
    surplus = sorted(newest, key=lambda one: one.ready)[: max(0, len(primary) - desired)]
    ready = sum(one.ready for one in members) - sum(one.ready for one in surplus)
    stop = [one.id for one in surplus]
    for one in sorted(old, key=lambda one: one.ready):  # a task that is not ready serves no requests
        if one.ready and ready <= floor:
            break
        ready -= one.ready
        stop.append(one.id)
    return Decision(start, tuple(stop))


def failures_allowed(desired: int) -> int:
    """Return how many failed tasks trip the circuit breaker: half of the desired count, at least 3 and at most 200.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
    """
    return min(max(math.ceil(desired / 2), FEWEST_FAILURES), MOST_FAILURES)


@dataclass
class Throttle:
    """Growing pauses between the starts of tasks that fail one after the other; times are Unix seconds.

    A first failure causes no pause. A task that lived longer than STEADY_S ends the series.
    """

    failures: int = 0
    not_before: float = 0.0

    def failed(self, now: float, lived_s: float) -> None:
        """Count a task that ended unexpectedly."""
        self.failures = 1 if lived_s > STEADY_S else self.failures + 1
        if self.failures > 1:
            self.not_before = now + min(FIRST_PAUSE_S * 2.0 ** (self.failures - 2), LONGEST_PAUSE_S)

    def due(self, now: float) -> bool:
        """Return whether a task may be started now."""
        return now >= self.not_before
