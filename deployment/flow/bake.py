"""The bake: the promoted release is watched from the switch on, and the first proof of harm ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployment.errors import StepFailed
from deployment.evidence.journal import Journal
from deployment.flow.alarms import AlarmWatch
from deployment.flow.steps import Steps
from deployment.polling import Readings
from deployment.ports import Clock

# During a bake: the pause between two checks of the watch, and between two reads of the routes.
WATCH_EVERY_S = 0.1
OBSERVE_EVERY_S = 5.0
LEAST_PAUSE_S = 0.001  # rounding could make a shorter pause 0, and the loop would never end
LONGEST_LOOK_S = 2.0
"""How much of the time since the last look counts as watched: this process, and the prober, may have been suspended."""


class UnchangedWatch:
    """Reads every few seconds whether the routes and the release are still as they should be.

    ``routes`` raises RouteConflict if they are not. ``release`` raises StepFailed if it is not, and returns why the platform
    cannot be read, or None; without ``release`` only the routes are read. Routes that cannot be read for BLIND_S end the
    watch. A platform that does not answer is only recorded, because it harms no user.
    """

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        routes: Callable[[], None],
        release: Callable[[], str | None] | None = None,
    ) -> None:
        self._journal = journal
        self._routes = Readings("the routes", routes, clock, OBSERVE_EVERY_S)
        self._release = None if release is None else Readings("the platform", release, clock, OBSERVE_EVERY_S)
        self._open: set[Readings[Any]] | None = None

    def check(self) -> None:
        """Raise what a reading raised, or StepFailed if the routes could not be read for too long. Never waits for AWS."""
        self._routes.ask()
        if self._release:
            self._release.ask()
        self._take()
        if blind := self._routes.blind():
            raise StepFailed(blind)

    def conclude(self) -> bool:
        """Return whether both were read once more, from the first call on. Never waits.

        Raises as ``check`` does, and CloudError if the routes cannot be read.
        """
        if self._open is None:
            self._open = {self._routes} | ({self._release} if self._release else set())
        ended = {one for one in self._open if one.last()}
        self._open -= ended
        self._take()
        if self._routes in ended and self._routes.problem:
            raise self._routes.problem
        return not self._open

    def _take(self) -> None:
        known = self._routes.problem
        self._routes.take()
        if self._routes.problem and not known:
            self._journal.append("check_failed", error=self._routes.problem.message)
        for problem in self._release.take() if self._release else ():
            if problem is not None:
                self._journal.append("check_failed", error=str(problem))


@dataclass(frozen=True)
class BakeWatch:
    """The checks during a bake: users' answers show no harm, no alarm fires, and routes and release are unchanged."""

    harm: Callable[[], str | None]
    alarms: AlarmWatch | None
    unchanged: UnchangedWatch

    def check(self) -> None:
        """Raise StepFailed or RouteConflict at the first proof of harm. Never waits for AWS."""
        problem = self.harm() or (self.alarms.harm() if self.alarms else None)
        if problem:
            raise StepFailed(problem)
        self.unchanged.check()

    def conclude(self) -> bool:
        """Return whether everything was read once more, at the end. Raises StepFailed, RouteConflict or CloudError; never waits."""
        return self.unchanged.conclude() and (self.alarms is None or self.alarms.conclude())


def bake(
    clock: Clock, steps: Steps, watch: BakeWatch, *, since: float, seconds: float, still_ours: Callable[[], None]
) -> float:
    """Watch until the release was watched for ``seconds`` since ``since`` (monotonic); return for how many it was.

    Raises StepFailed, RouteConflict, LeaseLost or CloudError.
    """
    last = clock.monotonic()
    elapsed = last - since
    while True:
        now = clock.monotonic()
        elapsed, last = elapsed + min(now - last, LONGEST_LOOK_S), now
        watch.check()  # at least once, and once more when the time is over
        still_ours()
        if elapsed >= seconds and watch.conclude():
            return elapsed
        steps.waiting(f"{elapsed:.0f} of {seconds:g} s without harm", elapsed)
        left = seconds - elapsed
        clock.sleep(min(WATCH_EVERY_S, max(LEAST_PAUSE_S, left)) if left > 0 else WATCH_EVERY_S)
