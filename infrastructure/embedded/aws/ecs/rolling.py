"""What a rolling deployment does next: pure, from counts."""

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
    """A task that is to go on, as the scheduler sees it: of the primary deployment or an older one, ready or not yet."""

    id: str
    primary: bool
    ready: bool


@dataclass(frozen=True)
class Decision:
    """How many tasks of the primary deployment to start, and which tasks to stop."""

    start: int = 0
    stop: tuple[str, ...] = ()


def decide(desired: int, percent: Percent, members: Sequence[Member]) -> Decision:
    """New tasks up to the maximum, old ones away as far as the minimum of ready ones stays; members are oldest first."""
    primary = [one for one in members if one.primary]
    old = [one for one in members if not one.primary]
    ceiling = math.floor(desired * percent.maximum / 100)
    floor = math.ceil(desired * percent.minimum / 100)
    start = max(0, min(desired - len(primary), ceiling - len(members)))
    newest = primary[::-1]
    surplus = sorted(newest, key=lambda one: one.ready)[: max(0, len(primary) - desired)]
    ready = sum(one.ready for one in members) - sum(one.ready for one in surplus)
    stop = [one.id for one in surplus]
    for one in sorted(old, key=lambda one: one.ready):  # one that is not ready holds nothing up
        if one.ready and ready <= floor:
            break
        ready -= one.ready
        stop.append(one.id)
    return Decision(start, tuple(stop))


def failures_allowed(desired: int) -> int:
    """How many failed tasks trip the circuit breaker: half of the desired count, but 3 at the least and 200 at the most.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
    """
    return min(max(math.ceil(desired / 2), FEWEST_FAILURES), MOST_FAILURES)


@dataclass
class Throttle:
    """Growing pauses between the starts of tasks that fail one after the other; times are Unix seconds.

    The first failure is answered at once. A task that lived for ``STEADY_S`` has ended a series.
    """

    failures: int = 0
    not_before: float = 0.0

    def failed(self, now: float, lived_s: float) -> None:
        """Counts a task that ended unasked."""
        self.failures = 1 if lived_s > STEADY_S else self.failures + 1
        if self.failures > 1:
            self.not_before = now + min(FIRST_PAUSE_S * 2.0 ** (self.failures - 2), LONGEST_PAUSE_S)

    def due(self, now: float) -> bool:
        """Whether a task may be started."""
        return now >= self.not_before
