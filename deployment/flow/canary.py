"""One step of a canary: the candidate has a share of the traffic, its answers are watched, and it must get enough requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from deployment.errors import RouteConflict, StepFailed
from deployment.evidence.journal import Journal
from deployment.flow.alarms import AlarmWatch
from deployment.flow.bake import WATCH_EVERY_S, UnchangedWatch
from deployment.flow.steps import Steps
from deployment.model import Routes
from deployment.plan import Ports
from deployment.strategy import Shift

ENOUGH_REQUESTS = 30
"""The number of the candidate's requests that a step needs.

A release that fails one request in ten at random is found within them in 96 of 100 cases.
"""


class CanaryWatch(Protocol):
    """Watches the candidate's answers while it has a share of the traffic."""

    def begin(self, shift: Shift, generation: int, since: float) -> None:
        """Start a step: from ``since`` (epoch s) on the routes of ``generation`` give the candidate ``shift.weight`` percent."""

    def harm(self) -> str | None:
        """Return proof that the candidate harms its users, None if there is none."""

    @property
    def seen(self) -> tuple[int, int]:
        """The number of requests that the candidate answered in this step, and how many of them failed."""


@dataclass(frozen=True)
class CanaryStep:
    """Keeps the candidate at its share of the traffic.

    ``longest_wait_s`` is how long beyond a step's time it may wait for enough requests.
    """

    ports: Ports
    journal: Journal
    steps: Steps
    watch: CanaryWatch
    alarms: AlarmWatch | None
    still_ours: Callable[[], None]
    longest_wait_s: float

    def hold(self, shift: Shift, written: Routes) -> dict[str, Any]:
        """Watch for the shift's time, and longer if the candidate got too few requests; return the step's figures.

        ``written`` are the routes that were just written. Raises StepFailed at the first harm, or if the candidate got
        too few requests; RouteConflict if another writer changed the routes; LeaseLost; CloudError if the routes cannot be read.
        """
        self.watch.begin(shift, written.generation, self.steps.written[-1][0])
        clock = self.ports.clock

        def read() -> None:
            _refuse_changed_routes(self.ports.router.observe(), written)

        unchanged = UnchangedWatch(clock, self.journal, read)
        began = clock.monotonic()
        while True:
            elapsed = clock.monotonic() - began
            self._check(shift)
            unchanged.check()
            over = elapsed >= shift.seconds
            requests, failed = self.watch.seen
            if over and requests >= ENOUGH_REQUESTS and unchanged.conclude():
                return {"weight": shift.weight, "seconds": round(elapsed, 1), "requests": requests, "failed": failed}
            if elapsed >= shift.seconds + self.longest_wait_s and requests < ENOUGH_REQUESTS:
                raise StepFailed(
                    f"with {shift.weight} % of the traffic: the candidate answered only {requests} requests in "
                    f"{elapsed:.0f} s, {ENOUGH_REQUESTS} are needed to prove anything",
                    hint="Give it a larger share or more time (--strategy), or more requests (prober_rate).",
                )
            needed = f", {ENOUGH_REQUESTS} are needed" if over else ""
            self.steps.waiting(f"{shift}: {requests} requests by the candidate{needed}, {failed} failed", elapsed)
            clock.sleep(WATCH_EVERY_S)

    def _check(self, shift: Shift) -> None:
        problem = self.watch.harm() or (self.alarms.harm() if self.alarms else None)
        if problem:
            raise StepFailed(f"with {shift.weight} % of the traffic: {problem}")
        self.still_ours()


def _refuse_changed_routes(seen: Routes, written: Routes) -> None:
    if seen.generation != written.generation or dict(seen.weights) != dict(written.weights):
        raise RouteConflict(
            f"the routes were changed by another writer: generation {written.generation} was written, now it is {seen.generation}"
        )
