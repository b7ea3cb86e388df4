"""The bake: the promoted release is watched from the switch on, and the first proof of harm ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployment.errors import StepFailed
from deployment.flow.alarms import AlarmWatch
from deployment.flow.steps import Steps
from deployment.flow.switch import refuse_changed_routes
from deployment.model import Colour
from deployment.plan import Ports

# During a bake: the pause between two checks of the watch, and between two reads of the routes.
WATCH_EVERY_S = 0.1
OBSERVE_EVERY_S = 5.0
LEAST_PAUSE_S = 0.001  # rounding could make a shorter pause 0, and the loop would never end


@dataclass(frozen=True)
class BakeWatch:
    """The checks during a bake: ``colour`` is live at ``generation``, users' answers show no harm, and no alarm fires.

    ``require_verified`` raises StepFailed if the colour does not run what was verified any more.
    """

    colour: Colour
    generation: int
    harm: Callable[[], str | None]
    alarms: AlarmWatch | None
    require_verified: Callable[[], None]

    def check(self) -> None:
        """Raise StepFailed at the first proof of harm."""
        problem = self.harm() or (self.alarms.harm() if self.alarms else None)
        if problem:
            raise StepFailed(problem)


def bake(
    ports: Ports, steps: Steps, watch: BakeWatch, *, since: float, seconds: float, still_ours: Callable[[], None]
) -> None:
    """Watch until ``seconds`` have passed since ``since`` (monotonic).

    Raises StepFailed, RouteConflict, LeaseLost or CloudError.
    """
    clock = ports.clock
    observed = clock.monotonic()
    while True:
        elapsed = clock.monotonic() - since
        watch.check()  # at least once, and once more when the time is over
        still_ours()
        if elapsed >= seconds or clock.monotonic() - observed >= OBSERVE_EVERY_S:
            observed = clock.monotonic()
            refuse_changed_routes(ports.router.observe(), watch.colour, watch.generation)
            watch.require_verified()
        if elapsed >= seconds:
            if watch.alarms:
                watch.alarms.conclude()
            return
        steps.waiting(f"{elapsed:.0f} of {seconds:g} s without harm", elapsed)
        clock.sleep(min(WATCH_EVERY_S, max(LEAST_PAUSE_S, seconds - elapsed)))
