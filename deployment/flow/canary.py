"""One step of a canary: the candidate has a share of the traffic, is watched by its own answers, and must be asked enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from deployment.errors import RouteConflict, StepFailed
from deployment.flow.alarms import AlarmWatch
from deployment.flow.bake import OBSERVE_EVERY_S, WATCH_EVERY_S
from deployment.flow.steps import Steps
from deployment.model import Routes
from deployment.plan import Ports
from deployment.strategy import Shift

ENOUGH_REQUESTS = 30
"""Of the candidate's own, none of them harm: a release that fails one in ten at random is seen by then in 96 of 100 cases."""


class CanaryWatch(Protocol):
    """What is seen of the candidate while it has a share of the traffic."""

    def begin(self, shift: Shift, generation: int, since: float) -> None:
        """From ``since`` (epoch s) on the routes of ``generation`` give the candidate ``shift.weight`` percent."""

    def harm(self) -> str | None:
        """Proof that the candidate harms its users, None while there is none."""

    @property
    def seen(self) -> tuple[int, int]:
        """How many requests the candidate answered in this step, and how many of them failed."""


@dataclass(frozen=True)
class CanaryStep:
    """What holds a candidate at its share; ``longest_wait_s``: so long beyond a step's time it may take to be asked enough."""

    ports: Ports
    steps: Steps
    watch: CanaryWatch
    alarms: AlarmWatch | None
    still_ours: Callable[[], None]
    longest_wait_s: float

    def hold(self, shift: Shift, written: Routes) -> dict[str, Any]:
        """Watches for the shift's time, and on until the candidate was asked enough; returns what was seen.

        ``written``: the routes that were just written. Raises StepFailed at the first harm, and where the candidate was not
        asked enough; RouteConflict where somebody else wrote the routes; LeaseLost.
        """
        self.watch.begin(shift, written.generation, self.steps.written[-1][0])
        clock = self.ports.clock
        began = observed = clock.monotonic()
        while True:
            elapsed = clock.monotonic() - began
            self._look(shift)
            over = elapsed >= shift.seconds
            if over or clock.monotonic() - observed >= OBSERVE_EVERY_S:
                observed = clock.monotonic()
                _undisturbed(self.ports.router.observe(), written)
            requests, failed = self.watch.seen
            if over and requests >= ENOUGH_REQUESTS:
                return {"weight": shift.weight, "seconds": round(elapsed, 1), "requests": requests, "failed": failed}
            if elapsed >= shift.seconds + self.longest_wait_s:
                raise StepFailed(
                    f"with {shift.weight} % of the traffic: the candidate answered {requests} requests in {elapsed:.0f} s, "
                    f"{ENOUGH_REQUESTS} are needed to prove anything",
                    hint="Give it a larger share or more time (--strategy), or more requests (prober_rate).",
                )
            needed = f", {ENOUGH_REQUESTS} are needed" if over else ""
            self.steps.waiting(f"{shift}: {requests} requests by the candidate{needed}, {failed} failed", elapsed)
            clock.sleep(WATCH_EVERY_S)

    def _look(self, shift: Shift) -> None:
        found = self.watch.harm() or (self.alarms.harm() if self.alarms else None)
        if found:
            raise StepFailed(f"with {shift.weight} % of the traffic: {found}")
        self.still_ours()


def _undisturbed(seen: Routes, written: Routes) -> None:
    if seen.generation != written.generation or dict(seen.weights) != dict(written.weights):
        raise RouteConflict(
            f"the routes changed meanwhile: generation {written.generation} was written, now it is {seen.generation}"
        )
