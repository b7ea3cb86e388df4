"""The bake: the promoted release is watched from the switch on, and the first proof of harm ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployment.errors import StepFailed
from deployment.flow.alarms import AlarmWatch
from deployment.flow.readings import UnchangedWatch
from deployment.flow.steps import Steps
from deployment.ports import Clock

# During a bake: the pause between two checks of the watch, and between two reads of the routes.
WATCH_EVERY_S = 0.1
OBSERVE_EVERY_S = 5.0
LEAST_PAUSE_S = 0.001  # rounding could make a shorter pause 0, and the loop would never end


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

    def conclude(self) -> None:
        """Check everything once more, at the end. Raises StepFailed, RouteConflict or CloudError."""
        self.unchanged.conclude()
        if self.alarms:
            self.alarms.conclude()


def bake(
    clock: Clock, steps: Steps, watch: BakeWatch, *, since: float, seconds: float, still_ours: Callable[[], None]
) -> None:
    """Watch until ``seconds`` have passed since ``since`` (monotonic).

    Raises StepFailed, RouteConflict, LeaseLost or CloudError.
    """
    while True:
        elapsed = clock.monotonic() - since
        watch.check()  # at least once, and once more when the time is over
        still_ours()
        if elapsed >= seconds:
            watch.conclude()
            return
        steps.waiting(f"{elapsed:.0f} of {seconds:g} s without harm", elapsed)
        clock.sleep(min(WATCH_EVERY_S, max(LEAST_PAUSE_S, seconds - elapsed)))
